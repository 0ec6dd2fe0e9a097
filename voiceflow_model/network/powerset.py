"""Powerset encoding of overlapped speech: one class for each set of at most two local speakers.

With K = 3 the seven classes are {} {0} {1} {2} {0,1} {0,2} {1,2}: deciding frames becomes plain classification, with no
per-speaker threshold to tune (Plaquet & Bredin 2023, "Powerset multi-class cross entropy loss for neural speaker
diarization"). Frames where three or more speak are mapped to a pair of them.
"""

from itertools import combinations, permutations

import torch
from torch import Tensor

MAX_SIMULTANEOUS = 2


def powerset_classes(num_speakers: int) -> tuple[tuple[int, ...], ...]:
    """Class -> active local speakers, silence first, then by size: for 2, ((), (0,), (1,), (0, 1))."""
    return tuple(s for size in range(MAX_SIMULTANEOUS + 1) for s in combinations(range(num_speakers), size))


class Powerset:
    """The tables between multi-hot activities (..., K) and class numbers (...,)."""

    def __init__(self, num_speakers: int) -> None:
        self.num_speakers = num_speakers
        self.classes = powerset_classes(num_speakers)
        number = {c: i for i, c in enumerate(self.classes)}
        # membership: (classes, K), 1 where the class contains the speaker
        self.membership = torch.tensor([[float(k in c) for k in range(num_speakers)] for c in self.classes])
        # permuted[p, c]: the class that c becomes when local speaker k is renamed to the p-th permutation's k
        self.permuted = torch.tensor(
            [[number[tuple(sorted(p[k] for k in c))] for c in self.classes] for p in permutations(range(num_speakers))]
        )
        codes = [sum(1 << k for k in c) for c in self.classes]
        # bitmask of active speakers -> class; a mask with more than two speakers keeps its two lowest
        self._of_mask = torch.tensor(
            [
                codes.index(sum(1 << k for k in [k for k in range(num_speakers) if mask >> k & 1][:MAX_SIMULTANEOUS]))
                for mask in range(1 << num_speakers)
            ]
        )

    def encode(self, activity: Tensor) -> Tensor:
        """Multi-hot activity (..., K) -> class numbers (...,), int64."""
        bits = 1 << torch.arange(self.num_speakers, device=activity.device)
        return self._of_mask.to(activity.device)[(activity.long() * bits).sum(-1)]

    def decode(self, classes: Tensor) -> Tensor:
        """Class numbers (...,) -> multi-hot activity (..., K), float."""
        return self.membership.to(classes.device)[classes]
