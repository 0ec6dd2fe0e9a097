"""A run in a store: opened under one configuration, listed, amended, and advanced by one worker at a time."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from pydantic_core import to_jsonable_python

from voiceflow_model.errors import ConfigError, ObjectNotFound, RunConflict
from voiceflow_model.runs.checkpoints import Say
from voiceflow_model.runs.lease import acquire
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.runs.record_file import RecordFile
from voiceflow_model.runs.session import Session
from voiceflow_model.runs.transitions import stop_wanted
from voiceflow_model.store.protocol import Store


class Run:
    """One run. Opening it takes nothing: only `lease` lets a worker advance it."""

    def __init__(self, file: RecordFile, clock: Callable[[], float] = time.time) -> None:
        self._file, self._clock = file, clock

    @classmethod
    def open(
        cls,
        store: Store,
        run_id: str,
        config_hash: str,
        identity: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> "Run":
        """The run of that name, created if there is none.

        Raises RunConflict, naming the settings that differ, when it exists under another configuration.
        """
        plain = to_jsonable_python(dict(identity))
        file = RecordFile(store, run_id)
        found = file.read_or_create(RunRecord(run_id=run_id, config_hash=config_hash, identity=plain))
        if found.config_hash != config_hash:
            raise RunConflict(_conflict(found, plain, store.uri(file.path)))
        return cls(file, clock)

    @classmethod
    def load(cls, store: Store, run_id: str, clock: Callable[[], float] = time.time) -> "Run":
        """The existing run of that name, whatever its configuration. Writes nothing; ConfigError when there is none."""
        file = RecordFile(store, run_id)
        try:
            file.read()
        except ObjectNotFound as error:
            known = ", ".join(list_runs(store)) or "none"
            raise ConfigError(f"no run {run_id!r} in {store.url}; runs there: {known}") from error
        return cls(file, clock)

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self._file.record.run_id

    @property
    def store(self) -> Store:
        """Where the run lives."""
        return self._file.store

    @property
    def record(self) -> RunRecord:
        """The run record as last read or written through this object."""
        return self._file.record

    def refresh(self) -> RunRecord:
        """The run record as it is in the store now."""
        return self._file.read()

    def amend(self, change: Callable[[RunRecord], RunRecord]) -> RunRecord:
        """Change the record without holding the lease: for a supervisor that counts attempts or gives a run up.

        `change` may run several times, each time on the newest record, and may raise to give up.
        """
        return self._file.change(change)

    @contextmanager
    def lease(
        self,
        owner: str | None = None,
        ttl_s: float = 60.0,
        wait: bool = True,
        sleep: Callable[[float], None] = time.sleep,
        say: Say = print,
    ) -> Iterator[Session]:
        """Hold the run for the length of a `with` block; a holder that lives is waited for, or RunBusy.

        Leaving releases: "yielded" unless the block released with another state; after an error "failed", or
        "yielded" when another worker may go on (Yielded, retryable errors, interrupts); after LeaseLost nothing
        is written.
        """
        name = owner or f"{socket.gethostname()}:{os.getpid()}"
        held = acquire(self._file, name, ttl_s, wait, self._clock, sleep, say)
        session = Session(self._file, held, self._clock, say)
        try:
            yield session
        except BaseException as error:
            session.leave(error)
            raise
        session.leave(None)


def forget_stop(store: Store, run_id: str) -> None:
    """Somebody starts the run again, if it exists, so an earlier request to stop no longer holds."""
    file = RecordFile(store, run_id)
    with suppress(ObjectNotFound):
        if file.read().stop is not None:
            file.change(lambda record: stop_wanted(record, None))


def list_runs(store: Store) -> list[str]:
    """Names of the runs in a store, sorted."""
    return sorted(
        info.path.split("/")[1]
        for info in store.list("runs/")
        if info.path.count("/") == 2 and info.path.endswith("/run.json")
    )


_ABSENT = "(not set)"


def _conflict(found: RunRecord, identity: dict[str, Any], where: str) -> str:
    old, new = _flat(found.identity), _flat(identity)
    differing = [key for key in sorted({*old, *new}) if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    lines = [f"  {key}: {old.get(key, _ABSENT)} -> {new.get(key, _ABSENT)}" for key in differing]
    settings = "\n".join(lines) or "  (only the configuration hash differs: another version of VoiceFlow wrote it)"
    return (
        f"run {found.run_id} ({where}) was started with other settings (then -> now):\n{settings}\n"
        "Choose another --run-id, or restore the setting"
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
