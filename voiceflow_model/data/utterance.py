"""Bytes of one utterance to what the network hears: the last step of every corpus that is made of files."""

from voiceflow_model.audio import MIN_DURATION_S, decode_bytes
from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Samples
from voiceflow_model.data.resample import to_16k
from voiceflow_model.errors import BrokenAudio

MAX_DURATION_S = 3600.0


def decode_utterance(data: bytes, key: str, part: tuple[float, float] = (0.0, 1.0)) -> Samples:
    """The `part` of the file, (samples,) at 16 kHz. Raises BrokenAudio: a cause of `decode_bytes`, or "silent".

    The part is cut from the samples at 16 kHz, so two parts that meet share no sample and miss none.
    """
    samples = to_16k(*decode_bytes(data, key, max_duration_s=MAX_DURATION_S))
    first, last = (round(edge * len(samples)) for edge in part)
    samples = samples[first:last]
    if len(samples) < MIN_DURATION_S * SAMPLE_RATE_HZ:
        raise BrokenAudio(key, "too-short", f"the part {part} of it lasts {len(samples) / SAMPLE_RATE_HZ:.3f} s")
    if not samples.any():
        raise BrokenAudio(key, "silent", "every sample is zero")
    return samples
