import numpy as np
from hand_made import analysis_of

from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.clustering import cluster
from voiceflow_model.diarization.decision import decide
from voiceflow_model.diarization.reassignment import assign_runs

TUNING = Tuning(min_cluster_share=0.0)


def two_voices_on_one_track(second_run=(70, 100), other_track=()):
    """Two clear windows of one voice each, then one whose first local speaker is voice 0 and, later, voice 1."""
    decisions, voice = np.zeros((3, 100, 2), bool), np.zeros((3, 100), int)
    decisions[:2, :, 0], voice[1] = True, 1
    decisions[2, :60, 0] = True
    decisions[2, slice(*second_run), 0] = True
    voice[2, slice(*second_run)] = 1
    if other_track:
        decisions[2, slice(*other_track), 1] = True
        voice[2, slice(*other_track)] = 1
    return analysis_of(decisions, voice, [0, 100, 200])


def speaker_of_last_run(analysis, tuning=TUNING):
    clusters = cluster(analysis, tuning)
    runs = analysis.runs
    last = np.flatnonzero((runs.window == 2) & (runs.local == 0))[-1]
    return clusters.labels[2, 0], assign_runs(analysis, clusters, tuning)[last]


def test_a_run_with_another_voice_moves_to_that_speaker():
    assert speaker_of_last_run(two_voices_on_one_track()) == (0, 1)


def test_and_its_time_goes_with_it():
    turns = decide(two_voices_on_one_track(), TUNING)
    assert [(t.start_s, round(t.end_s, 2), t.speaker[-1]) for t in turns] == [
        (0.0, 2.0, "1"), (2.0, 4.0, "2"), (4.0, 5.2, "1"), (5.4, 6.0, "2"),
    ]  # fmt: skip


def test_a_run_stays_when_the_gain_is_not_clear_or_it_is_too_short():
    analysis = two_voices_on_one_track()
    assert speaker_of_last_run(analysis, Tuning(min_cluster_share=0.0, reassign_margin=2.0)) == (0, 0)
    assert speaker_of_last_run(two_voices_on_one_track((70, 85)), TUNING) == (0, 0)


def test_a_run_stays_when_the_other_speaker_already_talks_then():
    analysis = two_voices_on_one_track((70, 100), other_track=(80, 100))
    clusters = cluster(analysis, TUNING)
    last = np.flatnonzero((analysis.runs.window == 2) & (analysis.runs.local == 0))[-1]
    analysis.runs.clean_s[last] = 1.0
    assert clusters.labels[2].tolist() == [0, 1]
    assert assign_runs(analysis, clusters, TUNING)[last] == 0
