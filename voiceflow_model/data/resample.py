"""Resampling with kernels computed once per ratio: building one costs more than applying it."""

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Samples

# A kernel holds numerator x denominator floats: an odd rate such as 16 001 Hz would take a gigabyte. With denominators
# up to 1000 every common rate is exact and the pitch error of the others stays below one part in 10 000.
_LARGEST_DENOMINATOR = 1000


def to_16k(samples: Samples, rate_hz: int) -> Samples:
    """Mono samples (n,) at `rate_hz` as (about n * 16000 / rate_hz,) at 16 kHz; the same array when already there."""
    if rate_hz <= 0:
        raise ValueError(f"a sample rate is a positive number of Hz, not {rate_hz}")
    return _apply(samples, Fraction(SAMPLE_RATE_HZ, rate_hz))


def change_speed(samples: Samples, factor: float) -> Samples:
    """Samples (n,) played `factor` times faster, (about n / factor,): tempo and pitch move together.

    Speed perturbation as in Ko et al. 2015, "Audio augmentation for speech recognition": a voice at another speed is
    another speaker. Factors of few decimals (0.9, 1.1) are exact and cheap.
    """
    if not 0.1 <= factor <= 10:
        raise ValueError(f"a speed factor lies between 0.1 and 10, not {factor}")
    return _apply(samples, 1 / Fraction(factor).limit_denominator(_LARGEST_DENOMINATOR))


def _apply(samples: Samples, ratio: Fraction) -> Samples:
    ratio = ratio.limit_denominator(_LARGEST_DENOMINATOR)
    if ratio == 1:
        return samples
    return _kernel(ratio)(samples)


@lru_cache(maxsize=32)
def _kernel(ratio: Fraction) -> Callable[[Samples], Samples]:
    # Imported when something is resampled: a worker process without torch starts two seconds sooner, and takes 200 MB
    # less. Two threads may build the same kernel at once; both are equal, so the loser's work is all that is lost.
    import torch

    from voiceflow_model.data.torchaudio_import import torchaudio

    with torch.inference_mode(False):
        kernel = torchaudio.transforms.Resample(ratio.denominator, ratio.numerator)

    def resample(samples: Samples) -> Samples:
        with torch.inference_mode():
            resampled: Samples = kernel(torch.from_numpy(samples)).numpy()
        return resampled

    return resample
