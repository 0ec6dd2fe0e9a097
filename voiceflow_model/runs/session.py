"""One worker's turn at a run: it holds the lease, commits checkpoints, finishes stages and says how it ended."""

from collections.abc import Callable, Mapping
from typing import Any

from voiceflow_model.errors import LeaseLost, ObjectNotFound, VoiceFlowError, Yielded
from voiceflow_model.runs import transitions
from voiceflow_model.runs.checkpoints import Say, named, new_entry, prune
from voiceflow_model.runs.record import CheckpointEntry, Lease, RunRecord, RunState, checked_name
from voiceflow_model.runs.record_file import RECORD_GONE, RecordFile
from voiceflow_model.store.protocol import Store

_RENEW_AFTER = 1 / 3  # of the time to live
_STOPPED = "this worker stops and writes nothing more"


class Session:
    """The holder's hand on the run record; `beat` and `commit` may be called from different threads.

    Every write raises LeaseLost as soon as the lease in the store is not this session's: then stop at once.
    StoreUnavailable passes through; the write may or may not have happened, and repeating it is safe.
    """

    def __init__(self, file: RecordFile, lease: Lease, clock: Callable[[], float], say: Say) -> None:
        self._file, self._lease, self._clock, self._say = file, lease, clock, say
        self._renew_at = self._next_renewal()
        self._at: tuple[str, int, int, float | None] | None = None

    @property
    def store(self) -> Store:
        """Where the run lives."""
        return self._file.store

    @property
    def record(self) -> RunRecord:
        """The run record as last written or read by this session."""
        return self._file.record

    @property
    def fence(self) -> int:
        """This session's number: larger than that of every session before it."""
        return self._lease.fence

    def at(self, phase: str, step: int, steps_per_s: float | None = None) -> None:
        """Note how far the work is, the first time where it begins; the next write of the record tells it."""
        begun = self._at[1] if self._at and self._at[0] == phase else step
        self._at = (phase, begun, step, steps_per_s)

    def beat(self) -> None:
        """Renew the lease when a third of its time has passed; otherwise only a look at the clock.

        Work without a beat for longer than the time to live lets another worker take the run over. A loss that
        another thread's commit met is raised here too, at once.
        """
        if self._clock() >= self._renew_at or not self._holds(self._file.record):
            self.renew()

    def renew(self) -> None:
        """Renew the lease now. Raises LeaseLost: ask before replacing an object that another worker may own by now."""
        self._change(lambda record: record)

    def commit(
        self,
        phase: str,
        step: int,
        total_steps: int,
        payload: bytes,
        metrics: Mapping[str, float],
        history_entry: Mapping[str, float],
        metric: float | None = None,
        best_weights: bytes | None = None,
    ) -> CheckpointEntry:
        """Make `payload` the phase's checkpoint of `step`; when this returns, a resume starts from here or later.

        Keeps the last two, and the last `best_weights`: those of a step whose `metric` was the best so far.
        """
        checked_name(phase, "phase")
        self.beat()  # a worker that slept through its lease learns it before it uploads anything
        record = self._file.record
        entry = new_entry(record, phase, step, payload, metric=metric)
        best = best_weights and new_entry(record, phase, step, best_weights, metric=metric, weights=True)
        # Payloads first, record last: a checkpoint exists when the record names it, so what the record names exists.
        there = {old.path for old in named(record, phase)}
        for each, data in ((entry, payload), (best, best_weights)):
            if each and data and each.path not in there:
                self.store.write(each.path, data)
        after = self._change(
            lambda now: transitions.committed(now, phase, entry, total_steps, metrics, history_entry, best or None),
        )
        # Deletion follows the record: nothing that a record names is ever missing.
        prune(self.store, after, self._say)
        return entry

    def finish_stage(self, name: str, key: str, result: Mapping[str, Any]) -> None:
        """Store a stage's JSON result under the key of its inputs and settings."""
        self._change(lambda now: transitions.stage_finished(now, name, key, result, self._clock()))

    def stage_result(self, name: str, key: str) -> dict[str, Any] | None:
        """The stage's result if it was finished under this very key, else None."""
        stage = self.record.stages.get(name)
        return stage.result if stage is not None and stage.key == key else None

    def release(self, state: RunState, why: str = "") -> None:
        """End the session and free the run for the next worker; a session that has already ended is left as it is."""
        if self._holds(self._file.record):
            self._change(lambda now: transitions.released(now, state, why, self._clock()))

    def leave(self, error: BaseException | None) -> None:
        """End the session as its `with` block ended; the error itself goes on to the caller."""
        if error is None:
            self.release("yielded", "the session ended before the run was done")
        elif not isinstance(error, LeaseLost):
            try:
                self.release("yielded" if _may_continue(error) else "failed", f"{type(error).__name__}: {error}")
            except VoiceFlowError as second:  # the first error is the one to see; the lease will expire
                self._say(f"the lease could not be released and will expire by itself: {second}")

    def _change(self, change: Callable[[RunRecord], RunRecord]) -> RunRecord:
        def ours(record: RunRecord) -> RunRecord:
            if not self._holds(record):
                raise LeaseLost(_lost(record, self._lease))
            renewed = self._lease.model_copy(update={"expires_at": self._clock() + self._lease.ttl_s})
            record = record.model_copy(update={"lease": renewed})
            return change(transitions.seen_at(record, *self._at) if self._at else record)

        # The swap is what makes this safe: a worker that was taken over holds an old generation, so its write fails,
        # it reads the new holder's record, and `ours` stops it.
        try:
            after = self._file.change(ours)
        except ObjectNotFound as error:
            raise LeaseLost(f"{self.store.uri(self._file.path)} was deleted: {_STOPPED}; {RECORD_GONE}") from error
        self._renew_at = self._next_renewal()
        return after

    def _holds(self, record: RunRecord) -> bool:
        return record.lease is not None and record.lease.token == self._lease.token

    def _next_renewal(self) -> float:
        return self._clock() + self._lease.ttl_s * _RENEW_AFTER


def _may_continue(error: BaseException) -> bool:
    # Not an Exception: a keyboard interrupt, a system exit, a scheduler's termination signal.
    return not isinstance(error, Exception) or isinstance(error, Yielded) or getattr(error, "retryable", False)


def _lost(record: RunRecord, mine: Lease) -> str:
    holder = f"{record.lease.owner} (fence {record.lease.fence})" if record.lease else f"nobody ({record.state})"
    return (
        f"the lease of run {record.run_id} (fence {mine.fence}) is gone, its holder is now {holder}: {_STOPPED}. The "
        "run goes on there; start this worker again only to wait for it"
    )
