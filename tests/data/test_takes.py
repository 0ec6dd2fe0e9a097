"""One voice from several recordings: cut at pauses, each piece another device's, and the labels go with it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tones import ToneCorpus
from voiceflow_model.data.activity import voice_activity
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.microphone import MicrophoneConfig
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.takes import TakesConfig, in_takes
from voiceflow_model.data.walk import Cursor, Walk

BURST, PAUSE = 60, 20  # frames


def bursts(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of 1.2 s and 0.4 s of near silence, again and again: samples, and when it sounds."""
    active = np.tile(np.repeat([True, False], [BURST, PAUSE]), number)
    samples = keyed("bursts").normal(0, 0.1, len(active) * 320) * np.where(np.repeat(active, 320), 1, 1e-3)
    return samples.astype(np.float32), active


def levels_db(samples: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Of each burst."""
    edges = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return np.array([10 * np.log10(np.mean(np.square(samples[a * 320 : b * 320]))) for a, b in edges])


def test_takes_that_differ_in_nothing_change_nothing():
    samples, active = bursts(10)
    heard, spoken = in_takes(samples, active, keyed(0), TakesConfig(level_db=0), None)
    assert np.array_equal(heard, samples)
    assert np.array_equal(spoken, active)


def test_levels_change_between_bursts_and_never_within_one():
    samples, active = bursts(30)
    heard, _ = in_takes(samples, active, keyed(0), TakesConfig(seconds=4, level_db=3), None)
    gains = levels_db(heard, active) - levels_db(samples, active)
    changes = np.flatnonzero(np.abs(np.diff(gains)) > 0.01)
    assert 8 <= len(changes) <= 16  # 48 s in takes of 4
    assert 1 < np.std(gains) < 6
    ratio = (heard / samples).reshape(-1, 320)[active]
    assert np.abs(ratio.max(1) - ratio.min(1)).max() < 1e-3 * ratio.max()


def test_each_take_has_a_microphone_of_its_own():
    samples, active = bursts(10)
    heard, _ = in_takes(samples, active, keyed(0), TakesConfig(level_db=0), MicrophoneConfig(response_db=6))
    colours = []
    for burst in heard.reshape(-1, (BURST + PAUSE) * 320)[:, : BURST * 320]:
        power = np.abs(np.fft.rfft(burst)) ** 2
        low, high = power[len(power) // 8 : len(power) // 4].sum(), power[len(power) // 2 :].sum()
        colours.append(10 * np.log10(low / high))
    steps = np.abs(np.diff(colours))
    assert (steps > 1).any()  # from take to take
    assert (steps < 0.5).sum() >= 3  # within one


def test_speech_without_a_pause_is_one_take():
    samples, active = bursts(1)
    samples, active = np.tile(samples[: BURST * 320], 20), np.ones(BURST * 20, np.bool_)
    heard, _ = in_takes(samples, active, keyed(0), TakesConfig(level_db=6), None)
    ratio = heard / samples
    assert ratio.max() - ratio.min() < 1e-3 * ratio.max()


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.04, 0.1]))
@settings(max_examples=25, deadline=None)
def test_labels_follow_what_a_changed_speed_moves(seed: int, spread: float):
    samples, active = bursts(12)
    config = TakesConfig(speed_spread=spread)
    heard, spoken = in_takes(samples, active, keyed(seed), config, MicrophoneConfig(response_db=3))
    assert len(heard) == 320 * len(spoken)
    assert abs(len(spoken) / len(active) - 1) <= spread / (1 - spread) + 0.01
    assert np.mean(voice_activity(heard) == spoken) > 0.95
    again, _ = in_takes(samples, active, keyed(seed), config, MicrophoneConfig(response_db=3))
    assert np.array_equal(heard, again)


def test_an_utterance_is_recorded_anew_in_each_pass_and_the_same_whenever_it_is_read():
    corpus = ToneCorpus()
    walk = Walk(corpus, "train", SpeakerClasses(corpus.names), 7, 1, 20.0, None, TakesConfig(level_db=6))
    row, _ = next(walk.rows(0, Cursor()))
    first, again, later = walk.decode(row, 0), walk.decode(row, 0), walk.decode(row, 1)
    assert np.array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, later.samples)
