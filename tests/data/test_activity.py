import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from voiceflow_model.data.activity import voice_activity
from voiceflow_model.data.corpus import FRAME_SAMPLES

SPEECH = Path(os.environ.get("VOICEFLOW_SPEECH", Path(__file__).parents[3] / "shared" / "speech"))


def bursts(*spans_s: tuple[float, float], seconds: float = 6.0, noise: float = 1e-4) -> np.ndarray:
    """Loud noise within the spans, faint noise elsewhere."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0, noise, round(16_000 * seconds)).astype(np.float32)
    for start, end in spans_s:
        span = slice(round(16_000 * start), round(16_000 * end))
        samples[span] += rng.normal(0, 0.1, span.stop - span.start).astype(np.float32)
    return samples


def assert_active(samples: np.ndarray, *spans_s: tuple[float, float]) -> None:
    """Within one frame: a burst reaches into the frame after it by one sample's difference."""
    edges = np.flatnonzero(np.diff(np.pad(voice_activity(samples).astype(int), 1))).reshape(-1, 2) / 50
    assert edges.shape == (len(spans_s), 2), edges
    assert np.abs(edges - np.array(spans_s)).max() < 0.021, edges


@given(st.integers(0, 5000))
def test_there_is_one_decision_per_whole_frame(length: int) -> None:
    active = voice_activity(np.full(length, 0.1, np.float32))
    assert (active.shape, active.dtype) == ((length // FRAME_SAMPLES,), np.bool_)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 1e-3])
@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_speech_is_found_whatever_the_gain_and_the_noise(gain: float, noise: float) -> None:
    samples = np.float32(gain) * bursts((1.0, 2.0), (3.0, 5.0), noise=noise)
    assert_active(samples, (1.0, 2.0), (3.0, 5.0))


def test_short_gaps_are_closed_and_pauses_kept() -> None:
    assert_active(bursts((1.0, 2.0), (2.2, 3.0), (3.6, 5.0)), (1.0, 3.0), (3.6, 5.0))


def test_clicks_are_dropped() -> None:
    assert_active(bursts((1.0, 3.0), (4.5, 4.54)), (1.0, 3.0))


def test_speech_at_the_edges_is_kept() -> None:
    assert_active(bursts((0.0, 1.0), (4.0, 6.0)), (0.0, 1.0), (4.0, 6.0))


def test_hum_is_not_speech() -> None:
    hum = 0.02 * np.sin(2 * np.pi * 50 * np.arange(96_000) / 16_000)
    assert_active(bursts((1.0, 3.0)) + hum.astype(np.float32), (1.0, 3.0))


def test_digital_silence_is_not_speech() -> None:
    assert not voice_activity(np.zeros(16_000, np.float32)).any()


def test_ten_seconds_take_about_a_millisecond() -> None:
    samples = bursts((1.0, 4.0), seconds=10.0)
    voice_activity(samples)
    started = time.perf_counter()
    for _ in range(20):
        voice_activity(samples)
    assert (time.perf_counter() - started) / 20 < 5e-3  # measured 0.4 ms; the rest is for a busy machine


@pytest.mark.skipif(not SPEECH.is_dir(), reason=f"no real speech at {SPEECH}")
def test_read_books_are_mostly_speech_with_pauses() -> None:
    files = sorted((SPEECH / "librispeech" / "train-clean-100").rglob("*.flac"))[::10]
    shares = [voice_activity(soundfile.read(file, dtype="float32")[0]).mean() for file in files]
    assert len(shares) > 10
    assert 0.75 < np.mean(shares) < 0.95  # silero-vad says 0.86
    assert min(shares) > 0.5
