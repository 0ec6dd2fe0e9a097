"""What a record tells of the past and of the time to come: work lost to kills, speed, time left, sessions needed."""

import math
from typing import NamedTuple

from voiceflow_model.runs.record import RunRecord, SessionRecord

SESSION_S = 12 * 3600.0  # what Colab gives at most


def lost_steps(session: SessionRecord) -> int | None:
    """Steps that a session took and never committed; at least, as it was last heard of. None while it goes on."""
    if session.ended_at is None or session.at_step is None:
        return None
    kept = session.to_step if session.to_step is not None else session.from_step or 0
    return max(0, session.at_step - kept)


class Outlook(NamedTuple):
    """A phase that is not over: how far, committed or not, how fast, and how long it still takes at that speed."""

    phase: str
    step: int
    total: int
    steps_per_s: float | None
    left_s: float | None
    sessions: int | None
    """Sessions of SESSION_S that the rest takes."""


def outlook(record: RunRecord) -> Outlook | None:
    """Of the phase in hand; None when none has begun or the last is over."""
    unfinished = [name for name, phase in record.phases.items() if name not in record.stages and phase.total_steps]
    if not unfinished:
        return None
    name = unfinished[-1]
    phase, mine = record.phases[name], [session for session in record.sessions if session.phase == name]
    live = [session for session in mine if session.ended_at is None]
    step = max(phase.step, live[-1].at_step or 0) if live else phase.step
    paces = [session.steps_per_s for session in mine if session.steps_per_s]
    if not paces:
        return Outlook(name, step, phase.total_steps, None, None, None)
    left_s = max(0, phase.total_steps - step) / paces[-1]
    return Outlook(name, step, phase.total_steps, paces[-1], left_s, math.ceil(left_s / SESSION_S))
