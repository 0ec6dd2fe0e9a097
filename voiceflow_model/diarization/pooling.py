"""The embedding of any set of frames, from features of one trunk pass: the formula on `ModelCard`, in numpy."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

VARIANCE_FLOOR = 1e-4


def attentive_statistics(features: Floats, attention: Floats, masks: Mask, weight: Floats, bias: Floats) -> Floats:
    """L2-normalised embeddings (masks, dim) of the frames that each mask chooses; zeros where it chooses none.

    features (frames, width), attention (frames,), masks (masks, frames), weight (dim, 2 * width), bias (dim,).
    Attentive statistics pooling (Okabe et al. 2018, arXiv:1803.10963) with the softmax taken over the mask only.
    """
    chosen = np.asarray(masks.any(axis=1))
    scores = np.where(masks, attention, -np.inf)  # (masks, frames)
    peak = np.where(chosen, scores.max(axis=1, initial=-np.inf), 0.0)
    w = np.exp(scores - peak[:, None])
    w /= np.where(chosen, w.sum(axis=1), 1.0)[:, None]
    mean = w @ features  # (masks, width)
    spread = np.sqrt(np.maximum(w @ np.square(features) - np.square(mean), VARIANCE_FLOOR))
    pooled = np.concatenate([mean, spread], axis=1) @ weight.T + bias  # (masks, dim)
    norm = np.linalg.norm(pooled, axis=1, keepdims=True)
    return np.where(chosen[:, None], pooled / np.maximum(norm, 1e-12), 0.0).astype(np.float32)


def clean_masks(masks: Mask, solo: Mask, min_frames: int) -> Mask:
    """Restrict each mask (masks, frames) to the frames where one speaker speaks alone, solo (frames,).

    A mask that keeps fewer than `min_frames` so is left whole: a mixed embedding is better than one of a few frames.
    """
    clean = masks & solo
    return np.where(clean.sum(axis=1, keepdims=True) >= min_frames, clean, masks)
