"""Takes: an utterance cut at its pauses and recorded piece by piece, as if on several days.

Where each speaker has one recording, nobody is ever heard from two within a window, and a network learns that another
sound is another person: it then splits whoever was recorded twice, or has moved.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from voiceflow_model.data.microphone import MicrophoneConfig, through_microphone
from voiceflow_model.data.resample import change_speed
from voiceflow_model.section import Section

_SHORTEST = 25  # frames, half a second
_FRAMES_PER_S = SAMPLE_RATE_HZ // FRAME_SAMPLES


class TakesConfig(Section):
    """How takes of one utterance differ, beside the microphone, of which each has its own."""

    seconds: float = Field(4.0, gt=0.5, le=3600, description="about how long a take is")
    level_db: float = Field(2.0, ge=0, le=20, description="standard deviation of its level")
    speed_spread: float = Field(0.0, ge=0, lt=0.2, multiple_of=0.01, description="its speed differs by up to this")


def in_takes(
    samples: Samples,
    active: NDArray[np.bool_],
    rng: np.random.Generator,
    config: TakesConfig,
    microphone: MicrophoneConfig | None,
) -> tuple[Samples, NDArray[np.bool_]]:
    """An utterance, samples (n,) of whole frames and active (frames,), as its takes have it: the same two again.

    Changed speeds change their length. An utterance without a pause is one take.
    """
    cuts = _cuts(active, round(config.seconds * _FRAMES_PER_S), rng)
    takes, spoken = list[Samples](), list[NDArray[np.bool_]]()
    for first, last in pairwise(cuts):
        take, speech = samples[first * FRAME_SAMPLES : last * FRAME_SAMPLES], active[first:last]
        if hundredths := round(config.speed_spread * 100):
            speed = 1 + int(rng.integers(-hundredths, hundredths + 1)) / 100
            take = change_speed(take, speed)
            frames = np.arange(len(take) // FRAME_SAMPLES)
            take = take[: len(frames) * FRAME_SAMPLES]
            speech = speech[np.minimum((frames * speed).astype(np.int64), len(speech) - 1)]
        if microphone:
            take = through_microphone(take, rng, microphone)
        takes.append(take * np.float32(10 ** (rng.normal(0, config.level_db) / 20)))
        spoken.append(speech)
    return np.concatenate(takes), np.concatenate(spoken)


def _cuts(active: NDArray[np.bool_], frames: int, rng: np.random.Generator) -> list[int]:
    """Bounds of takes of about so many frames, each cut at the pause nearest to a drawn place."""
    cuts = [0]
    pauses = np.flatnonzero(~active)
    while len(active) - cuts[-1] > 1.5 * frames:
        wanted = cuts[-1] + round(frames * rng.uniform(0.6, 1.4))
        near = pauses[(pauses > cuts[-1] + _SHORTEST) & (pauses < len(active) - _SHORTEST)]
        if not len(near):
            break
        cuts.append(int(near[np.abs(near - wanted).argmin()]))
    return [*cuts, len(active)]
