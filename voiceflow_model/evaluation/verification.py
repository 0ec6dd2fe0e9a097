"""Equal error rate of speaker verification: how well embeddings tell two voices apart, without any diarization."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voiceflow_model.errors import ConfigError


class EqualError(NamedTuple):
    """The rate at which false acceptances equal false rejections, and the score that accepts from there on."""

    rate: float
    threshold: float


def equal_error_rate(scores: ArrayLike, same_speaker: ArrayLike) -> EqualError:
    """EER of trials, interpolated where the two error curves cross; higher scores mean "same speaker".

    scores (trials,), same_speaker (trials,) of bool or 0/1. Raises ConfigError unless there are trials of both kinds.
    """
    score: NDArray[Any] = np.asarray(scores, float).ravel()
    same: NDArray[Any] = np.asarray(same_speaker, bool).ravel()
    if score.shape != same.shape or same.all() or not same.any():
        raise ConfigError(
            f"{score.size} scores, {same.size} labels of which {int(same.sum())} same-speaker: an equal error rate "
            "needs as many labels as scores, and trials of both kinds"
        )
    values, at = np.unique(score, return_inverse=True)  # ties are accepted together
    accepted_same = np.bincount(at, weights=same)[::-1].cumsum()
    accepted_other = np.bincount(at, weights=~same)[::-1].cumsum()
    rejects = np.concatenate([[1.0], 1 - accepted_same / same.sum()])  # falling with every lower threshold
    accepts = np.concatenate([[0.0], accepted_other / (~same).sum()])  # rising
    i = int(np.argmax(accepts >= rejects))
    gap_before, gap_after = rejects[i - 1] - accepts[i - 1], accepts[i] - rejects[i]
    share = gap_before / (gap_before + gap_after)
    return EqualError(float(accepts[i - 1] + share * (accepts[i] - accepts[i - 1])), float(values[::-1][i - 1]))
