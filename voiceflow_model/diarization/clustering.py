"""From local speakers of windows to speakers of the recording, whose number is not known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voiceflow_model.diarization.analysis import Analysis
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.linkage import Ints, Merges, condense, grouped, link
from voiceflow_model.errors import ConfigError

Floats = NDArray[np.float32]

NOBODY = -1


@dataclass(frozen=True)
class Clusters:
    """labels (windows, num_speakers), NOBODY for a silent local speaker; centroids (clusters, dim), unit length."""

    labels: Ints
    centroids: Floats


def cluster(
    analysis: Analysis, tuning: Tuning, min_speakers: int | None = None, max_speakers: int | None = None
) -> Clusters:
    """Give every active local speaker a cluster. Two local speakers of one window share one only if bounds force it.

    Those with at least `min_embed_s` of clean speech found the clusters; the others join the nearest. `min_speakers`
    and `max_speakers` bound the number of clusters; a recording with fewer reliable local speakers than
    `min_speakers` has as many clusters as it has those. Raises ConfigError for bounds that contradict each other.
    """
    low, high = check_bounds(min_speakers, max_speakers)
    labels = np.full(analysis.clean_s.shape, NOBODY, np.int64)
    window, local = np.nonzero(analysis.decisions.any(axis=1))
    vectors, seconds = analysis.embeddings[window, local], analysis.clean_s[window, local]
    if not len(window):
        return Clusters(labels, np.empty((0, vectors.shape[1]), np.float32))
    trusted = seconds >= tuning.min_embed_s
    if not trusted.any():
        trusted[:] = True
    weight = np.maximum(seconds, 1e-3)
    found = _found(vectors[trusted], window[trusted], weight[trusted], tuning, low, high)
    centroids = _centroids(vectors[trusted], weight[trusted], found)
    items = np.full(len(window), NOBODY, np.int64)
    items[trusted] = found
    _assign(items, window, vectors @ centroids.T)
    labels[window, local] = items
    return Clusters(labels, centroids)


def check_bounds(min_speakers: int | None, max_speakers: int | None) -> tuple[int, float]:
    """The bounds as numbers, (0, inf) when not given. Raises ConfigError."""
    low, high = min_speakers or 0, max_speakers if max_speakers is not None else np.inf
    if min_speakers == 0 or low < 0 or high < max(low, 1):
        raise ConfigError(
            f"min_speakers={min_speakers}, max_speakers={max_speakers}: need 1 <= min_speakers <= max_speakers; "
            "leave both out to let the model count"
        )
    return low, high


def _found(vectors: Floats, windows: Ints, weight: Floats, tuning: Tuning, low: int, high: float) -> Ints:
    """Cluster of each founding vector (n,), NOBODY for members of clusters too small to stay."""
    groups = condense(vectors, windows)
    merges = link(*grouped(vectors, windows, groups))
    seconds = np.bincount(groups, weights=weight).astype(np.float64)
    share = tuning.min_cluster_share * seconds.sum()
    steps = _choose_steps(merges, seconds, share, tuning.merge_similarity, low, high)
    labels = merges.labels(len(seconds), steps)[groups]
    mass = np.bincount(labels, weights=weight)
    order = np.argsort(-mass, kind="stable")
    large = int((mass >= share).sum()) or len(mass)  # all of them small: nothing better to dissolve into
    kept = order[: int(min(max(large, low), high, len(mass)))]
    renumber = np.full(len(mass), NOBODY, np.int64)
    renumber[np.sort(kept)] = np.arange(len(kept))
    return renumber[labels]


def _choose_steps(
    merges: Merges, seconds: NDArray[np.float64], share: float, similarity: float, low: int, high: float
) -> int:
    """Number of merges to take: those above the threshold, or the nearest number that meets the bounds.

    Bounds count clusters of at least `share` seconds only: else an outlier would take a speaker's place.
    """
    mass, large = seconds.copy(), [int((seconds >= share).sum())]
    for a, b in zip(merges.a, merges.b, strict=True):
        before = int(mass[a] >= share) + int(mass[b] >= share)
        mass[a], mass[b] = mass[a] + mass[b], 0.0
        large.append(large[-1] - before + int(mass[a] >= share))
    counts = np.array(large)
    wanted = int((merges.similarity >= similarity).sum())
    distance = np.maximum(np.maximum(low - counts, counts - high), 0)
    best = np.flatnonzero(distance == distance.min())
    return int(best[np.abs(best - wanted).argmin()])


def _centroids(vectors: Floats, weight: Floats, labels: Ints) -> Floats:
    """Unit means (clusters, dim), weighted by seconds of clean speech."""
    known = labels != NOBODY
    sums = np.zeros((int(labels.max()) + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, labels[known], vectors[known] * weight[known, None])
    norm = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(norm, 1e-12), np.float32)


def _assign(items: Ints, windows: Ints, similarity: Floats) -> None:
    """Fill the NOBODY entries of items (n,) from similarity (n, clusters), one window at a time.

    Clusters that the window does not use yet go first, as the best one-to-one assignment; who is left over (more
    local speakers than clusters) takes the nearest cluster of all.
    """
    for window in np.unique(windows[items == NOBODY]):
        here = windows == window
        open_ = np.flatnonzero(here & (items == NOBODY))
        free = np.setdiff1d(np.arange(similarity.shape[1]), items[here])
        rows, columns = linear_sum_assignment(similarity[np.ix_(open_, free)], maximize=True)
        items[open_[rows]] = free[columns]
        left = open_[items[open_] == NOBODY]
        items[left] = similarity[left].argmax(axis=1)
