"""A run's record, when there is one: commands look before they start anything."""

from voiceflow_model.errors import ObjectNotFound
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.runs.record_file import RecordFile
from voiceflow_model.store import Store


def record_if_any(store: Store, run_id: str) -> RunRecord | None:
    """The record as it is in the store now, None for a run that does not exist. Raises what a store raises."""
    try:
        return RecordFile(store, run_id).read()
    except ObjectNotFound:
        return None
