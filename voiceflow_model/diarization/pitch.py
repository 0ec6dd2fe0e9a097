"""How high a voice is: what of a person neither a microphone nor a room changes.

The network learns a voice from one recording of each speaker, and cannot tell it from the line that it came through.
"""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from voiceflow_model.diarization.pooling import Floats, Mask

ROUND = 24  # semitones that lead once round the circle: an octave, half of it, is as far apart as voices can be
VOICED = 0.6  # of the energy of a frame, what its best period must explain
MIN_VOICED = 5  # frames; fewer say nothing of how high a voice is

_LOWEST_HZ, _HIGHEST_HZ = 60, 400
_OCTAVE_COST = 0.01
_WINDOW_S = 0.064
_BATCH = 2048  # frames


def pitch_circle(samples: Floats, sample_rate_hz: int, frame_samples: int) -> Floats:
    """The pitch of each frame of mono samples, as a point on a circle (samples // frame_samples, 2); zeros if unvoiced.

    The autocorrelation of 64 ms, divided by that of their window (Boersma 1993, "Accurate short-term analysis of the
    fundamental frequency"), at half the rate: nothing above 400 Hz is asked for.
    """
    rate, hop = sample_rate_hz // 2, frame_samples // 2
    frames, size = samples.size // frame_samples, round(_WINDOW_S * rate)
    hann = np.hanning(size).astype(np.float32)
    lags = np.arange(rate // _HIGHEST_HZ - 1, rate // _LOWEST_HZ + 2)  # with a neighbour at either end
    dearer = (_OCTAVE_COST * np.log2(lags[1:-1] / lags[1])).astype(np.float32)  # twice a period is a period as well
    usual = _autocorrelation(hann[None], lags[-1] + 1)[0]
    points = np.zeros((frames, 2), np.float32)
    for first in range(0, frames, _BATCH):
        last = min(first + _BATCH, frames)
        begin = first * frame_samples + frame_samples // 2 - size  # each frame in the middle of its window
        end = begin + (last - 1 - first) * frame_samples + 2 * size
        part = samples[max(begin, 0) : end]
        part = np.pad(part, (max(-begin, 0), max(end - samples.size, 0))).reshape(-1, 2).mean(axis=1)
        cut = np.lib.stride_tricks.sliding_window_view(part, size)[::hop]
        found = _autocorrelation((cut - cut.mean(axis=1, keepdims=True)) * hann, lags[-1] + 1)
        likeness = found[:, lags] / np.maximum(found[:, :1], 1e-9) / (usual[lags] / usual[0])
        before, here, after = likeness[:, :-2], likeness[:, 1:-1], likeness[:, 2:]
        curve = np.minimum(before - 2 * here + after, -1e-9)  # a parabola through the three: its top is between them
        shift = np.clip((before - after) / (2 * curve), -0.5, 0.5)
        top = here - (before - after) * shift / 4
        peaks = np.where((here >= before) & (here >= after), top - dearer, -1)
        best = peaks.argmax(axis=1)[:, None]
        lag = lags[1:-1][best[:, 0]] + np.take_along_axis(shift, best, axis=1)[:, 0]
        angle = 2 * np.pi / ROUND * 12 * np.log2(rate / lag)
        voiced = np.take_along_axis(peaks, best, axis=1) > VOICED
        points[first:last] = voiced * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points


def mean_pitch(points: Floats, masks: Mask) -> Floats:
    """The mean pitch (masks, 2), of unit length, of the frames that each mask (masks, frames) chooses from points.

    Zeros where fewer than MIN_VOICED of them are voiced.
    """
    chosen = masks.astype(np.float32)
    total = chosen @ points
    length = np.linalg.norm(total, axis=1, keepdims=True)
    enough = chosen @ points.any(axis=1).astype(np.float32) >= MIN_VOICED
    return np.where(enough[:, None] & (length > 0), total / np.maximum(length, 1e-12), 0.0).astype(np.float32)


def _autocorrelation(windows: Floats, lags: int) -> Floats:
    spectrum = rfft(windows, next_fast_len(windows.shape[1] + lags, real=True), axis=1)
    return np.asarray(irfft(spectrum.real**2 + spectrum.imag**2, axis=1)[:, :lags], np.float32)
