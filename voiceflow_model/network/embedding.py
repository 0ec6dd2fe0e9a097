"""Embedding head: one vector for each local speaker, pooled from the frames where that speaker speaks alone."""

import torch
from torch import Tensor, nn

_VARIANCE_FLOOR = 1e-4
_EPSILON = 1e-5


class PooledNorm(nn.Module):
    """Batch normalisation of pooled statistics, without an affine part of its own since a linear layer follows.

    All voices share most of what is pooled; until that is taken away, hundreds of speakers cannot be told apart
    (docs/adr/0010-learning-on-small-data.md). Only speakers who are there count. Shards of a batch are differentiated
    in threads, so the moments are handed out, and folded into the buffers by `remember` in the shards' order.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("moments", torch.stack([torch.zeros(width), torch.ones(width)]))
        self.moments: Tensor

    def forward(self, pooled: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled (batch, K, width), there (batch, K) of bool -> normalised, and the moments (2, width) it was done by.

        Moments are mean and variance: in training of those who are there, if they are two or more; else remembered.
        """
        moments = self.moments
        if self.training:
            share = there.to(pooled.dtype)[..., None]
            count = share.sum()
            mean = (share * pooled).sum((0, 1)) / count.clamp_min(1)
            variance = (share * (pooled - mean).square()).sum((0, 1)) / count.clamp_min(1)
            moments = torch.where(count >= 2, torch.stack([mean, variance]), moments)
        return (pooled - moments[0]) * (moments[1] + _EPSILON).rsqrt(), moments.detach()

    @torch.no_grad()
    def remember(self, moments: Tensor, step: int) -> None:
        """Fold a batch's moments (2, width) into those used outside of training: a tenth, more in the beginning."""
        self.moments.lerp_(moments, max(0.1, 1 / (1 + step)))


class EmbeddingHead(nn.Module):
    """Attentive statistics pooling under speaker masks (Okabe et al. 2018, with the masks as in pyannote's pipeline).

    The frame-wise part (`frames`) is separate from the pooling, so that after one trunk pass any set of frames can be
    pooled, also outside of torch (`voiceflow_model.diarization.pooling` is the same formula in NumPy).
    """

    def __init__(self, channels: int, width: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, width), nn.GELU())
        self.score = nn.Sequential(nn.Linear(width, 32), nn.Tanh(), nn.Linear(32, 1))
        self.norm = PooledNorm(2 * width)
        self.embed = nn.Linear(2 * width, dim)

    def frames(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, channels) -> features (batch, frames, width) and attention scores (batch, frames)."""
        x = self.project(features)
        return x, self.score(x).squeeze(-1)

    def pool(self, x: Tensor, score: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (batch, K, frames) of 0/1 -> L2-normalised embeddings (batch, K, dim), moments as of `PooledNorm`.

        An empty mask pools all.
        """
        there = masks.sum(-1) > 0  # (batch, K)
        masks = torch.where(there[..., None], masks, torch.ones_like(masks))
        weights = torch.softmax(score[:, None] + (masks - 1) * 1e4, dim=-1)  # (batch, K, frames)
        mean = weights @ x  # (batch, K, width)
        deviation = (weights @ x.square() - mean.square()).clamp_min(_VARIANCE_FLOOR).sqrt()
        pooled, moments = self.norm(torch.cat([mean, deviation], dim=-1).float(), there)
        return nn.functional.normalize(self.embed(pooled), dim=-1), moments

    @torch.no_grad()
    def affine(self) -> tuple[Tensor, Tensor]:
        """Weight (dim, 2 * width) and bias (dim,) from pooled statistics to the embedding, outside of training."""
        mean, variance = self.norm.moments
        weight = self.embed.weight * (variance + _EPSILON).rsqrt()
        return weight, self.embed.bias - weight @ mean


def clean_masks(activity: Tensor, wanted: Tensor | None = None, min_frames: int = 10) -> Tensor:
    """Activity (batch, frames, K) -> pooling masks (batch, K, frames): frames where only that speaker is active.

    With `wanted` (batch, frames, n), parts of that activity, masks (batch, n, frames) of them. One with fewer than
    `min_frames` (200 ms) alone is pooled over all of its frames.
    """
    wanted = activity if wanted is None else wanted
    alone = wanted * (activity.sum(-1, keepdim=True) == 1)
    enough = alone.sum(1, keepdim=True) >= min_frames
    return torch.where(enough, alone, wanted).transpose(1, 2)
