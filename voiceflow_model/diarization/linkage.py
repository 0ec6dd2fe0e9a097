"""Constrained agglomerative clustering: weighted average linkage on cosine, and what is apart never merges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from voiceflow_model.diarization.pooling import Floats

Ints = NDArray[np.int64]

BLOCK = 4_000  # the largest similarity matrix is (BLOCK, BLOCK) float32, 64 MB: ~25 min of lively conversation


@dataclass(frozen=True)
class Merges:
    """The order in which n clusters become fewer: step s puts cluster b[s] into a[s] at their mean similarity.

    Similarities never rise from step to step, since the mean over a union lies between the means over its parts; so
    cutting at a threshold is taking the first steps.
    """

    a: Ints  # (steps,)
    b: Ints  # (steps,)
    similarity: NDArray[np.float32]  # (steps,)

    def labels(self, n: int, steps: int) -> Ints:
        """Cluster of each of n starting points (n,) after so many steps, numbered from 0 in order of appearance."""
        parent = np.arange(n)
        for a, b in zip(self.a[:steps][::-1], self.b[:steps][::-1], strict=True):
            parent[b] = parent[a]
        _, first, labels = np.unique(parent, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[labels]


def link(sums: Floats, weights: Floats, apart: sparse.csr_array) -> Merges:
    """All allowed merges of groups of unit vectors, given by their weighted sums (n, dim) and total weights (n,).

    apart (n, n), symmetric, is not zero for pairs that must not merge. The weighted mean cosine of two groups is
    (sum_a . sum_b) / (weight_a * weight_b), so groups merge without going back to their members. O(n^2) memory.
    """
    similarity = (sums @ sums.T) / np.outer(weights, weights)  # (n, n)
    similarity[apart.nonzero()] = -np.inf
    np.fill_diagonal(similarity, -np.inf)
    weight = weights.copy()
    nearest = similarity.argmax(axis=1)
    best = similarity.max(axis=1)
    merges: list[tuple[int, int, float]] = []
    while (value := best[a := int(best.argmax())]) > -np.inf:
        b = int(nearest[a])
        merges.append((a, b, float(value)))
        # -inf (never merge) survives the mean, so constraints are inherited by the union.
        row = (weight[a] * similarity[a] + weight[b] * similarity[b]) / (weight[a] + weight[b])
        weight[a] += weight[b]
        similarity[a] = similarity[:, a] = row
        similarity[b] = similarity[:, b] = best[b] = -np.inf
        # Means never exceed the best of their parts: only rows that pointed at a or b look again.
        stale = np.flatnonzero(((nearest == a) | (nearest == b)) & (best > -np.inf))
        nearest[stale] = similarity[stale].argmax(axis=1)
        best[stale] = similarity[stale, nearest[stale]]
    a_, b_, s_ = zip(*merges, strict=True) if merges else ((), (), ())
    return Merges(np.array(a_, np.int64), np.array(b_, np.int64), np.array(s_, np.float32))


def condense(sums: Floats, weights: Floats, apart: sparse.csr_array, block: int = BLOCK) -> Ints:
    """Group (n,) of each point of `link`, so that there are at most `block` groups; the identity when n is small.

    Bounds memory for recordings of any length: each stretch of `block` points in a row is linked by itself until an
    eighth of it is left, far more groups than there are speakers, and `link` then goes on with the groups.
    """
    groups = np.arange(len(weights))
    while (n := len(weights)) > block:
        condensed, offset = np.empty(n, np.int64), 0
        for first in range(0, n, block):
            part = slice(first, min(first + block, n))
            merges, length = link(sums[part], weights[part], apart[part, part]), part.stop - first
            condensed[part] = merges.labels(length, max(length - block // 8, 0)) + offset
            offset = int(condensed[part].max()) + 1
        if offset == n:
            break
        groups = condensed[groups]
        sums, weights, apart = grouped(sums, weights, apart, condensed)
    return groups


def grouped(
    sums: Floats, weights: Floats, apart: sparse.csr_array, groups: Ints
) -> tuple[Floats, Floats, sparse.csr_array]:
    """What `link` takes, for the groups (n,) of what it takes: groups are apart when any of their members are."""
    member = sparse.csr_array((np.ones(len(groups), np.float32), (groups, np.arange(len(groups)))))
    return member @ sums, member @ weights, member @ apart @ member.T
