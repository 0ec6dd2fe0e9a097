"""Segmentation head: which local speakers are active in each 20 ms frame, as powerset logits."""

import torch
from torch import Tensor, nn

COARSE = 4  # frames, 80 ms: how finely the context of a window is modelled


class SelfAttention(nn.Module):
    """Pre-norm multi-head self-attention written out, because `nn.MultiheadAttention` does not export well (FACTS)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, channels) -> the same shape, input added."""
        batch, frames, channels = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, frames, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, frames, channels / heads)
        if torch.onnx.is_in_onnx_export():
            weights = torch.softmax(q @ k.transpose(-1, -2) * (channels // self.heads) ** -0.5, dim=-1)
            mixed = weights @ v
        else:
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        attended: Tensor = x + self.out(mixed.transpose(1, 2).reshape(batch, frames, channels))
        return attended


class SegmentationHead(nn.Module):
    """Attention over the window (who is the same as whom), a BiGRU (who follows whom), then powerset logits.

    Both of the former work at 80 ms, which nearly halves a training step and costs no accuracy
    (docs/adr/0010-learning-on-small-data.md); the classifier sees the trunk's own 20 ms frames beside them.
    """

    def __init__(self, channels: int, classes: int, attention_blocks: int, heads: int) -> None:
        super().__init__()
        self.coarsen = nn.Conv1d(channels, channels, 2 * COARSE - 1, COARSE, padding=COARSE - 1, groups=channels)
        self.attention = nn.Sequential(*[SelfAttention(channels, heads) for _ in range(attention_blocks)])
        self.norm = nn.LayerNorm(channels)
        self.recurrent = nn.GRU(channels, channels, batch_first=True, bidirectional=True)
        self.classify = nn.Linear(3 * channels, classes)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channels, frames) -> logits (batch, frames, classes)."""
        x = self.norm(
            self.attention(self.coarsen(features).transpose(1, 2))
        )  # (batch, ceil(frames / COARSE), channels)
        context = self.recurrent(x)[0]
        batch, coarse, width = context.shape
        context = context[:, :, None].expand(batch, coarse, COARSE, width).reshape(batch, coarse * COARSE, width)
        fine = features.transpose(1, 2)
        logits: Tensor = self.classify(torch.cat([context[:, : fine.shape[1]], fine], dim=-1))
        return logits
