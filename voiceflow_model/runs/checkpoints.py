"""Checkpoint payloads: where they lie, which of them can be trusted, and which are no longer needed."""

import hashlib
import re
from collections.abc import Callable, Iterable

from voiceflow_model.errors import CheckpointCorrupt, ObjectNotFound, VoiceFlowError
from voiceflow_model.runs.record import CheckpointEntry, PhaseRecord, RunRecord
from voiceflow_model.store.protocol import Store

Say = Callable[[str], object]

_FILE = re.compile(r"step-(\d{8,})-f(\d+)(?:-[0-9a-f]{8})?\.safetensors")


def new_entry(
    record: RunRecord, phase: str, step: int, payload: bytes, *, metric: float | None, best: bool
) -> CheckpointEntry:
    """Name a payload: the fence keeps apart what two workers write for the same step.

    A payload that the record names is never overwritten with other bytes, or a crash before the record's own write
    would leave it naming bytes that do not match.
    """
    digest = hashlib.sha256(payload).hexdigest()
    stem = f"runs/{record.run_id}/{phase}/step-{step:08d}-f{record.fence}"
    path = f"{stem}.safetensors"
    if any(old.path == path and old.sha256 != digest for old in _phase(record, phase).checkpoints):
        path = f"{stem}-{digest[:8]}.safetensors"
    return CheckpointEntry(step=step, path=path, bytes=len(payload), sha256=digest, metric=metric, best=best)


def newest(store: Store, record: RunRecord, phase: str, say: Say = print) -> tuple[CheckpointEntry, bytes] | None:
    """The newest checkpoint whose bytes match their sha256, else the one before, loudly; None when there is none yet.

    Raises CheckpointCorrupt when checkpoints are recorded and none is good.
    """
    entries = sorted(_phase(record, phase).checkpoints, key=lambda entry: -entry.step)
    return _first_good(store, record, phase, entries, say)


def best(store: Store, record: RunRecord, phase: str, say: Say = print) -> tuple[CheckpointEntry, bytes] | None:
    """The best checkpoint, else the newest good one, loudly; None and CheckpointCorrupt as for `newest`."""
    entries = sorted(_phase(record, phase).checkpoints, key=lambda entry: (not entry.best, -entry.step))
    return _first_good(store, record, phase, entries, say)


def prune(store: Store, record: RunRecord, phase: str, say: Say) -> None:
    """Delete the phase's payloads that `record` no longer names, and those a killed worker never recorded.

    Only what was written under an older fence, or under the record's up to its step: later ones are on their way.
    A failed deletion is said and left to the next commit; it must not stop a training run.
    """
    state = _phase(record, phase)
    kept = {entry.path for entry in state.checkpoints}
    folder = f"runs/{record.run_id}/{phase}/"
    try:
        for info in store.list(folder):
            file = _FILE.fullmatch(info.path.removeprefix(folder))
            if file and info.path not in kept and (int(file[2]), int(file[1])) <= (record.fence, state.step):
                store.delete(info.path)
    except VoiceFlowError as error:
        say(f"old checkpoints were not all deleted, the next commit tries again: {error}")


def _phase(record: RunRecord, phase: str) -> PhaseRecord:
    return record.phases.get(phase, PhaseRecord())


def _first_good(
    store: Store, record: RunRecord, phase: str, entries: Iterable[CheckpointEntry], say: Say
) -> tuple[CheckpointEntry, bytes] | None:
    bad: list[str] = []
    for entry in entries:
        try:
            data = store.read(entry.path).data
        except ObjectNotFound:
            bad.append(f"{store.uri(entry.path)} is missing")
        else:
            if hashlib.sha256(data).hexdigest() == entry.sha256:
                return entry, data
            bad.append(f"{store.uri(entry.path)} ({len(data)} of {entry.bytes} bytes) does not match its sha256")
        say(f"WARNING: checkpoint of step {entry.step} cannot be used, trying another: {bad[-1]}")
    if not bad:
        return None
    raise CheckpointCorrupt(
        f"run {record.run_id}, phase {phase}: no checkpoint is good: {'; '.join(bad)}. See `voiceflow status "
        f"--run-id {record.run_id}`; restore one of these objects from the bucket's versions, or start another --run-id"
    )
