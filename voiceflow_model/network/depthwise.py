"""Convolution of each channel by itself in time, laid out as a CPU has it fastest."""

import torch
from torch import Tensor, nn


class Depthwise(nn.Conv1d):
    """Depthwise convolution over (batch, frames, channels), padded so that a stride of one keeps the frames.

    A CPU takes three to eight times as long for `Conv1d` and its gradients as for the same sums as `Conv2d` over
    channels that lie next to each other, with a dilation as a second axis: frame t is at (t // dilation, t % dilation).
    A GPU and the ONNX export keep `Conv1d` (docs/adr/0014-channels-last.md).
    """

    def __init__(self, channels: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(channels, channels, kernel, stride, padding, dilation, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, channels) -> (batch, ceil(frames / stride), channels)."""
        if x.is_cuda or torch.onnx.is_in_onnx_export():
            return super().forward(x.transpose(1, 2)).transpose(1, 2)
        (stride,), (dilation,), (kernel,) = self.stride, self.dilation, self.kernel_size
        batch, frames, channels = x.shape
        whole = nn.functional.pad(x, (0, 0, 0, -frames % dilation))
        folded = whole.reshape(batch, -1, dilation, channels).permute(0, 3, 1, 2)
        y = nn.functional.conv2d(
            folded, self.weight[..., None], self.bias, (stride, 1), (kernel // 2, 0), groups=self.groups
        )
        return y.permute(0, 2, 3, 1).flatten(1, 2)[:, : -(-frames // stride)]
