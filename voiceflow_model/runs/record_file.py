"""The run record in its store, changed only by compare-and-swap on its generation."""

import threading
from collections.abc import Callable

from voiceflow_model.errors import ObjectNotFound, PreconditionFailed, RunConflict, StoreUnavailable
from voiceflow_model.runs.record import RunRecord, record_path
from voiceflow_model.store.protocol import ABSENT, Blob, Store

_ROUNDS = 50
RECORD_GONE = "restore the object from the bucket's versions, or start another --run-id"


class RecordFile:
    """One run's record and the generation it was read at; safe to share between the threads of a worker."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store, self.path = store, record_path(run_id)
        self._lock = threading.RLock()
        self._record: RunRecord | None = None
        self._generation = ABSENT

    @property
    def record(self) -> RunRecord:
        """The record as last read or written here."""
        return self._record if self._record is not None else self.read()

    def read(self) -> RunRecord:
        """The record as it is in the store now. Raises ObjectNotFound, RunConflict, StoreUnavailable."""
        with self._lock:
            return self._adopt(self.store.read(self.path))

    def read_or_create(self, fresh: RunRecord) -> RunRecord:
        """The record in the store, which is `fresh` when there was none; of two creators one wins and both read it.

        Raises RunConflict when checkpoints lie there without a record: a run whose record is gone is not begun anew.
        """
        with self._lock:
            try:
                return self.read()
            except ObjectNotFound:
                self._refuse_leftovers()
            data = fresh.to_bytes()
            try:
                return self._adopt(Blob(data, self.store.write(self.path, data, if_generation=ABSENT)))
            except PreconditionFailed:
                return self.read()

    def change(self, change: Callable[[RunRecord], RunRecord]) -> RunRecord:
        """Replace the record by `change(record)` and return it; `change` may raise to give up, and may run again.

        Every write of every run goes through here. When the swap fails the record is read again: if it is what we
        wrote, the write had succeeded and its answer was lost; else someone else changed it, and `change` decides
        anew on what is there now.
        """
        with self._lock:
            for _ in range(_ROUNDS):
                data = change(self.record).to_bytes()
                try:
                    return self._adopt(Blob(data, self.store.write(self.path, data, if_generation=self._generation)))
                except PreconditionFailed:
                    found = self.store.read(self.path)
                    record = self._adopt(found)
                    if found.data == data:
                        return record
        raise StoreUnavailable(
            f"{self.store.uri(self.path)}: {_ROUNDS} writes in a row were overtaken; see who else writes this run"
        )

    def _refuse_leftovers(self) -> None:
        folder = self.path.removesuffix("run.json")
        left = [info.path for info in self.store.list(folder) if info.path.endswith(".safetensors")]
        if left:
            raise RunConflict(
                f"{self.store.uri(self.path)} is gone, and {len(left)} checkpoints of that run are there, as "
                f"{left[-1]}: it is not begun anew over them; {RECORD_GONE}"
            )

    def _adopt(self, blob: Blob) -> RunRecord:
        self._record = RunRecord.from_bytes(blob.data, self.store.uri(self.path))
        self._generation = blob.generation
        return self._record
