from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceflow_model.data.resample import change_speed, to_16k


def tone(hz: float, rate_hz: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz).astype(np.float32)


def loudest_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * 16_000 / len(samples))


@pytest.mark.parametrize("rate_hz", [8_000, 11_127, 16_001, 22_050, 44_100, 48_000])
def test_a_tone_keeps_pitch_length_and_level(rate_hz: int) -> None:
    samples = to_16k(tone(1000, rate_hz), rate_hz)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(16_000, abs=3)
    assert loudest_hz(samples) == pytest.approx(1000, abs=1.5)
    assert samples[800:-800].std() == pytest.approx(np.sqrt(0.5), rel=0.01)


def test_what_16_khz_cannot_hold_is_filtered_out_rather_than_folded_back() -> None:
    assert np.abs(to_16k(tone(12_000, 48_000), 48_000)[800:-800]).max() < 0.01


def test_16_khz_is_left_untouched() -> None:
    samples = tone(440, 16_000)
    assert to_16k(samples, 16_000) is samples
    assert change_speed(samples, 1.0) is samples


@given(st.sampled_from([0.9, 1.1]) | st.floats(0.5, 2.0))
@settings(max_examples=15, deadline=None)
def test_speed_moves_pitch_and_length_together(factor: float) -> None:
    faster = change_speed(tone(1000, 16_000), factor)
    assert len(faster) == pytest.approx(16_000 / factor, rel=1e-3)
    assert loudest_hz(faster) == pytest.approx(1000 * factor, abs=4)


def test_every_thread_gets_the_same_samples() -> None:
    samples = np.random.default_rng(0).normal(size=40_000).astype(np.float32)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: to_16k(samples, 23_917), range(8)))
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.parametrize(
    "call", [lambda x: to_16k(x, 0), lambda x: change_speed(x, 0.0), lambda x: change_speed(x, -1)]
)
def test_an_impossible_rate_or_factor_is_refused(call) -> None:
    with pytest.raises(ValueError, match="not"):
        call(tone(440, 16_000))
