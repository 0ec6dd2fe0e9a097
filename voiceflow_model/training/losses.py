"""The two losses: permutation-invariant powerset cross-entropy, and additive angular margin over speakers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voiceflow_model.network.powerset import Powerset
from voiceflow_model.network.segmentation import COARSE


def permutation_log_likelihood(logits: Tensor, activity: Tensor, powerset: Powerset) -> Tensor:
    """Mean log-likelihood of each renaming of the reference's local speakers: (batch, K!).

    logits (batch, frames, classes), activity (batch, frames, K) of 0/1. All K! <= 24 renamings are looked up in one
    gather, since renaming speakers only permutes powerset classes.
    """
    log_p = torch.log_softmax(logits.float(), dim=-1)
    renamed = powerset.permuted.to(logits.device)[:, powerset.encode(activity)]  # (K!, batch, frames)
    return log_p.gather(-1, renamed.permute(1, 2, 0)).mean(dim=1)  # (batch, K!)


def segmentation_loss(logits: Tensor, activity: Tensor, powerset: Powerset) -> Tensor:
    """Permutation-invariant powerset cross-entropy, a scalar (Fujita et al. 2019; Plaquet & Bredin 2023)."""
    return -permutation_log_likelihood(logits, activity, powerset).amax(dim=-1).mean()


def aligned_classes(logits: Tensor, activity: Tensor, powerset: Powerset) -> Tensor:
    """Reference classes (batch, frames), its speakers renamed to fit the prediction best."""
    best = permutation_log_likelihood(logits, activity, powerset).argmax(dim=-1)  # (batch,)
    tables = powerset.permuted.to(logits.device)[best]  # (batch, classes)
    return tables.gather(1, powerset.encode(activity))


def likeness_loss(likeness: Sequence[Tensor], activity: Tensor) -> Tensor:
    """Binary cross-entropy of attention scores: do two frames with speech share a speaker? A scalar.

    likeness: per block (batch, heads, coarse, coarse) of logits, activity (batch, frames, K) of 0/1. It is dense and
    needs no renaming of speakers, so segmentation learns voices several times sooner (after Jeoung et al. 2023,
    "Improving Transformer-based End-to-End Speaker Diarization by Assigning Auxiliary Losses to Attention Heads").
    """
    if not likeness:
        return activity.new_zeros(())
    coarse = activity[:, ::COARSE]
    same = (coarse @ coarse.transpose(1, 2)).clamp_max(1)[:, None]  # (batch, 1, coarse, coarse)
    speech = coarse.amax(-1)
    both = (speech[:, :, None] * speech[:, None])[:, None]
    scores = torch.cat(list(likeness), dim=1).float()  # (batch, all heads, coarse, coarse)
    losses = nn.functional.binary_cross_entropy_with_logits(scores, same.expand_as(scores), reduction="none")
    return (losses.mean(1, keepdim=True) * both).sum() / both.sum().clamp_min(1)


class SpeakerLoss(nn.Module):
    """Additive angular margin softmax over the training speakers (Deng et al. 2019, "ArcFace").

    `weight` holds the directions of each class, of which the nearest counts (Deng et al. 2020, "Sub-center ArcFace"):
    one, or a few where a speaker's recordings differ or labels err. The cosine to it is also how speakers are
    recognised in validation.
    """

    def __init__(self, dim: int, classes: int, scale: float, centres: int = 1) -> None:
        super().__init__()
        self.scale, self.centres = scale, centres
        self.weight = nn.Parameter(nn.functional.normalize(torch.randn(classes * centres, dim), dim=-1))

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Embeddings (n, dim), L2-normalised -> cosine to each class (n, classes)."""
        cosines: Tensor = embeddings @ nn.functional.normalize(self.weight, dim=-1).T
        return cosines.view(len(embeddings), -1, self.centres).amax(-1)

    def forward(self, embeddings: Tensor, speakers: Tensor, margin: float) -> Tensor:
        """Mean loss over embeddings (n, dim) of classes speakers (n,); `margin` in radians. Zero when n is zero."""
        if not len(embeddings):
            return embeddings.sum()
        cosine = self.cosines(embeddings.float())
        target = cosine.gather(1, speakers[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        # cos(t + m), and its linear continuation where t + m passes pi
        shifted = target * math.cos(margin) - (1 - target.square()).sqrt() * math.sin(margin)
        shifted = torch.where(target > -math.cos(margin), shifted, target - margin * math.sin(margin))
        logits = cosine.scatter(1, speakers[:, None], shifted)
        return nn.functional.cross_entropy(self.scale * logits, speakers)
