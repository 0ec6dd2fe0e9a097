"""A recording from anywhere, as the network wants it: mono float32 at 16 kHz."""

from math import gcd

import fsspec
import numpy as np
from scipy.signal import resample_poly

from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Samples
from voiceflow_model.errors import BrokenAudio


def load(source: str) -> Samples:
    """Samples (samples,) of an audio file at a path or any fsspec URL; channels mixed, resampled to 16 kHz.

    Nothing is written to disk. Raises BrokenAudio when there is no such file or it cannot be decoded.
    """
    from voiceflow_model.audio import decode_bytes  # decoders load only when something is decoded

    try:
        with fsspec.open(source, "rb") as file:
            data = file.read()
    except (FileNotFoundError, IsADirectoryError):
        raise BrokenAudio(source, "missing", "no such file; check the path") from None
    samples, rate_hz = decode_bytes(data, source)
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    divisor = gcd(SAMPLE_RATE_HZ, rate_hz)
    return np.asarray(resample_poly(samples, SAMPLE_RATE_HZ // divisor, rate_hz // divisor), np.float32)
