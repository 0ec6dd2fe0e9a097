"""How a run is started again by somebody who was not there when it began (`runs/<run_id>/deployment.json`).

It lies beside the record and not in it: the record belongs to whoever holds the lease, this to whoever starts a flow.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from voiceflow_model.errors import ObjectNotFound, RunConflict
from voiceflow_model.runs.record import checked_name
from voiceflow_model.store.protocol import Store


class Continuation(BaseModel):
    """A deployment, "flow/name", and the parameters with which it goes on with this very run; never a secret.

    `until` is the last stage that its flow runs. `flow_run` is the flow run that began last, `at` when (unix seconds).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    deployment: str
    parameters: dict[str, Any]
    until: str
    flow_run: str
    at: float


def continuation_path(run_id: str) -> str:
    """Where a run's continuation lies in its store. Raises ConfigError for an impossible run id."""
    return f"runs/{checked_name(run_id)}/deployment.json"


def remember(store: Store, run_id: str, continuation: Continuation) -> None:
    """Whoever starts a flow last says how the run goes on."""
    store.write(continuation_path(run_id), continuation.model_dump_json(indent=1).encode())


def recall(store: Store, run_id: str) -> Continuation | None:
    """How the run goes on; None when it was started by hand. Raises RunConflict when that cannot be read."""
    path = continuation_path(run_id)
    try:
        return Continuation.model_validate_json(store.read(path).data)
    except ObjectNotFound:
        return None
    except ValidationError as error:
        raise RunConflict(f"{store.uri(path)} cannot be read; start the run's deployment again ({error})") from error
