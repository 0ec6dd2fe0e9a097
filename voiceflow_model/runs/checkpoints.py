"""Checkpoint payloads: where they lie, which of them can be trusted, and which are no longer needed."""

import hashlib
import re
from collections.abc import Callable, Iterable

from voiceflow_model.errors import CheckpointCorrupt, ObjectNotFound, VoiceFlowError
from voiceflow_model.runs.record import CheckpointEntry, PhaseRecord, RunRecord
from voiceflow_model.store.protocol import ObjectInfo, Store

Say = Callable[[str], object]

_FILE = re.compile(r"([^/]+)/step-(\d{8,})-f(\d+)(?:-weights)?(?:-[0-9a-f]{8})?\.safetensors")


def new_entry(
    record: RunRecord, phase: str, step: int, payload: bytes, *, metric: float | None, weights: bool = False
) -> CheckpointEntry:
    """Name a payload: the fence keeps apart what two workers write for the same step.

    A payload that the record names is never overwritten with other bytes, or a crash before the record's own write
    would leave it naming bytes that do not match.
    """
    digest = hashlib.sha256(payload).hexdigest()
    stem = f"runs/{record.run_id}/{phase}/step-{step:08d}-f{record.fence}" + ("-weights" if weights else "")
    path = f"{stem}.safetensors"
    if any(old.path == path and old.sha256 != digest for old in named(record, phase)):
        path = f"{stem}-{digest[:8]}.safetensors"
    return CheckpointEntry(step=step, path=path, bytes=len(payload), sha256=digest, metric=metric)


def newest(store: Store, record: RunRecord, phase: str, say: Say = print) -> tuple[CheckpointEntry, bytes] | None:
    """The newest checkpoint whose bytes match their sha256, else the one before, loudly; None when there is none yet.

    Raises CheckpointCorrupt when checkpoints are recorded and none is good.
    """
    state = _phase(record, phase)
    if state.step and not state.checkpoints:
        raise CheckpointCorrupt(
            f"run {record.run_id}, phase {phase}: step {state.step} was reached and no checkpoint is named. See "
            f"`voiceflow status --run-id {record.run_id}`; start another --run-id"
        )
    return _first_good(store, record, phase, state.checkpoints[::-1], say)


def best(store: Store, record: RunRecord, phase: str, say: Say = print) -> tuple[CheckpointEntry, bytes] | None:
    """The weights that validated best, else the newest good checkpoint, loudly; else None or CheckpointCorrupt.

    What it returns holds the averaged weights; only a checkpoint holds more.
    """
    state = _phase(record, phase)
    entries = (*([state.best] if state.best else ()), *state.checkpoints[::-1])
    return _first_good(store, record, phase, entries, say)


def named(record: RunRecord, phase: str) -> tuple[CheckpointEntry, ...]:
    """Everything of a phase that the record names."""
    state = _phase(record, phase)
    return (*state.checkpoints, *([state.best] if state.best else ()))


def unnamed(store: Store, record: RunRecord) -> list[ObjectInfo]:
    """Payloads that `record` no longer names, and those a killed worker never recorded.

    Only what was written under an older fence, or under the record's up to its step: later ones are on their way.
    """
    kept = {entry.path for phase in record.phases for entry in named(record, phase)}
    folder = f"runs/{record.run_id}/"
    return [
        info
        for info in store.list(folder)
        if (file := _FILE.fullmatch(info.path.removeprefix(folder)))
        and info.path not in kept
        and (int(file[3]), int(file[2])) <= (record.fence, _phase(record, file[1]).step)
    ]


def prune(store: Store, record: RunRecord, say: Say) -> None:
    """Delete what is `unnamed`.

    A failed deletion is said and left to the next commit; it must not stop a training run.
    """
    try:
        for info in unnamed(store, record):
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
