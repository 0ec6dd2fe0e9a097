from dataclasses import replace

import numpy as np
import pytest
from hand_made import VOICES, analysis_of

from voiceflow_model.diarization.analysis import Analysis, Runs
from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.clustering import cluster
from voiceflow_model.diarization.decision import activity, decide
from voiceflow_model.errors import ConfigError

FRAMES = 100
KEEP_ALL = Tuning(min_cluster_share=0.0)


def windows(*tracks):
    """One window per argument: ((first, last, voice, local), ...), by default each stretch on a track of its own."""
    decisions = np.zeros((len(tracks), FRAMES, 3), bool)
    voice = np.zeros((len(tracks), FRAMES), int)
    for window, stretches in enumerate(tracks):
        for number, (first, last, who, *local) in enumerate(stretches):
            decisions[window, first:last, local[0] if local else number] = True
            voice[window, first:last] = who
    return analysis_of(decisions, voice, [window * FRAMES for window in range(len(tracks))])


def speakers(analysis, tuning=KEEP_ALL, **bounds):
    """Speakers of the runs, in order of window, local speaker and time."""
    return cluster(analysis, tuning, **bounds).tolist()


def heard(*runs, pitch=None):
    """Runs of one window, (local, first, last, voice (4,), clean_s), as only a mistaken network makes them.

    Angles of `pitch` (runs,), if any, say how high they are.
    """
    local, start, end, voice, clean_s = zip(*runs, strict=True)
    unit = np.array(voice, np.float32) / np.linalg.norm(voice, axis=1, keepdims=True)
    made = Runs(
        np.zeros(len(runs), int), *map(np.array, (local, start, end)), unit.astype(np.float32),
        np.zeros((len(runs), 2), np.float32) if pitch is None else np.stack([np.cos(pitch), np.sin(pitch)], axis=1),
        np.array(clean_s, np.float32),
    )  # fmt: skip
    return Analysis(0.02, 500, np.array([0]), np.zeros((1, 500, 2), np.float32), made, made)


def test_the_same_voice_is_one_speaker_in_every_window():
    analysis = windows([(0, 50, 0), (50, 100, 1)], [(0, 50, 1)], [(0, 40, 0), (50, 90, 2)])
    assert speakers(analysis) == [0, 1, 1, 0, 2]


def test_nobody_is_nobody():
    assert cluster(windows([]), Tuning()).shape == (0,)
    assert decide(windows([]), Tuning()) == []


def test_one_person_on_two_local_tracks_of_a_window_is_one_speaker():
    assert speakers(windows([(0, 40, 0, 0), (50, 90, 0, 1)], [(0, 50, 1)])) == [0, 0, 1]


def test_two_people_on_one_local_track_of_a_window_are_two_speakers():
    analysis = windows([(0, 100, 0)], [(0, 100, 1)], [(0, 60, 0, 0), (70, 100, 1, 0)])
    assert speakers(analysis) == [0, 1, 0, 1]
    assert [(t.start_s, round(t.end_s, 2), t.speaker[-1]) for t in decide(analysis, KEEP_ALL)] == [
        (0.0, 2.0, "1"), (2.0, 4.0, "2"), (4.0, 5.2, "1"), (5.4, 6.0, "2"),
    ]  # fmt: skip


def test_a_change_of_speaker_that_the_network_missed_is_heard_by_the_pieces_of_a_run():
    voice = np.repeat([[0, 0], [1, 1], [0, 1]], 200, axis=1)
    analysis = analysis_of(np.ones((3, 400, 1), bool), voice, [0, 400, 800])
    assert len(speakers(analysis)) == 3
    assert [(t.start_s, t.duration_s, t.speaker[-1]) for t in decide(analysis, KEEP_ALL)] == [
        (0.0, 8.0, "1"), (8.0, 8.0, "2"), (16.0, 4.0, "1"), (20.0, 4.0, "2"),
    ]  # fmt: skip


def test_pieces_tell_who_talks_and_not_how_many():
    decisions = np.ones((2, FRAMES, 2), bool)
    decisions[1, :, 1] = False
    analysis = analysis_of(decisions, np.repeat([[0], [1]], FRAMES, axis=1), [0, FRAMES])
    disputed = replace(analysis, pieces=replace(analysis.pieces, embedding=VOICES[[0, 1, 1]]))
    active = activity(disputed, np.array([0, 0, 1]), KEEP_ALL)
    assert (active.sum(axis=1) == 1).all()
    assert active[FRAMES:, 1].all()


def test_more_speakers_than_a_window_has_tracks():
    analysis = windows([(0, 30, 0, 0), (30, 60, 1, 1), (60, 90, 2, 2)], [(0, 50, 3, 0), (50, 100, 0, 1)])
    assert speakers(analysis) == [0, 1, 2, 3, 0]


def test_one_voice_on_two_tracks_at_once_stays_two_speakers():
    alike = [1, 0, 0, 0]
    assert cluster(heard((0, 0, 60, alike, 0.6), (1, 30, 90, alike, 0.6)), KEEP_ALL).tolist() == [0, 1]
    assert cluster(heard((0, 0, 60, alike, 1.1), (1, 55, 90, alike, 0.6)), KEEP_ALL).tolist() == [0, 0], "a touch"


def test_and_keeps_the_clusters_of_both_apart():
    low, high = [1, 0.2, 0, 0], [1, -0.2, 0, 0]
    analysis = heard((0, 0, 60, low, 1.0), (0, 100, 160, low, 1.0), (1, 0, 60, high, 1.0), (1, 100, 160, high, 1.0))
    assert cluster(analysis, KEEP_ALL).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("track", [0, 1], ids=["another's track", "a track of its own"])
def test_a_word_goes_with_the_nearest_voice_whatever_its_track(track):
    analysis = windows([(0, 50, 0, 0), (60, 65, 1, track)], [(0, 50, 1)])
    assert speakers(analysis) == [0, 1, 1]


def test_a_word_over_somebody_else_is_not_his():
    first, second, word = [1, 0, 0, 0], [0, 1, 0, 0], [1, 0.3, 0, 0]
    analysis = heard((0, 0, 60, first, 1.0), (0, 100, 160, second, 1.0), (1, 20, 30, word, 0.0))
    assert cluster(analysis, KEEP_ALL).tolist() == [0, 1, 1]
    analysis = heard((0, 0, 60, first, 1.0), (1, 20, 30, word, 0.0))
    assert cluster(analysis, KEEP_ALL).tolist() == [0, 0], "unless there is nobody else"


def test_of_two_words_at_once_the_longer_one_chooses_first():
    first, second = [1, 0, 0, 0], [0, 1, 0, 0]
    voices = ((0, 0, 60, first, 1.0), (0, 100, 160, second, 1.0))
    assert cluster(heard(*voices, (1, 200, 208, first, 0.0), (2, 200, 215, first, 0.0)), KEEP_ALL).tolist()[2:] == [
        1,
        0,
    ]
    assert cluster(heard(*voices, (1, 200, 215, first, 0.0), (2, 200, 208, first, 0.0)), KEEP_ALL).tolist()[2:] == [
        0,
        1,
    ]


def test_when_there_are_only_words_they_found_the_speakers():
    assert speakers(windows([(0, 5, 0), (10, 15, 1)])) == [0, 1]


def test_seconds_and_not_the_number_of_runs_make_a_voice():
    at_0, at_35, at_75 = [1, 0, 0, 0], [0.819, 0.574, 0, 0], [0.259, 0.966, 0, 0]  # degrees
    tuning = Tuning(merge_similarity=0.4, min_cluster_share=0.0, track_weight=0.0)
    for seconds, found in (((8.0, 0.6, 0.8), [0, 0, 1]), ((0.6, 0.6, 0.6), [0, 0, 0])):
        voices = zip((0, 410, 450), (400, 440, 490), (at_0, at_35, at_75), seconds, strict=True)
        assert cluster(heard(*((0, *voice) for voice in voices)), tuning).tolist() == found


def test_a_short_run_is_known_by_what_its_local_speaker_says_around_it():
    first, second, blurred = [1, 0, 0, 0], [0, 1, 0, 0], [0.6, 0, 0.8, 0]
    analysis = heard((0, 0, 200, first, 4.0), (1, 210, 400, second, 3.8), (0, 410, 440, blurred, 0.6))
    for weight, found in ((0.0, [0, 1, 2]), (0.5, [0, 1, 0])):
        tuning = Tuning(merge_similarity=0.7, min_cluster_share=0.0, track_weight=weight)
        assert cluster(analysis, tuning).tolist() == found


def test_pitch_tells_apart_whom_voices_do_not_and_joins_whom_they_half_do():
    alike, half_alike = ([1, 0, 0, 0], [0.8, 0.6, 0, 0]), ([1, 0, 0, 0], [0.6, 0.8, 0, 0])
    for voices, pitch, without, found in ((alike, [0, np.pi], [0, 0], [0, 1]), (half_alike, [1, 1], [0, 1], [0, 0])):
        runs = [(0, first, first + 200, voice, 4.0) for first, voice in zip((0, 250), voices, strict=True)]
        for weight, expected in ((0.0, without), (0.2, found)):
            tuning = Tuning(merge_similarity=0.65, min_cluster_share=0.0, track_weight=0.0, pitch_weight=weight)
            assert cluster(heard(*runs, pitch=pitch), tuning).tolist() == expected
            assert cluster(heard(*runs), tuning).tolist() == without, "nothing is voiced"


def test_a_cluster_with_too_small_a_share_dissolves():
    analysis = windows(*[[(0, 100, 0)]] * 30, *[[(0, 100, 1)]] * 10, [(0, 30, 2)])
    assert max(speakers(analysis)) == 2
    assert max(speakers(analysis, Tuning(min_cluster_share=0.02))) == 1


def test_what_dissolves_goes_to_the_nearest_voice_too():
    like_second = (0, 470, 495, [0, 0.8, 0.6, 0], 0.5)
    analysis = heard((0, 0, 300, [1, 0, 0, 0], 6.0), like_second, (1, 310, 460, [0, 1, 0, 0], 3.0))
    strict = Tuning(merge_similarity=0.9, min_cluster_share=0.1)
    assert cluster(analysis, strict).tolist() == [0, 1, 1]
    assert cluster(analysis, strict.model_copy(update={"min_cluster_share": 0.0})).tolist() == [0, 1, 2]


def test_a_share_is_of_the_recording_and_not_of_the_windows_that_see_it():
    decisions, voice = np.ones((9, FRAMES, 1), bool), np.zeros((9, FRAMES), int)
    voice[0, :10], decisions[0, 10] = 1, False  # only the first window sees voice 1; five see the middle
    analysis = analysis_of(decisions, voice, range(0, 180, 20))
    assert len({*speakers(analysis, Tuning(min_embed_s=0.1, min_cluster_share=0.03))}) == 2
    assert len({*speakers(analysis, Tuning(min_embed_s=0.1, min_cluster_share=0.05))}) == 1


def test_many_equally_small_clusters_are_all_kept():
    analysis = windows(*[[(0, 100, voice)] for voice in range(4)])
    assert speakers(analysis, Tuning(min_cluster_share=0.5)) == [0, 1, 2, 3]


def test_min_speakers_stops_merging_and_counts_no_outliers():
    analysis = windows(*[[(0, 100, voice % 2)] for voice in range(40)], [(0, 30, 3)])
    everything_merges = Tuning(merge_similarity=-1.0, min_cluster_share=0.02)
    assert set(speakers(analysis, everything_merges)) == {0}
    assert speakers(analysis, everything_merges, min_speakers=2, max_speakers=2)[:4] == [0, 1, 0, 1]


def test_max_speakers_holds_even_against_two_who_talk_at_once():
    analysis = heard((0, 0, 60, [1, 0, 0, 0], 1.0), (1, 10, 70, [0, 1, 0, 0], 1.0))
    assert cluster(analysis, KEEP_ALL, max_speakers=1).tolist() == [0, 0]


@pytest.mark.parametrize("bounds", [(0, None), (-1, None), (None, 0), (3, 2)])
def test_impossible_bounds_are_refused(bounds):
    with pytest.raises(ConfigError, match="leave both out"):
        cluster(windows([(0, 50, 0)]), Tuning(), *bounds)
