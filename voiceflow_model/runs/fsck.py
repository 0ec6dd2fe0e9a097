"""Is what a run's record names really there and whole? And dropping what is not."""

import hashlib
from collections.abc import Callable
from typing import Literal, NamedTuple

import safetensors
from safetensors import SafetensorError

from voiceflow_model.errors import ObjectNotFound, RunBusy, RunConflict
from voiceflow_model.runs.checkpoints import Say, named, unnamed
from voiceflow_model.runs.lease import why_free
from voiceflow_model.runs.record import CheckpointEntry, PhaseRecord, RunRecord
from voiceflow_model.runs.record_file import RECORD_GONE, RecordFile
from voiceflow_model.store.protocol import Store

Verdict = Literal["good", "broken", "unused"]


class Finding(NamedTuple):
    """One object of a run: `unused` is what no record names, left by a killed worker or by a later commit to sweep."""

    verdict: Verdict
    path: str
    bytes: int
    why: str


def examine(store: Store, run_id: str, say: Say = print) -> list[Finding]:
    """Every object that the run's record names, checked by reading it whole, and what is left over.

    Raises ObjectNotFound when there is no such run.
    """
    file = RecordFile(store, run_id)
    try:
        record = file.read()
    except RunConflict as error:
        return [Finding("broken", file.path, 0, str(error))]
    findings = [Finding("good", file.path, len(record.to_bytes()), f"schema {record.schema_version}, {record.state}")]
    for phase in record.phases:
        for entry in named(record, phase):
            say(f"reading {store.uri(entry.path)}")
            findings.append(_checked(store, entry))
    evaluation = record.stages.get("evaluate")
    if evaluation is not None:
        result = evaluation.result
        findings.append(_model(store, result["model_path"], result["model_sha256"]))
    findings += [Finding("unused", each.path, each.size, "no record names it") for each in unnamed(store, record)]
    return findings


def repair(store: Store, run_id: str, findings: list[Finding], clock: Callable[[], float], say: Say = print) -> None:
    """Drop broken checkpoints from the record, then delete them and what is unused.

    Raises RunBusy while a worker holds the run, RunConflict when the record itself is broken.
    """
    file = RecordFile(store, run_id)
    broken = {finding.path for finding in findings if finding.verdict == "broken"}
    if file.path in broken:
        raise RunConflict(f"{store.uri(file.path)} cannot be repaired from what it names; {RECORD_GONE}")

    def drop(record: RunRecord) -> RunRecord:
        if why_free(record.lease, clock()) is None:
            raise RunBusy(f"run {run_id} is held by a worker: `voiceflow stop {run_id}`, and repair it then")
        phases = {name: _without(phase, broken) for name, phase in record.phases.items()}
        return record.model_copy(update={"phases": phases})

    before = file.read()
    after = file.change(drop)
    # Deletion follows the record, as in a commit: what a record names exists.
    for finding in findings:
        if finding.verdict == "unused" or finding.path in broken - _still_named(after):
            store.delete(finding.path)
            say(f"deleted {store.uri(finding.path)}")
    for name, phase in after.phases.items():
        if phase.step != before.phases[name].step:
            say(f"{name} goes on from step {phase.step} instead of {before.phases[name].step}")


def _checked(store: Store, entry: CheckpointEntry) -> Finding:
    try:
        data = store.read(entry.path).data
    except ObjectNotFound:
        return Finding("broken", entry.path, 0, "missing")
    if len(data) != entry.bytes:
        return Finding("broken", entry.path, len(data), f"{len(data):,} of {entry.bytes:,} bytes")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        return Finding("broken", entry.path, len(data), "its sha256 is not the recorded one: bytes were changed")
    try:
        safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        return Finding("broken", entry.path, len(data), f"no safetensors file ({error}); it is not loaded")
    return Finding("good", entry.path, len(data), f"step {entry.step}")


def _model(store: Store, path: str, sha256: str) -> Finding:
    try:
        data = store.read(path).data
    except ObjectNotFound:
        return Finding("broken", path, 0, "missing: evaluate under a new --run-id")
    if hashlib.sha256(data).hexdigest() != sha256:
        return Finding("broken", path, len(data), "not the file that was evaluated")
    return Finding("good", path, len(data), "the evaluated model")


def _without(phase: PhaseRecord, broken: set[str]) -> PhaseRecord:
    kept = tuple(entry for entry in phase.checkpoints if entry.path not in broken)
    best = None if phase.best and phase.best.path in broken else phase.best
    if len(kept) == len(phase.checkpoints):
        return phase.model_copy(update={"best": best})
    step = kept[-1].step if kept else 0
    history = tuple(point for point in phase.history if point["step"] <= step)
    return phase.model_copy(update={"checkpoints": kept, "best": best, "step": step, "history": history})


def _still_named(record: RunRecord) -> set[str]:
    models = {stage.result.get("model_path", "") for stage in record.stages.values()}
    return models | {entry.path for phase in record.phases for entry in named(record, phase)}
