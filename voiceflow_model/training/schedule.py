"""Schedules as pure functions of progress, so that a checkpoint need not store them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from voiceflow_model.training.settings import TrainingConfig


class Cycle(NamedTuple):
    """Steps of a phase, from one to another, with a cosine of their own from `share` of the learning rate."""

    start: int
    end: int
    share: float = 1.0


def current(cycles: Sequence[Cycle], step: int) -> Cycle:
    """The one that the step after `step` others belongs to."""
    return next((cycle for cycle in cycles if step < cycle.end), cycles[-1])


def learning_rate(config: TrainingConfig, step: int, cycles: Sequence[Cycle]) -> float:
    """In each cycle a linear warm-up, then a cosine down to `final_learning_rate_share` at its last step."""
    cycle = current(cycles, step)
    peak, step, total = config.learning_rate * cycle.share, step - cycle.start, cycle.end - cycle.start
    warmup = max(1, round(config.warmup_share * total))
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    floor = config.final_learning_rate_share
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def margin(config: TrainingConfig, step: int, cycles: Sequence[Cycle]) -> float:
    """The angular margin, raised linearly from zero: a full one from the start keeps small networks from learning."""
    ramp = config.margin_ramp_share * cycles[0].end
    return config.margin * min(1.0, step / ramp if ramp else 1.0)
