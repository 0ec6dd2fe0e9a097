"""Microphones and lines: what a voice passes on its way, so that the network learns voices and not their recordings."""

from functools import cache

import numpy as np
from pydantic import Field
from scipy.signal import oaconvolve

from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Samples
from voiceflow_model.section import Section

_TAPS = 256
_HZ = np.linspace(0, SAMPLE_RATE_HZ / 2, _TAPS // 2 + 1)
_MEL = np.log1p(_HZ / 700)
_KNOTS = np.linspace(_MEL[0], _MEL[-1], 8)
_TELEPHONE_DB = np.where((_HZ > 300) & (_HZ < 3400), 0.0, -40.0)
_MU = 255  # ITU-T G.711


class MicrophoneConfig(Section):
    """Each reading of an utterance passes a microphone of its own.

    Where a speaker has one recording only, its sound is as good a mark as the voice, and is learned instead.
    """

    response_db: float = Field(0.0, ge=0, le=20, description="standard deviation of its frequency response")
    telephone_share: float = Field(0.0, ge=0, le=1, description="readings over a telephone line: 300-3400 Hz, mu-law")


def through_microphone(samples: Samples, rng: np.random.Generator, config: MicrophoneConfig) -> Samples:
    """Samples (n,) as another device would have recorded them, as loud as before; length and alignment are kept."""
    response_db = np.interp(_MEL, _KNOTS, rng.normal(0, config.response_db, len(_KNOTS)))
    telephone = rng.random() < config.telephone_share
    if telephone:
        response_db += _TELEPHONE_DB
    kernel = np.roll(np.fft.irfft(10 ** (response_db / 20)), _TAPS // 2) * np.hanning(_TAPS + 1)[:_TAPS]
    heard = oaconvolve(samples, kernel.astype(np.float32))[_TAPS // 2 :][: len(samples)]
    heard *= np.sqrt(np.vdot(samples, samples) / max(np.vdot(heard, heard), 1e-9))
    heard /= max(1.0, np.abs(heard).max(initial=0))
    return _mu_law()[(heard * 32767).astype(np.int16)] if telephone else np.asarray(heard, np.float32)


@cache
def _mu_law() -> Samples:
    """What a line of 8 bits makes of each 16-bit sample (indexed by it, negative ones from the end)."""
    sample = np.fft.ifftshift(np.arange(-32768, 32768)) / 32768
    coded = np.rint(np.log1p(_MU * np.abs(sample)) / np.log1p(_MU) * 127) / 127
    decoded: Samples = np.copysign(np.expm1(coded * np.log1p(_MU)) / _MU, sample).astype(np.float32)
    return decoded
