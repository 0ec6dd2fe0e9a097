"""The shared trunk: 1-D ConvNeXt blocks over log-mel frames (Liu et al. 2022, "A ConvNet for the 2020s")."""

from torch import Tensor, nn

from voiceflow_model.network.depthwise import Depthwise


class ConvBlock(nn.Module):
    """Depthwise convolution in time, then a pointwise bottleneck, added to its input.

    Norms are over channels: no statistic crosses examples, so a batch may be split without changing its gradient.
    """

    def __init__(self, channels: int, dilation: int, kernel: int = 7, expansion: int = 2) -> None:
        super().__init__()
        self.depthwise = Depthwise(channels, kernel, dilation=dilation)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, expansion * channels)
        self.contract = nn.Linear(expansion * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, channels) -> the same shape."""
        y = self.expand(self.norm(self.depthwise(x)))
        added: Tensor = x + self.contract(nn.functional.gelu(y))
        return added


class Encoder(nn.Module):
    """Log-mel (batch, mels, T) at 10 ms -> features (batch, T // 2, channels) at 20 ms."""

    def __init__(self, mels: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv1d(mels, channels, kernel_size=5, stride=2, padding=2)
        self.norm = nn.LayerNorm(channels)
        self.blocks = nn.Sequential(*[ConvBlock(channels, dilation=(1, 2, 4)[i % 3]) for i in range(blocks)])

    def forward(self, mel: Tensor) -> Tensor:
        """See the class; T even."""
        return self.early(mel, len(self.blocks))

    def early(self, mel: Tensor, blocks: int) -> Tensor:
        """Features after the first `blocks`, which have heard less of what is before and after."""
        features: Tensor = self.blocks[:blocks](self.norm(self.stem(mel).transpose(1, 2)))
        return features

    def late(self, features: Tensor, blocks: int) -> Tensor:
        """What the blocks after the first `blocks` make of their features."""
        features = self.blocks[blocks:](features)
        return features
