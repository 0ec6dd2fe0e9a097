"""Segmentation head: which local speakers are active in each 20 ms frame, as powerset logits."""

import torch
from torch import Tensor, nn

from voiceflow_model.network.depthwise import Depthwise

COARSE = 4  # frames, 80 ms: how finely the context of a window is modelled
TOLD = 2  # attention heads of a block that training tells who is the same


class Attention(nn.Module):
    """Pre-norm transformer block, written out because `nn.MultiheadAttention` exports badly (ADR 0005)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.forth = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 2 * channels),
            nn.GELU(),
            nn.Linear(2 * channels, channels),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, channels) -> the same shape, and scores (batch, TOLD, frames, frames) of the first heads."""
        batch, frames, channels = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, frames, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, frames, channels / heads)
        scores = q @ k.transpose(-1, -2) * (channels // self.heads) ** -0.5
        mixed = torch.softmax(scores, dim=-1) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, frames, channels))
        return x + self.forth(x), scores[:, :TOLD]


class SegmentationHead(nn.Module):
    """Attention over the window (who is the same as whom), a BiLSTM (who follows whom), then powerset logits.

    Both of the former work at 80 ms, which nearly halves a training step and costs no accuracy
    (docs/adr/0010-learning-on-small-data.md), as does an LSTM in place of a GRU (docs/adr/0011-lstm.md); the
    classifier sees the trunk's own 20 ms frames beside them.
    """

    def __init__(self, channels: int, classes: int, attention_blocks: int) -> None:
        super().__init__()
        self.coarsen = Depthwise(channels, 2 * COARSE - 1, stride=COARSE)
        heads = channels // (8 if channels % 16 or channels < 32 else 16)
        self.attention = nn.ModuleList([Attention(channels, heads) for _ in range(attention_blocks)])
        self.norm = nn.LayerNorm(channels)
        self.recurrent = nn.LSTM(channels, channels, batch_first=True, bidirectional=True)
        self.classify = nn.Linear(3 * channels, classes)

    def forward(self, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(batch, frames, channels) -> logits (batch, frames, classes), and per block the scores of `Attention`."""
        x = self.coarsen(features)  # (batch, ceil(frames / COARSE), channels)
        likeness = []
        for block in self.attention:
            x, scores = block(x)
            likeness.append(scores)
        context = self.recurrent(self.norm(x))[0]
        batch, coarse, width = context.shape
        context = context[:, :, None].expand(batch, coarse, COARSE, width).reshape(batch, coarse * COARSE, width)
        logits: Tensor = self.classify(torch.cat([context[:, : features.shape[1]], features], dim=-1))
        return logits, likeness
