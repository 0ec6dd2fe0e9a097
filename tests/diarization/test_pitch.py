import numpy as np
import pytest

from voiceflow_model.diarization.pitch import ROUND, mean_pitch, pitch_circle

RATE_HZ, FRAME = 16_000, 320


def semitones(points):
    return np.arctan2(points[:, 1], points[:, 0]) * ROUND / (2 * np.pi)


def apart(points, hz):
    """Semitones (frames,) between points and a frequency, round the circle."""
    return (semitones(points) - 12 * np.log2(hz) + ROUND / 2) % ROUND - ROUND / 2


def hum(hz, seconds=1.0):
    """A pulse train through a formant, as a larynx and a mouth make it."""
    phase = np.cumsum(np.broadcast_to(hz, round(seconds * RATE_HZ))) / RATE_HZ
    pulses = np.diff(np.floor(phase), prepend=0)
    time = np.arange(400) / RATE_HZ
    return np.convolve(pulses, np.exp(-300 * time) * np.sin(2 * np.pi * 700 * time))[: phase.size].astype(np.float32)


@pytest.mark.parametrize("hz", [75, 100, 120, 165, 220, 330])
@pytest.mark.parametrize("snr_db", [np.inf, 10])
def test_a_voice_is_as_high_as_its_pulses(hz, snr_db):
    samples = hum(hz)
    noise = np.random.default_rng(0).standard_normal(samples.size) * samples.std() * 10 ** (-snr_db / 20)
    points = pitch_circle((samples + noise).astype(np.float32), RATE_HZ, FRAME)
    assert points.shape == (50, 2)
    voiced = points.any(axis=1)
    assert voiced[3:-3].mean() > 0.9
    assert np.median(np.abs(apart(points[voiced], hz))) < 0.1


def test_a_rising_voice_is_followed_frame_by_frame():
    hz = np.geomspace(100, 200, RATE_HZ)
    points = pitch_circle(hum(hz), RATE_HZ, FRAME)
    np.testing.assert_allclose(apart(points, hz[FRAME // 2 :: FRAME])[3:-3], 0, atol=0.5)


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    assert pitch_circle(noise, RATE_HZ, FRAME).any(axis=1).mean() < 0.02
    assert not pitch_circle(np.zeros(RATE_HZ, np.float32), RATE_HZ, FRAME).any()
    assert pitch_circle(np.zeros(FRAME - 1, np.float32), RATE_HZ, FRAME).shape == (0, 2)


def test_a_long_recording_is_as_its_parts():
    samples = np.concatenate([hum(hz, 20.0) for hz in (110, 140, 190)])
    whole, part = pitch_circle(samples, RATE_HZ, FRAME), pitch_circle(samples[20 * RATE_HZ :], RATE_HZ, FRAME)
    np.testing.assert_allclose(whole[1010:], part[10:], atol=1e-4)


def test_the_mean_is_of_the_voiced_frames_and_needs_some():
    points = pitch_circle(np.concatenate([hum(150, 0.5), np.zeros(RATE_HZ // 2, np.float32)]), RATE_HZ, FRAME)
    masks = np.zeros((2, 50), bool)
    masks[0], masks[1, 22:] = True, True
    mean = mean_pitch(points, masks)
    assert apart(mean[:1], 150) == pytest.approx(0, abs=0.1)
    assert mean[1].tolist() == [0, 0], "fewer than five frames are voiced"
