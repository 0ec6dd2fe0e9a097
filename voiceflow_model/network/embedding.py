"""Embedding head: one vector for each local speaker, pooled from the frames where that speaker speaks alone."""

import torch
from torch import Tensor, nn

_VARIANCE_FLOOR = 1e-4


class EmbeddingHead(nn.Module):
    """Attentive statistics pooling under speaker masks (Okabe et al. 2018, with the masks as in pyannote's pipeline).

    The frame-wise part (`frames`) is separate from the pooling, so that after one trunk pass any set of frames can be
    pooled, also outside of torch (`voiceflow_model.diarization.pooling` is the same formula in NumPy).
    """

    def __init__(self, channels: int, width: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, width), nn.GELU(approximate="tanh"))
        self.score = nn.Sequential(nn.Linear(width, 32), nn.Tanh(), nn.Linear(32, 1))
        self.embed = nn.Linear(2 * width, dim)

    def frames(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, channels, frames) -> features (batch, frames, width) and attention scores (batch, frames)."""
        x = self.project(features.transpose(1, 2))
        return x, self.score(x).squeeze(-1)

    def pool(self, x: Tensor, score: Tensor, masks: Tensor) -> Tensor:
        """Masks (batch, K, frames) of 0/1 -> L2-normalised embeddings (batch, K, dim); an empty mask pools all."""
        masks = torch.where(masks.sum(-1, keepdim=True) > 0, masks, torch.ones_like(masks))
        weights = torch.softmax(score[:, None] + (masks - 1) * 1e4, dim=-1)  # (batch, K, frames)
        mean = weights @ x  # (batch, K, width)
        deviation = (weights @ x.square() - mean.square()).clamp_min(_VARIANCE_FLOOR).sqrt()
        return nn.functional.normalize(self.embed(torch.cat([mean, deviation], dim=-1)), dim=-1)


def clean_masks(activity: Tensor, min_frames: int = 10) -> Tensor:
    """Activity (batch, frames, K) -> pooling masks (batch, K, frames): frames where only that speaker is active.

    A speaker with fewer than `min_frames` (200 ms) alone is pooled over all of its frames.
    """
    alone = activity * (activity.sum(-1, keepdim=True) == 1)
    enough = alone.sum(1, keepdim=True) >= min_frames
    return torch.where(enough, alone, activity).transpose(1, 2)
