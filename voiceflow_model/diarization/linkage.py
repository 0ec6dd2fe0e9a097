"""Constrained agglomerative clustering: average linkage on cosine, and clusters that share a window never merge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Ints = NDArray[np.int64]

BLOCK = 4_000  # the largest similarity matrix is (BLOCK, BLOCK) float32, 64 MB: ~1.3 h of two-speaker windows


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


def link(sums: NDArray[np.float32], sizes: NDArray[np.float32], incidence: sparse.csr_array) -> Merges:
    """All merges that the windows allow, from groups of unit vectors given by their sums (n, dim) and sizes (n,).

    incidence (n, windows) says which windows a group appears in. The mean cosine of two groups of unit vectors is
    (sum_a . sum_b) / (size_a * size_b), so groups merge without going back to their members. O(n^2) memory.
    """
    similarity = (sums @ sums.T) / np.outer(sizes, sizes)  # (n, n)
    rows, columns = (incidence @ incidence.T).nonzero()  # the diagonal is among these
    similarity[rows, columns] = -np.inf
    np.fill_diagonal(similarity, -np.inf)
    size = sizes.copy()
    nearest = similarity.argmax(axis=1)
    best = similarity.max(axis=1)
    merges: list[tuple[int, int, float]] = []
    while (value := best[a := int(best.argmax())]) > -np.inf:
        b = int(nearest[a])
        merges.append((a, b, float(value)))
        # -inf (never merge) survives the mean, so constraints are inherited by the union.
        row = (size[a] * similarity[a] + size[b] * similarity[b]) / (size[a] + size[b])
        size[a] += size[b]
        similarity[a] = similarity[:, a] = row
        similarity[b] = similarity[:, b] = best[b] = -np.inf
        # Means never exceed the best of their parts: only rows that pointed at a or b look again.
        stale = np.flatnonzero(((nearest == a) | (nearest == b)) & (best > -np.inf))
        nearest[stale] = similarity[stale].argmax(axis=1)
        best[stale] = similarity[stale, nearest[stale]]
    a_, b_, s_ = zip(*merges, strict=True) if merges else ((), (), ())
    return Merges(np.array(a_, np.int64), np.array(b_, np.int64), np.array(s_, np.float32))


def condense(vectors: NDArray[np.float32], windows: Ints, block: int = BLOCK) -> Ints:
    """Group (n,) of each unit vector (n, dim), so that there are at most `block` groups; the identity when n is small.

    Bounds memory for recordings of any length: each stretch of `block` vectors in a row is linked by itself until an
    eighth of it is left, far more groups than there are speakers, and `link` then goes on with the groups.
    """
    groups = np.arange(len(vectors))
    while (n := int(groups.max(initial=-1)) + 1) > block:
        sums, sizes, incidence = grouped(vectors, windows, groups)
        condensed, offset = np.empty(n, np.int64), 0
        for first in range(0, n, block):
            part = slice(first, min(first + block, n))
            merges, length = link(sums[part], sizes[part], incidence[part]), part.stop - first
            condensed[part] = merges.labels(length, max(length - block // 8, 0)) + offset
            offset = int(condensed[part].max()) + 1
        if offset == n:
            break
        groups = condensed[groups]
    return groups


def grouped(
    vectors: NDArray[np.float32], windows: Ints, groups: Ints
) -> tuple[NDArray[np.float32], NDArray[np.float32], sparse.csr_array]:
    """Sums (groups, dim), sizes (groups,) and window incidence (groups, windows) for `link`."""
    n, of_windows = int(groups.max(initial=-1)) + 1, int(windows.max(initial=-1)) + 1
    ones = np.ones(len(groups), np.float32)
    member = sparse.csr_array((ones, (groups, np.arange(len(groups)))), shape=(n, len(groups)))
    incidence = sparse.csr_array((ones, (groups, windows)), shape=(n, of_windows))
    return member @ vectors, np.bincount(groups, minlength=n).astype(np.float32), incidence
