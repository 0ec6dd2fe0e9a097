"""What is to be done about a run that nobody advances: a pure function of what is known about it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from voiceflow_model.runs.continuation import Continuation
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.section import Section


class Patience(Section):
    """How long a supervisor waits, and how often it tries."""

    grace_s: float = Field(30.0, ge=0, description="between two stages nobody holds a run for some seconds")
    max_attempts: int = Field(5, ge=1, description="sessions and continuations without progress until it gives up")
    backoff_s: float = Field(30.0, ge=0, description="wait after the second such attempt, doubled after each more")
    longest_backoff_s: float = Field(3600.0, ge=0)
    starting_s: float = Field(300.0, ge=0, description="that a flow run may take from its start to its lease")

    def backoff(self, attempts: int) -> float:
        """Seconds to wait after so many attempts without progress: the first one is followed at once."""
        doublings = min(attempts - 2, 30)  # a float holds no 2 ** 10_000
        return min(self.longest_backoff_s, self.backoff_s * 2.0**doublings) if attempts > 1 else 0.0


Standing = Literal["waiting", "working", "ended", "refused", "cancelled"]


class Tried(NamedTuple):
    """A flow run that is to advance a run, and how it stands since `since` (unix seconds).

    waiting for a worker; working, or taken for that because nobody has heard of its death; ended, whether well or
    not; refused, because its deployment may not run twice at a time; cancelled by a person.
    """

    name: str
    standing: Standing
    since: float
    says: str


class Action(NamedTuple):
    """What to do, and why."""

    kind: Literal["nothing", "continue", "give up"]
    why: str


def decide(
    record: RunRecord, continuation: Continuation | None, now: float, patience: Patience, tried: Sequence[Tried] = ()
) -> Action:
    """What to do about a run at `now` (unix s), where `tried` are the flow runs begun for it since its last lease.

    A continuation that starts beside a live holder would only wait for the lease, so a mistake here costs a waiting
    process and never a step of the run.
    """
    if settled := _settled(record, continuation, tried):
        return Action("nothing", settled)
    free_s = _free_s(record, now)
    if free_s < (0 if record.state == "yielded" else patience.grace_s):
        return Action("nothing", f"held by {record.lease.owner}" if record.lease and free_s < 0 else "just left")
    for each in tried:
        if each.standing == "waiting" or (each.standing == "working" and now - each.since < patience.starting_s):
            return Action("nothing", f"{each.name} is to continue it: {each.says}")
    reason = tried[-1].says if tried and tried[-1].says else _ended(record)
    attempts = record.attempts + sum(each.standing != "refused" for each in tried)
    if attempts >= patience.max_attempts:
        return Action("give up", f"given up after {attempts} attempts without progress; the last one: {reason}")
    wait_s = patience.backoff(record.attempts + len(tried))
    if min([free_s, *(now - each.since for each in tried)]) < wait_s:
        return Action(
            "nothing", f"attempt {attempts + 1} waits for {wait_s:g} s, for nothing was saved since: {reason}"
        )
    return Action("continue", reason)


def _settled(record: RunRecord, continuation: Continuation | None, tried: Sequence[Tried]) -> str:
    """Why nobody but a person goes on with the run, or ""."""
    if record.stop is not None:
        return f"{record.stop.by} asked it to stop"
    if record.state in ("done", "failed"):
        return f"it is {record.state}"
    if continuation is None:
        return "it was started by hand: there is no deployment to start again"
    if continuation.until in record.stages:
        return f"{continuation.until} is done, and {continuation.deployment} goes no further"
    cancelled = next((each.name for each in tried if each.standing == "cancelled"), "")
    return f"{cancelled} was cancelled: start {continuation.deployment} again to go on" if cancelled else ""


def _free_s(record: RunRecord, now: float) -> float:
    """For how long nobody has held the run; negative while somebody may."""
    if record.lease is not None:
        return now - record.lease.expires_at
    return now - max((session.ended_at or 0.0 for session in record.sessions), default=0.0)


def _ended(record: RunRecord) -> str:
    """How the last session came to its end."""
    if record.lease is not None:
        return f"{record.lease.owner} fell silent"
    return record.why or (record.sessions[-1].why if record.sessions else "no session has begun")
