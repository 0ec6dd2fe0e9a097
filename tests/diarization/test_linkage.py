import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.cluster.hierarchy import fcluster, linkage

from voiceflow_model.diarization.linkage import condense, grouped, link


def unit(vectors):
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def voices(rng, speakers, per_speaker, noise=0.3, dim=32):
    centres = unit(rng.normal(size=(speakers, dim)))
    who = np.tile(np.arange(speakers), per_speaker)
    return unit(centres[who] + rng.normal(size=(len(who), dim)) * noise / np.sqrt(dim)), who


def partition(labels):
    return {frozenset(np.flatnonzero(labels == label)) for label in np.unique(labels)}


def same(windows):
    """Which vectors may not share a cluster: those of one window."""
    return sparse.csr_array((windows[:, None] == windows).astype(np.float32) - np.eye(len(windows), dtype=np.float32))


def cluster_at(vectors, windows, similarity, block=10_000, weights=None):
    weights = np.ones(len(vectors), np.float32) if weights is None else weights
    points = (vectors * weights[:, None], weights, same(windows))
    groups = condense(*points, block)
    merges = link(*grouped(*points, groups))
    steps = int((merges.similarity >= similarity).sum())
    return merges.labels(int(groups.max()) + 1, steps)[groups], merges


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(2, 40), threshold=st.sampled_from([0.0, 0.2, 0.5]))
def test_without_constraints_it_is_average_linkage_on_cosine(seed, n, threshold):
    vectors = unit(np.random.default_rng(seed).normal(size=(n, 5)))
    ours, _ = cluster_at(vectors, np.arange(n), threshold)
    scipys = fcluster(linkage(vectors, "average", metric="cosine"), 1 - threshold, "distance")
    assert partition(ours) == partition(scipys)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(2, 12), threshold=st.sampled_from([0.0, 0.2, 0.5]))
def test_a_weight_counts_as_so_many_copies(seed, n, threshold):
    rng = np.random.default_rng(seed)
    vectors, copies = unit(rng.normal(size=(n, 5))), rng.integers(1, 4, size=n)
    ours, _ = cluster_at(vectors, np.arange(n), threshold, weights=copies.astype(np.float32))
    scipys = fcluster(
        linkage(np.repeat(vectors, copies, axis=0), "average", metric="cosine"), 1 - threshold, "distance"
    )
    assert partition(ours) == partition(scipys[np.cumsum(copies) - 1])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), windows=st.integers(1, 15), threshold=st.sampled_from([-1.0, 0.0, 0.5]))
def test_speakers_of_one_window_never_merge_and_similarities_never_rise(seed, windows, threshold):
    rng = np.random.default_rng(seed)
    window = np.sort(rng.integers(0, windows, size=3 * windows))
    labels, merges = cluster_at(unit(rng.normal(size=(len(window), 4))), window, threshold)
    assert len({*zip(window, labels, strict=True)}) == len(window)
    assert (np.diff(merges.similarity) <= 1e-6).all()


def test_identical_voices_in_one_window_stay_two_speakers():
    identical = unit(np.ones((2, 3)))
    labels, _ = cluster_at(identical, np.array([0, 0]), 0.5)
    assert labels.tolist() == [0, 1]
    labels, _ = cluster_at(identical, np.array([0, 1]), 0.5)
    assert labels.tolist() == [0, 0]


def test_condensing_a_long_recording_finds_the_same_speakers_and_keeps_windows_apart():
    rng = np.random.default_rng(3)
    vectors, who = voices(rng, 4, 150)
    windows = np.repeat(np.arange(300), 2)
    groups = condense(vectors, np.ones(600, np.float32), same(windows), block=128)
    assert groups.max() < 128
    labels, _ = cluster_at(vectors, windows, 0.5, block=128)
    assert partition(labels) == partition(who)


def test_three_thousand_embeddings_take_seconds():
    vectors, who = voices(np.random.default_rng(4), 6, 500, noise=0.8, dim=192)
    started = time.perf_counter()
    labels, _ = cluster_at(vectors, np.arange(len(vectors)) // 2, 0.4)
    assert time.perf_counter() - started < 15
    assert partition(labels) == partition(who)


def test_nothing_to_merge():
    labels, merges = cluster_at(unit(np.ones((1, 3))), np.array([0]), 0.5)
    assert labels.tolist() == [0]
    assert len(merges.a) == 0
