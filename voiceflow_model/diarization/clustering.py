"""From runs of windows to speakers of the recording, whose number is not known (docs/adr/0006-clustering-runs.md)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from voiceflow_model.diarization.analysis import Analysis, Runs
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.linkage import Ints, Merges, condense, grouped, link
from voiceflow_model.diarization.pooling import Floats
from voiceflow_model.errors import ConfigError

NOBODY = -1
SIMULTANEOUS = 0.5  # two runs of a window that share this much of the shorter one are two people talking at once


class Tree(NamedTuple):
    """What clustering comes to before any threshold."""

    founds: NDArray[np.bool_]  # (runs,)
    apart: sparse.csr_array  # (runs, runs)
    sums: Floats  # (runs, dim + 2) voices, unit length, times seconds
    groups: Ints  # (founding runs,) leaf of each
    weight: Floats  # (leaves,) seconds
    merges: Merges

    def centroids(self, speaker: Ints) -> Floats:
        """Mean voice (speakers, dim + 2), unit length, of the runs of each speaker (runs,), weighted by seconds."""
        settled = speaker != NOBODY
        sums = np.zeros((speaker.max() + 1, self.sums.shape[1]), np.float32)
        np.add.at(sums, speaker[settled], self.sums[settled])
        return _unit(sums)


def cluster(
    analysis: Analysis, tuning: Tuning, min_speakers: int | None = None, max_speakers: int | None = None
) -> Ints:
    """Speaker (runs,) of every run, numbered from 0. Two that sound at once share one only when there is no other.

    Runs with at least `min_embed_s` of clean speech found the clusters, weighted by it; the others join the one whose
    mean voice is nearest to their own. Bounds are on the number of clusters; a recording with fewer founding runs than
    `min_speakers` has as many clusters as it has those. Raises ConfigError for bounds that contradict each other.
    """
    low, high = check_bounds(min_speakers, max_speakers)
    runs = analysis.runs
    if not len(runs):
        return np.empty(0, np.int64)
    tree = tree_of(analysis, tuning)
    speaker = np.full(len(runs), NOBODY, np.int64)
    speaker[tree.founds] = _found(tree, tuning, low, high)
    _join(speaker, runs, tree.apart, runs.voices(tuning.pitch_weight) @ tree.centroids(speaker).T)
    return speaker


def tree_of(analysis: Analysis, tuning: Tuning) -> Tree:
    """The tree of an analysis with runs, grown once for all thresholds that follow it."""
    settings = tuning.min_embed_s, tuning.track_weight, tuning.pitch_weight
    if settings not in analysis.trees:
        analysis.trees[settings] = _grow(analysis, *settings)
    tree: Tree = analysis.trees[settings]
    return tree


def check_bounds(min_speakers: int | None, max_speakers: int | None) -> tuple[int, float]:
    """The bounds as numbers, (0, inf) when not given. Raises ConfigError."""
    low, high = min_speakers or 0, max_speakers if max_speakers is not None else np.inf
    if min_speakers == 0 or low < 0 or high < max(low, 1):
        raise ConfigError(
            f"min_speakers={min_speakers}, max_speakers={max_speakers}: need 1 <= min_speakers <= max_speakers; "
            "leave both out to let the model count"
        )
    return low, high


def views(analysis: Analysis) -> Ints:
    """How many windows see the middle of each run (runs,): one near the ends of a recording, several elsewhere.

    Seconds are divided by it, else who talks only at the beginning counts for a fraction of what he says.
    """
    runs, starts = analysis.runs, analysis.starts
    middle = starts[runs.window] + (runs.start + runs.end) // 2
    ends = starts + analysis.probabilities.shape[1]
    return np.searchsorted(starts, middle, side="right") - np.searchsorted(ends, middle, side="right")


def tracks(runs: Runs) -> Ints:
    """A number (runs,) for each local speaker of each window, the same for all of its runs."""
    numbers: Ints = np.unique(np.stack([runs.window, runs.local]), axis=1, return_inverse=True)[1].ravel()
    return numbers


def simultaneous(runs: Runs) -> sparse.csr_array:
    """Which runs (runs, runs) sound at the same time in the same window: two people by the network's own decision.

    Two local speakers of a window who merely take turns are no such evidence: often they are one person.
    """
    length = runs.end - runs.start
    first = np.concatenate([[0], np.cumsum(length)])
    offset = runs.window * runs.end.max() + runs.start - first[:-1]
    frames = np.arange(first[-1]) + np.repeat(offset, length)
    sounds = sparse.csr_array((np.ones(len(frames), np.int32), frames, first))  # (runs, frames of all windows)
    shared = sparse.coo_array(sounds @ sounds.T)
    a, b = shared.coords
    both = (a != b) & (shared.data >= SIMULTANEOUS * np.minimum(length[a], length[b]))
    return sparse.csr_array((np.ones(both.sum(), np.float32), (a[both], b[both])), shape=shared.shape)


def _voices(runs: Runs, track_weight: float, pitch_weight: float) -> Floats:
    """Voices (runs, dim + 2): of each run, and `track_weight` times the mean of all that its local speaker says there.

    A run lasts a second or two, which is little to know a voice by; its local speaker says more in the window.
    """
    track, heard = tracks(runs), runs.voices(pitch_weight)
    sums = np.zeros((track.max() + 1, heard.shape[1]), np.float32)
    np.add.at(sums, track, heard * np.maximum(runs.clean_s, 1e-3)[:, None])
    return _unit(heard + np.float32(track_weight) * _unit(sums)[track])


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)


def _grow(analysis: Analysis, min_embed_s: float, track_weight: float, pitch_weight: float) -> Tree:
    runs = analysis.runs
    founds = runs.clean_s >= min_embed_s
    if not founds.any():
        founds[:] = True
    apart = simultaneous(runs)
    seconds = np.asarray(np.maximum(runs.clean_s, 1e-3) / views(analysis), np.float32)
    sums = _voices(runs, track_weight, pitch_weight) * seconds[:, None]
    founding = sums[founds], seconds[founds], apart[founds][:, founds]
    groups = condense(*founding)
    leaves = grouped(*founding, groups)
    return Tree(founds, apart, sums, groups, leaves[1], link(*leaves))


def _found(tree: Tree, tuning: Tuning, low: int, high: float) -> Ints:
    """Cluster of each founding run (n,), NOBODY for members of clusters too small to stay."""
    groups, weight, merges = tree.groups, tree.weight, tree.merges
    share = tuning.min_cluster_share * float(weight.sum())
    steps = _choose_steps(merges, weight.astype(np.float64), share, tuning.merge_similarity, low, high)
    labels = merges.labels(len(weight), steps)
    mass = np.bincount(labels, weights=weight)
    order = np.argsort(-mass, kind="stable")
    large = int((mass >= share).sum()) or len(mass)  # all of them small: nothing better to dissolve into
    kept = order[: int(min(max(large, low), high, len(mass)))]
    renumber = np.full(len(mass), NOBODY, np.int64)
    renumber[np.sort(kept)] = np.arange(len(kept))
    return renumber[labels[groups]]


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


def _join(speaker: Ints, runs: Runs, apart: sparse.csr_array, similarity: Floats) -> None:
    """Fill the NOBODY entries of speaker (runs,), the longest run first, by the greatest similarity (runs, clusters).

    A cluster that sounds at the same time in the window is the last resort.
    """
    joining = np.flatnonzero(speaker == NOBODY)
    for run in joining[np.argsort(runs.start[joining] - runs.end[joining], kind="stable")]:
        beside = speaker[apart.indices[apart.indptr[run] : apart.indptr[run + 1]]]
        taken = np.isin(np.arange(similarity.shape[1]), beside)
        speaker[run] = (similarity[run] - 9 * taken).argmax()
