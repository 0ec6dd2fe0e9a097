import numpy as np
import pytest
from hand_made import analysis_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voiceflow_model.diarization.analysis import Runs, cut_runs, find_runs, join_runs, local_activity

POWERSET = ((), (0,), (1,), (0, 1))


def test_the_most_probable_class_decides_and_probabilities_add_over_classes():
    logits = np.log(np.array([[[0.4, 0.3, 0.0001, 0.2999], [0.1, 0.1, 0.1, 0.7]]], np.float32))
    probabilities, decisions = local_activity(logits, POWERSET, 2)
    np.testing.assert_allclose(probabilities, [[[0.5999, 0.3], [0.8, 0.8]]], atol=1e-4)
    assert decisions.tolist() == [[[False, False], [True, True]]]


@given(active=arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 3))))
def test_runs_are_maximal_and_cover_exactly_the_activity(active):
    rebuilt = np.zeros_like(active)
    found = list(zip(*find_runs(active), strict=True))
    assert found == sorted(found)
    for window, local, start, end in found:
        assert not rebuilt[window, max(start - 1, 0) : end, local].any()
        rebuilt[window, start:end, local] = True
    np.testing.assert_array_equal(rebuilt, active)


@given(
    active=arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 3))), longest=st.integers(1, 12)
)
def test_long_runs_are_cut_into_the_fewest_equal_parts(active, longest):
    parts = {}
    for window, local, start, end in zip(*cut_runs(active, longest), strict=True):
        parts.setdefault((window, local), []).append((start, end))
    for window, local, start, end in zip(*find_runs(active), strict=True):
        inside = [part for part in parts[window, local] if start <= part[0] < end]
        lengths = [b - a for a, b in inside]
        assert inside == sorted(inside)
        assert (inside[0][0], sum(lengths), inside[-1][1]) == (start, end - start, end)
        assert max(lengths) <= longest
        assert max(lengths) - min(lengths) <= 1
        assert len(inside) == -(-(end - start) // longest)


def test_each_part_of_a_cut_run_has_its_own_voice():
    analysis = analysis_of(np.ones((1, 100, 1), bool), np.repeat([[0, 1]], 50, axis=1), [0], max_run_s=1.0)
    np.testing.assert_allclose(analysis.runs.embedding, np.eye(4)[:2], atol=1e-6)
    assert analysis.runs.clean_s.tolist() == [pytest.approx(1.0)] * 2


def test_embeddings_come_from_frames_where_nobody_else_speaks():
    decisions = np.zeros((1, 100, 2), bool)
    decisions[0, :60, 0] = decisions[0, 40:, 1] = True
    voice = np.repeat([0, 3, 1], [40, 20, 40])[None]  # overlap sounds like a third voice
    analysis = analysis_of(decisions, voice, [0])
    np.testing.assert_allclose(analysis.runs.embedding, np.eye(4)[:2], atol=1e-6)
    assert analysis.runs.clean_s.tolist() == [pytest.approx(0.8)] * 2


def test_each_run_has_the_embedding_of_its_own_frames():
    decisions = np.zeros((2, 100, 2), bool)
    decisions[1, :30, 1] = decisions[1, 50:70, 1] = True
    analysis = analysis_of(decisions, np.repeat([[0, 2]], 50, axis=1).repeat(2, axis=0), [0, 50])
    assert (analysis.runs.window.tolist(), analysis.runs.local.tolist()) == ([1, 1], [1, 1])
    np.testing.assert_allclose(analysis.runs.embedding, np.eye(4)[[0, 2]], atol=1e-6)


def test_each_run_has_the_pitch_of_its_own_clean_frames():
    decisions = np.zeros((1, 100, 2), bool)
    decisions[0, :60, 0] = decisions[0, 40:, 1] = True
    angle = np.repeat([0.2, 3.0, 1.0], [40, 20, 40])
    pitch = np.stack([np.cos(angle), np.sin(angle)], axis=1)[None].astype(np.float32)
    pitch[0, ::2] = 0  # unvoiced
    runs = analysis_of(decisions, np.zeros((1, 100), int), [0], pitch=pitch).runs
    np.testing.assert_allclose(np.arctan2(runs.pitch[:, 1], runs.pitch[:, 0]), [0.2, 1.0], atol=1e-6)
    pitch[0, 60:97] = 0
    few = analysis_of(decisions, np.zeros((1, 100), int), [0], pitch=pitch).runs
    assert few.pitch[1].tolist() == [0, 0]
    np.testing.assert_allclose(np.linalg.norm(few.voices(0.3), axis=1), 1, atol=1e-6)


def test_joining_counts_windows_on():
    part = Runs(np.array([0, 1]), *(np.zeros(2, int),) * 3, *(np.zeros((2, n), np.float32) for n in (3, 2)), np.ones(2))
    assert join_runs([(0, part), (4, part)], 3).window.tolist() == [0, 1, 4, 5]
    assert join_runs([], 3).embedding.shape == (0, 3)
