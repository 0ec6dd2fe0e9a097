"""A run's record, when there is one: commands look before they start anything."""

from voiceflow_model.errors import ConfigError, ObjectNotFound
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.runs.record_file import RecordFile
from voiceflow_model.store import Store


def record_if_any(store: Store, run_id: str) -> RunRecord | None:
    """The record as it is in the store now, None for a run that does not exist. Raises what a store raises."""
    try:
        return RecordFile(store, run_id).read()
    except ObjectNotFound:
        return None


def require_stage(record: RunRecord | None, stage: str, first: str) -> None:
    """Raises ConfigError, which says what to do `first`, unless the run has finished the stage.

    Asked before the lease is taken: a session that fails for this would mark a healthy run as failed.
    """
    if record is None or stage not in record.stages:
        run = f"run {record.run_id}" if record else "the run, which does not exist yet,"
        raise ConfigError(f"{run} has not finished its {stage} stage: first {first}")
