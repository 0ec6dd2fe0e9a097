"""What a voice passes on its way: its colour changes, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.microphone import MicrophoneConfig, through_microphone


def tone(hz: float, seconds: float = 0.5, level: float = 0.2) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(16_000 * seconds)) / 16_000)).astype(np.float32)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def test_a_flat_response_changes_nothing():
    speech = keyed(0).normal(0, 0.1, 8_000).astype(np.float32)
    heard = through_microphone(speech, keyed(1), MicrophoneConfig())
    assert np.abs(heard - speech).max() < 1e-6


@given(st.integers(0, 1000), st.integers(400, 9_000), st.floats(0, 20), st.booleans())
@settings(max_examples=30, deadline=None)
def test_length_loudness_and_range_are_kept(seed: int, samples: int, response_db: float, telephone: bool):
    speech = keyed(seed).normal(0, 0.05, samples).astype(np.float32)
    config = MicrophoneConfig(response_db=response_db, telephone_share=float(telephone))
    heard = through_microphone(speech, keyed(seed, "microphone"), config)
    assert heard.shape == speech.shape
    assert heard.dtype == np.float32
    assert np.abs(heard).max() <= 1
    assert rms(heard) == pytest.approx(rms(speech), rel=0.02) or np.abs(heard).max() > 0.99
    assert np.array_equal(heard, through_microphone(speech, keyed(seed, "microphone"), config))


def test_it_stays_where_it_was_in_time():
    speech = keyed(0).normal(0, 0.1, 8_000).astype(np.float32)
    heard = through_microphone(speech, keyed(2), MicrophoneConfig(response_db=3))
    likeness = [float(np.dot(np.roll(heard, -lag), speech)) for lag in range(-20, 21)]
    assert int(np.argmax(likeness)) == 20


def test_responses_differ_by_about_what_was_asked_for():
    low, high = tone(500), tone(4_000)
    ratios = []
    for seed in range(60):
        heard = through_microphone(low + high, keyed(seed), MicrophoneConfig(response_db=6))
        part = [abs(np.vdot(heard, one)) for one in (low, high)]
        ratios.append(20 * np.log10(part[0] / part[1]))
    assert 4 < np.std(ratios) < 12  # of two independent gains of 6 dB each, interpolated


def test_a_telephone_passes_its_band_and_adds_the_noise_of_eight_bits():
    line = MicrophoneConfig(telephone_share=1)
    inside, below, above = (through_microphone(tone(hz) + tone(1_000), keyed(0), line) for hz in (2_000, 100, 5_000))
    for heard, hz in ((below, 100), (above, 5_000)):
        assert abs(np.vdot(heard, tone(hz))) < 0.1 * abs(np.vdot(inside, tone(2_000)))
    noise = inside - (tone(2_000) + tone(1_000))
    assert 0.001 < rms(noise) / rms(inside) < 0.05
