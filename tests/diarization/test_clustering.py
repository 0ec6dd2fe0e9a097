import numpy as np
import pytest
from hand_made import analysis_of

from voiceflow_model.diarization.card import Tuning
from voiceflow_model.diarization.clustering import NOBODY, cluster
from voiceflow_model.errors import ConfigError

FRAMES = 100


def windows(*tracks):
    """One window per argument: ((first, last, voice), ...) for its local speakers, one track each."""
    decisions = np.zeros((len(tracks), FRAMES, 3), bool)
    voice = np.zeros((len(tracks), FRAMES), int)
    for window, speakers in enumerate(tracks):
        for local, (first, last, who) in enumerate(speakers):
            decisions[window, first:last, local] = True
            voice[window, first:last] = who
    return analysis_of(decisions, voice, [window * FRAMES for window in range(len(tracks))])


def test_the_same_voice_is_one_cluster_and_silence_is_nobody():
    found = cluster(windows([(0, 50, 0), (50, 100, 1)], [(0, 50, 1)], [(0, 40, 0), (50, 90, 2)]), Tuning())
    assert found.labels.tolist() == [[0, 1, NOBODY], [1, NOBODY, NOBODY], [0, 2, NOBODY]]
    np.testing.assert_allclose(found.centroids, np.eye(4)[:3], atol=1e-5)


def test_a_word_does_not_found_a_speaker_but_joins_the_nearest_that_is_free():
    word = (60, 65, 2)  # 0.1 s, of a third voice
    found = cluster(windows([(0, 50, 0), word], [(0, 50, 1)]), Tuning())
    assert len(found.centroids) == 2
    assert found.labels[0, :2].tolist() == [0, 1], "the window's other local speaker has cluster 0 already"


def test_when_there_are_only_words_they_found_the_speakers():
    assert cluster(windows([(0, 5, 0), (10, 15, 1)]), Tuning()).labels[0].tolist() == [0, 1, NOBODY]


def test_a_cluster_with_too_small_a_share_dissolves():
    analysis = windows(*[[(0, 100, 0)]] * 30, [(0, 100, 1)], [(0, 30, 2)])
    assert len(cluster(analysis, Tuning(min_cluster_share=0.0)).centroids) == 3
    found = cluster(analysis, Tuning(min_cluster_share=0.02))
    assert len(found.centroids) == 2
    assert found.labels.min(initial=0, where=found.labels != NOBODY) == 0


def test_many_equally_small_clusters_are_all_kept():
    analysis = windows(*[[(0, 100, voice)] for voice in range(4)])
    assert len(cluster(analysis, Tuning(min_cluster_share=0.5)).centroids) == 4


def test_min_speakers_stops_merging_and_counts_no_outliers():
    analysis = windows(*[[(0, 100, voice % 2)] for voice in range(40)], [(0, 30, 3)])
    everything_merges = Tuning(merge_similarity=-1.0)
    assert len(cluster(analysis, everything_merges).centroids) == 1
    found = cluster(analysis, everything_merges, min_speakers=2, max_speakers=2)
    assert found.labels[:4, 0].tolist() == [0, 1, 0, 1]


def test_max_speakers_holds_even_against_a_window_with_more_local_speakers():
    found = cluster(windows([(0, 50, 0), (50, 100, 1)]), Tuning(), max_speakers=1)
    assert found.labels[0].tolist() == [0, 0, NOBODY]


@pytest.mark.parametrize("bounds", [(0, None), (-1, None), (None, 0), (3, 2)])
def test_impossible_bounds_are_refused(bounds):
    with pytest.raises(ConfigError, match="leave both out"):
        cluster(windows([(0, 50, 0)]), Tuning(), *bounds)
