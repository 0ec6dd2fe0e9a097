"""How a run record changes: pure functions from record to record, each safe to apply twice.

Applying twice matters: a write whose answer was lost is repeated on top of itself.
"""

from collections.abc import Mapping
from typing import Any

from voiceflow_model.runs.record import (
    CheckpointEntry,
    Lease,
    PhaseRecord,
    RunRecord,
    RunState,
    SessionRecord,
    StageRecord,
    StopNote,
)

KEPT_CHECKPOINTS = 2
KEPT_SESSIONS = 200
KEPT_POINTS = 400


def taken(record: RunRecord, lease: Lease, now: float, why: str) -> RunRecord:
    """The record under a new lease; `why` the lease was free also ends a session that did not end itself."""
    sessions = tuple(
        session if session.ended_at is not None else session.model_copy(update={"ended_at": now, "why": why})
        for session in record.sessions
    )
    opened = SessionRecord(owner=lease.owner, fence=lease.fence, started_at=now)
    return record.model_copy(
        update={
            "state": "running",
            "why": "",
            "lease": lease,
            "fence": lease.fence,
            "attempts": record.attempts + 1,
            "sessions": (*sessions, opened)[-KEPT_SESSIONS:],
        }
    )


def released(record: RunRecord, state: RunState, why: str, now: float) -> RunRecord:
    """The record without a lease, its last session ended."""
    ended = _in_session(record, ended_at=now, why=why)
    return ended.model_copy(update={"state": state, "why": why, "lease": None})


def stop_wanted(record: RunRecord, note: StopNote | None) -> RunRecord:
    """The record with a request to stop, or with none. Who holds it reads the request when renewing the lease."""
    return record.model_copy(update={"stop": note})


def seen_at(record: RunRecord, phase: str, from_step: int, step: int, steps_per_s: float | None) -> RunRecord:
    """The record with how far its holder is, committed or not, and where it began."""
    return _in_session(record, phase=phase, from_step=from_step, at_step=step, steps_per_s=steps_per_s)


def committed(
    record: RunRecord,
    phase: str,
    entry: CheckpointEntry,
    total_steps: int,
    metrics: Mapping[str, float],
    point: Mapping[str, float],
    best: CheckpointEntry | None = None,
) -> RunRecord:
    """The record naming one more checkpoint beside the one before, and new best weights if there are any.

    Checkpoints and points of this step or later belong to a time line that was left (a fallback to an older
    checkpoint), so they go. Of other phases that are finished only the best weights stay: nobody goes on from there.
    """
    before = record.phases.get(phase, PhaseRecord())
    older = [old for old in before.checkpoints if old.step < entry.step]
    after = before.model_copy(
        update={
            "step": entry.step,
            "total_steps": total_steps,
            "metrics": {**before.metrics, **_floats(metrics)},
            "checkpoints": (*older, entry)[-KEPT_CHECKPOINTS:],
            "best": best or before.best,
            "history": _with_point(before.history, {**_floats(point), "step": float(entry.step)}),
        }
    )
    session = record.sessions[-1]
    from_step = session.from_step if session.phase == phase else before.step
    record = _in_session(record, phase=phase, from_step=from_step, to_step=entry.step)
    others = {
        name: other.model_copy(update={"checkpoints": ()}) if name in record.stages and other.best else other
        for name, other in record.phases.items()
    }
    return record.model_copy(update={"attempts": 0, "phases": {**others, phase: after}})


def stage_finished(record: RunRecord, name: str, key: str, result: Mapping[str, Any], now: float) -> RunRecord:
    """The record with a stage's result, replacing an earlier one."""
    stage = StageRecord(key=key, result=dict(result), finished_at=now)
    return record.model_copy(update={"attempts": 0, "stages": {**record.stages, name: stage}})


def _floats(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: float(number) for name, number in numbers.items()}  # also from numpy and torch scalars


def _in_session(record: RunRecord, **fields: Any) -> RunRecord:
    *others, last = record.sessions
    return record.model_copy(update={"sessions": (*others, last.model_copy(update=fields))})


def _with_point(history: tuple[dict[str, float], ...], point: dict[str, float]) -> tuple[dict[str, float], ...]:
    points = (*(old for old in history if old["step"] < point["step"]), point)
    # Every second point goes when there are too many: the curve still spans the whole run, and the newest stays.
    return points if len(points) <= KEPT_POINTS else points[::-2][::-1]
