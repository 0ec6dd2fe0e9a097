"""Parts of what a speaker says: diarization has to know a voice by a second of it, so training asks for that."""

import numpy as np
import torch
from torch import Tensor

from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ

_SHORTEST_S, _LONGEST_S = 0.5, 5.0


def stretches(activity: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """`count` drawn stretches of each speaker's speech: activity (batch, frames, K) -> (batch, frames, count * K).

    The first K are one stretch of each speaker, and so on. Each is 0.5 to 5 s of speech (log-uniform), pauses not
    counted, or all that there is of it.
    """
    spoken = activity.sum(1, keepdim=True)  # (batch, 1, K)
    said = activity.cumsum(1)
    found = []
    for drawn in torch.from_numpy(rng.random((count, 2, *spoken.shape), np.float32)).to(activity.device):
        frames = SAMPLE_RATE_HZ / FRAME_SAMPLES * _SHORTEST_S * (_LONGEST_S / _SHORTEST_S) ** drawn[0]
        begin = (drawn[1] * (spoken - frames).clamp_min(0)).floor()
        found.append(activity * (said > begin) * (said <= begin + frames.ceil()))
    return torch.cat(found, dim=-1)
