"""Segmentation head: which local speakers are active in each 20 ms frame, as powerset logits."""

import torch
from torch import Tensor, nn


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
    """Attention over the window (who is the same as whom), a BiGRU (who follows whom), then powerset logits."""

    def __init__(self, channels: int, classes: int, attention_blocks: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(*[SelfAttention(channels, heads) for _ in range(attention_blocks)])
        self.norm = nn.LayerNorm(channels)
        self.recurrent = nn.GRU(channels, channels, batch_first=True, bidirectional=True)
        self.classify = nn.Linear(2 * channels, classes)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, channels, frames) -> logits (batch, frames, classes)."""
        x = self.norm(self.attention(features.transpose(1, 2)))
        logits: Tensor = self.classify(self.recurrent(x)[0])
        return logits
