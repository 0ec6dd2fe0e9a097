"""Schedules as pure functions of progress, so that a checkpoint need not store them."""

import math

from voiceflow_model.training.settings import TrainingConfig


def learning_rate(config: TrainingConfig, step: int, total: int) -> float:
    """Linear warm-up, then a cosine down to `final_learning_rate_share` at the last step."""
    warmup = max(1, round(config.warmup_share * total))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    floor = config.final_learning_rate_share
    return config.learning_rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def margin(config: TrainingConfig, step: int, total: int) -> float:
    """The angular margin, raised linearly from zero: a full one from the start keeps small networks from learning."""
    ramp = config.margin_ramp_share * total
    return config.margin * min(1.0, step / ramp if ramp else 1.0)
