"""What is known about a run: the one JSON document that is its single source of truth (`runs/<run_id>/run.json`)."""

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from voiceflow_model.errors import ConfigError, RunConflict

SCHEMA_VERSION = 2

RunState = Literal["new", "running", "idle", "yielded", "failed", "done"]
"""idle: a stage is done and nobody has begun the next. yielded: given back before it was done."""

_NAME = re.compile(r"[a-z0-9][a-z0-9\-_.]{0,62}")


class _Entry(BaseModel):
    # "constants": a metric that is not a number survives the round trip (JSON null would not load as a float).
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Lease(_Entry):
    """The right to advance the run; times are unix seconds by the holder's clock.

    `fence` grows with every holder. `token` is unique to one acquisition, so that no two holders ever write equal
    records. `host` names a machine since its boot (see `lease.this_host`).
    """

    owner: str
    host: str
    pid: int
    fence: int
    token: str
    ttl_s: float
    expires_at: float


class CheckpointEntry(_Entry):
    """A committed payload: where it lies and what it must hash to; `metric` is its validation's, where it had one."""

    step: int
    path: str
    bytes: int
    sha256: str
    metric: float | None = None


class PhaseRecord(_Entry):
    """A training phase: how far it is committed, and a bounded history of small points (step, loss, ...) for curves.

    `checkpoints` are whole states to go on from, oldest first; `best` holds only the weights that validated best.
    """

    step: int = 0
    total_steps: int = 0
    metrics: dict[str, float] = {}
    checkpoints: tuple[CheckpointEntry, ...] = ()
    best: CheckpointEntry | None = None
    history: tuple[dict[str, float], ...] = ()


class StageRecord(_Entry):
    """A finished stage: its JSON result, valid for as long as `key` (its inputs and settings) is the same."""

    key: str
    result: dict[str, Any]
    finished_at: float


class SessionRecord(_Entry):
    """One worker's turn: the last phase it committed in, and from which step to which. Times are unix seconds.

    `at_step` is how far it was, committed or not, when it last renewed its lease, and `steps_per_s` how fast.
    """

    owner: str
    fence: int
    started_at: float
    phase: str | None = None
    ended_at: float | None = None
    why: str = ""
    from_step: int | None = None
    to_step: int | None = None
    at_step: int | None = None
    steps_per_s: float | None = None


class StopNote(_Entry):
    """Somebody wants the run to stop, and to stay so until somebody starts it again. `at` is unix seconds."""

    by: str
    at: float


class RunRecord(_Entry):
    """Everything a worker, a supervisor or a person needs to go on with a run.

    `identity` is the part of the configuration that may not change, `config_hash` its hash. `fence` is that of the
    last lease ever granted. `attempts` counts sessions since something was last committed or finished: a budget on
    it stops crash loops without stopping long runs. `why` explains `state`.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    state: RunState = "new"
    why: str = ""
    config_hash: str
    identity: dict[str, Any]
    fence: int = 0
    lease: Lease | None = None
    stop: StopNote | None = None
    attempts: int = 0
    phases: dict[str, PhaseRecord] = {}
    stages: dict[str, StageRecord] = {}
    sessions: tuple[SessionRecord, ...] = ()

    def to_bytes(self) -> bytes:
        """The record as JSON."""
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> "RunRecord":
        """The record in `data`, read from `where`. Raises RunConflict when this version cannot read it."""
        try:
            content = json.loads(data)
            version = content["schema_version"]
            if version <= SCHEMA_VERSION:
                return cls.model_validate(_migrated(content))
        except (ValueError, TypeError, KeyError) as error:
            raise RunConflict(
                f"{where} is not a readable run record ({error}); restore an earlier version of the object, "
                "or choose another --run-id"
            ) from error
        raise RunConflict(
            f"{where} has schema {version} and this VoiceFlow reads up to {SCHEMA_VERSION}; upgrade VoiceFlow, "
            "or choose another --run-id"
        )


def _migrated(content: dict[str, Any]) -> dict[str, Any]:
    """The record as today's schema writes it. It reaches the store with the next change, of whatever kind."""
    if (
        content["schema_version"] == 1
    ):  # the best checkpoint was a whole state among the others, and phases had a status
        for phase in content["phases"].values():
            del phase["status"]
            entries = phase["checkpoints"]
            flagged = [entry for entry in entries if entry.pop("best")]
            phase["best"] = flagged[-1] if flagged else None
            phase["checkpoints"] = entries[-2:]
        content["schema_version"] = 2
    return content


def checked_name(name: str, what: str = "run id") -> str:
    """The name itself when it may be part of an object path, else ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r} is refused: up to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit"
        )
    return name


def record_path(run_id: str) -> str:
    """Where a run's record lies in its store. Raises ConfigError for an impossible run id."""
    return f"runs/{checked_name(run_id)}/run.json"
