"""Rooms and noise, synthesised: no recording is needed and every draw is keyed."""

import math
from functools import cache

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import oaconvolve
from scipy.special import lambertw

from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Samples
from voiceflow_model.data.keyed import keyed

_COLOURS = (0.0, 0.5, 1.0, 1.5, 2.0)  # spectral slopes 1/f^a: white, ..., pink, ..., brown
_BANK_S = 30


def add_room(dry: Samples, rng: np.random.Generator, rt60_s: tuple[float, float] = (0.1, 0.4)) -> Samples:
    """Convolve with a synthetic room: a direct path and an exponentially decaying diffuse tail.

    The tail falls by 60 dB in `rt60_s` (drawn from the range) and carries -15 to -3 dB of the direct energy (Polack's
    statistical model of late reverberation, 1988). Length and alignment are kept.
    """
    rt60 = rng.uniform(*rt60_s)
    length = int(0.6 * rt60 * SAMPLE_RATE_HZ)
    t = np.arange(1, length, dtype=np.float32) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(length - 1, dtype=np.float32) * np.exp(-6.9 * t / rt60)
    tail *= 10 ** (rng.uniform(-15, -3) / 20) / np.linalg.norm(tail)
    return _convolve(dry, np.concatenate([[np.float32(1)], tail]))


def _convolve(dry: Samples, kernel: Samples) -> Samples:
    """`oaconvolve(dry, kernel)[: len(dry)]` in two thirds of the time, to the bit: its blocks are cut alike.

    Silent blocks are left out, the kernel is transformed along with the others, and rows come in fours.
    """
    overlap = len(kernel) - 1
    size = next_fast_len(math.ceil(-overlap * lambertw(-1 / (2 * math.e * overlap), k=-1).real))
    step = size - overlap
    if size >= len(dry):  # a single block
        whole: Samples = oaconvolve(dry, kernel)[: len(dry)]
        return whole
    starts = [at for at in range(0, len(dry), step) if dry[at : at + step].any()]
    blocks = np.zeros((_rows(len(starts) + 1), size), np.float32)
    for block, at in zip(blocks, starts, strict=False):
        piece = dry[at : at + step]
        block[: len(piece)] = piece
    blocks[-1, : len(kernel)] = kernel
    spectra = rfft(blocks)
    spectra *= spectra[-1]
    wet: Samples = np.zeros(len(dry) + size, np.float32)
    for at, echo in zip(starts, irfft(spectra[: _rows(len(starts))], size), strict=False):
        wet[at : at + size] += echo
    return wet[: len(dry)]


def _rows(used: int) -> int:
    """How many rows to transform: pocketfft does four float32 rows at once (SIMD), sooner than two or three."""
    return used if used % 4 < 2 else -(-used // 4) * 4


@cache
def _noise_bank() -> Samples:
    """(colours, samples): half a minute of unit-variance noise of each colour, the same in every process."""
    white = keyed("noise bank").standard_normal((len(_COLOURS), _BANK_S * SAMPLE_RATE_HZ), dtype=np.float32)
    spectrum = np.fft.rfft(white)
    hz = np.fft.rfftfreq(white.shape[1], 1 / SAMPLE_RATE_HZ)
    coloured = np.fft.irfft(spectrum / np.maximum(hz, 50.0) ** (np.array(_COLOURS)[:, None] / 2), n=white.shape[1])
    bank: Samples = (coloured / coloured.std(axis=1, keepdims=True)).astype(np.float32)
    return bank


def noise(samples: int, rng: np.random.Generator) -> Samples:
    """Unit-variance stationary noise of a random colour, shape (samples,); to read, not to write."""
    bank = _noise_bank()
    start = int(rng.integers(bank.shape[1]))
    colour: Samples = bank[rng.integers(len(bank))]
    if start + samples <= len(colour):
        return colour[start : start + samples]
    laps, rest = divmod(max(0, start + samples - len(colour)), len(colour))
    return np.concatenate([colour[start : start + samples], *[colour] * laps, colour[:rest]])
