"""Rooms and noise, synthesised: no recording is needed and every draw is keyed."""

from functools import cache

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Samples
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.microphone import MicrophoneConfig, through_microphone

_COLOURS = (0.0, 0.5, 1.0, 1.5, 2.0)  # spectral slopes 1/f^a: white, ..., pink, ..., brown
_BANK_S = 30
_BOUTS_PER_S = 0.3
_CREST = 4.0  # peaks of noise of unit variance
_THROUGH = MicrophoneConfig(response_db=8.0)


def in_room(dry: Samples, rng: np.random.Generator, rt60_s: tuple[float, float] = (0.1, 0.4)) -> Samples:
    """What a microphone hears (samples,) of dry (speakers, samples) in a synthetic room, each at a place of its own.

    A direct path, and a diffuse tail that falls by 60 dB in `rt60_s` (drawn from the range, one for the room) and
    carries -15 to -3 dB of the direct energy (drawn for each speaker): Polack's statistical model of late
    reverberation, 1988. Length and alignment are kept.
    """
    rt60 = rng.uniform(*rt60_s)
    length = int(0.6 * rt60 * SAMPLE_RATE_HZ)
    t = np.arange(1, length, dtype=np.float32) / SAMPLE_RATE_HZ
    kernels = rng.standard_normal((len(dry), length), dtype=np.float32)
    kernels[:, 0], tails = 1, kernels[:, 1:]
    tails *= np.exp(-6.9 * t / rt60)
    tails *= (10 ** (rng.uniform(-15, -3, len(dry)) / 20) / np.linalg.norm(tails, axis=1))[:, None]
    return _convolved_sum(dry, kernels)


def _convolved_sum(dry: Samples, kernels: Samples) -> Samples:
    """The sum of rows dry (n, samples), each convolved with its kernel (n, length), as `oaconvolve` would.

    Overlap-add in blocks of the size that was fastest. Silent blocks are left out, kernels are transformed along
    with the rest, and spectra of one place are added before they are transformed back, once for all rows.
    """
    overlap = kernels.shape[1] - 1
    size = next_fast_len(5 * overlap)
    step, samples = size - overlap, dry.shape[1]
    spoken = [(at, n) for at in range(0, samples, step) for n in range(len(dry)) if dry[n, at : at + step].any()]
    places = sorted({at for at, _ in spoken})
    blocks = np.zeros((_rows(len(kernels) + len(spoken)), size), np.float32)
    blocks[: len(kernels), : overlap + 1] = kernels
    for block, (at, n) in zip(blocks[len(kernels) :], spoken, strict=False):
        piece = dry[n, at : at + step]
        block[: len(piece)] = piece
    spectra = rfft(blocks)
    sums = np.zeros((_rows(len(places)), spectra.shape[1]), spectra.dtype)
    for spectrum, (at, n) in zip(spectra[len(kernels) :], spoken, strict=False):
        sums[places.index(at)] += spectrum * spectra[n]
    wet: Samples = np.zeros(samples + size, np.float32)
    for at, echo in zip(places, irfft(sums, size), strict=False):
        wet[at : at + size] += echo
    return wet[:samples]


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


def sounds(samples: int, rng: np.random.Generator) -> Samples:
    """What is heard in a meeting and is nobody's speech, shape (samples,): keys, knocks, breath, rustling, beeps.

    Bouts of some seconds with silence between them. A bout is one sound, beaten once or up to twenty times: noise of a
    random spectrum, or a tone, that rises within 1 to 100 ms and dies away within 5 to 400. Its loudest moment is as
    loud as noise of unit variance, or 25 dB less to 5 dB more.
    """
    heard = np.zeros(samples, np.float32)
    for _ in range(1 + int(rng.poisson(_BOUTS_PER_S * samples / SAMPLE_RATE_HZ))):
        bout = _bout(rng) * np.float32(10 ** (rng.uniform(-25, 5) / 20))
        start = int(rng.integers(1 - len(bout), samples))
        part = bout[max(0, -start) : samples - start]
        heard[max(0, start) :][: len(part)] += part
    return heard


def _bout(rng: np.random.Generator) -> Samples:
    rise_s, fall_s, between_s = np.exp(rng.uniform(np.log([1e-3, 5e-3, 0.05]), np.log([0.1, 0.4, 0.6])))
    t = np.arange(int(4 * (rise_s + fall_s) * SAMPLE_RATE_HZ), dtype=np.float32) / SAMPLE_RATE_HZ
    envelope = (1 - np.exp(-t / np.float32(rise_s))) * np.exp(-t / np.float32(fall_s))
    envelope /= max(float(envelope.max()), 1e-3)
    beats = np.cumsum(between_s * rng.lognormal(0, 0.3, min(int(rng.geometric(0.2)), 20)))
    starts = ((beats - beats[0]) * SAMPLE_RATE_HZ).astype(np.int64)
    bout = np.zeros(int(starts[-1]) + len(t), np.float32)
    tone = rng.random() < 0.2
    hz = np.exp(rng.uniform(np.log(100), np.log(5000)))
    for start, gain in zip(starts, rng.lognormal(0, 0.3, len(starts)).astype(np.float32), strict=True):
        carrier = np.sqrt(2) * np.sin(2 * np.pi * np.float32(hz) * t) if tone else noise(len(t), rng)
        bout[start : start + len(t)] += gain * envelope * carrier
    coloured = through_microphone(bout, rng, _THROUGH)
    return coloured * np.float32(_CREST / max(float(np.abs(coloured).max()), 1e-9))
