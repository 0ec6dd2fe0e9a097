"""Convolution of each channel by itself, over frames that do not divide by anything."""

import pytest
import torch
from torch import nn

from voiceflow_model.network.depthwise import Depthwise


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (1, 4), (4, 1)])
@pytest.mark.parametrize("frames", [3, 61, 64])
def test_the_fast_layout_and_its_gradients_are_those_of_a_plain_convolution(stride, dilation, frames):
    torch.manual_seed(0)
    layer = Depthwise(8, 7, stride=stride, dilation=dilation)
    x = torch.randn(2, frames, 8, requires_grad=True)
    plain = nn.Conv1d.forward(layer, x.transpose(1, 2)).transpose(1, 2)
    fast = layer(x)
    assert fast.shape == plain.shape
    weights = torch.randn_like(plain)
    assert torch.allclose(fast, plain, atol=1e-5)
    for ours, theirs in zip(
        *(torch.autograd.grad((y * weights).sum(), [x, *layer.parameters()]) for y in (fast, plain)), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-4)
