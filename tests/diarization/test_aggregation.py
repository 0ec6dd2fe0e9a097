import numpy as np
import pytest
from hand_made import VOICES, analysis_of
from hypothesis import given
from hypothesis import strategies as st

from voiceflow_model.diarization.aggregation import active_speakers, hysteresis, speaker_scores, to_turns, votes
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.rttm import Turn


@given(score=st.lists(st.floats(0, 1), max_size=60), onset=st.floats(0.1, 0.9), offset=st.floats(0.1, 0.9))
def test_hysteresis_is_what_a_state_machine_does(score, onset, offset):
    on, expected = False, []
    for value in score:
        if value > onset:
            on = True
        elif value < min(onset, offset):
            on = False
        expected.append(on)
    assert hysteresis(np.array(score), onset, offset).tolist() == expected


def test_speech_divided_between_two_clusters_is_given_to_one_and_not_missed():
    scores = np.array([[0.45, 0.4], [0.4, 0.0], [0.9, 0.8]], np.float32)
    assert active_speakers(scores.sum(axis=1), scores, Tuning()).astype(int).tolist() == [[1, 0], [0, 0], [1, 1]]


def test_an_offset_below_the_onset_carries_a_turn_over_a_dip():
    scores = np.array([[0.3], [0.9], [0.4], [0.9], [0.2]], np.float32)
    carried = active_speakers(scores[:, 0], scores, Tuning(onset=0.5, offset=0.3))
    assert carried[:, 0].tolist() == [False, True, True, True, False]
    assert active_speakers(scores[:, 0], scores, Tuning())[:, 0].tolist() == [False, True, False, True, False]


def test_scores_are_means_over_the_windows_that_see_a_frame():
    decisions = np.zeros((2, 10, 2), bool)
    decisions[0, :, 0] = True
    analysis = analysis_of(decisions, np.zeros((2, 10), int), [0, 5], sure=0.8)
    scores = speaker_scores(analysis, analysis.runs, np.eye(1))
    np.testing.assert_allclose(scores[:, 0], [0.8] * 5 + [0.4] * 5 + [0.0] * 5)


def test_a_run_carries_unsure_frames_up_to_halfway_to_the_next_run():
    decisions = np.zeros((1, 12, 1), bool)
    decisions[0, 2:4], decisions[0, 8:10] = True, True
    analysis = analysis_of(decisions, np.zeros((1, 12), int), [0])
    analysis.probabilities[:] = 0.4
    scores = speaker_scores(analysis, analysis.runs, np.eye(2))
    np.testing.assert_allclose(scores[:, 0], [0.4] * 6 + [0] * 6)
    np.testing.assert_allclose(scores[:, 1], [0] * 6 + [0.4] * 6)


def test_two_local_speakers_of_one_cluster_do_not_count_twice():
    analysis = analysis_of(np.ones((1, 10, 2), bool), np.zeros((1, 10), int), [0])
    np.testing.assert_allclose(speaker_scores(analysis, analysis.runs, np.ones((2, 1))), 0.9)


def test_votes_are_a_softmax_of_likeness():
    near, other = votes(VOICES[:1], np.array([[0.6, 0.8, 0, 0], [0.5, 0, 0.866, 0]], np.float32))[0]
    assert near + other == pytest.approx(1)
    assert near / other == pytest.approx(np.e)


@pytest.mark.parametrize(
    ("tuning", "expected"),
    [
        (Tuning(min_pause_s=0, min_turn_s=0), [(0, 0.1), (0.14, 0.02), (0.3, 0.02)]),
        (Tuning(min_pause_s=0.04, min_turn_s=0), [(0, 0.16), (0.3, 0.02)]),
        (Tuning(min_pause_s=0.04, min_turn_s=0.04), [(0, 0.16)]),
        (Tuning(min_pause_s=0, min_turn_s=0.2), []),
    ],
)
def test_short_pauses_are_filled_before_short_turns_are_dropped(tuning, expected):
    active = np.array([[c == "#"] for c in "#####..#.......#"])
    assert [(t.start_s, t.duration_s) for t in to_turns(active, 0.02, tuning)] == expected


def test_speakers_are_named_in_order_of_appearance():
    active = np.array([[0, 1], [0, 1], [1, 0]], bool)
    turns = to_turns(active, 1.0, Tuning())
    assert turns == [Turn(0.0, 2.0, "speaker_1"), Turn(2.0, 1.0, "speaker_2")]
