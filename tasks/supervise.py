"""Continuing runs that nobody advances: what the library decides, carried out through Prefect."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from prefect import runtime, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound as NotInPrefect
from prefect.states import Crashed

from tasks.artifacts import attempt
from tasks.run_context import CONTINUATION, begun_from, logger
from voiceflow_model.errors import ObjectNotFound, VoiceFlowError
from voiceflow_model.runs.continuation import Continuation, recall, remember
from voiceflow_model.runs.record import RunRecord
from voiceflow_model.runs.record_file import RecordFile
from voiceflow_model.runs.run import list_runs
from voiceflow_model.runs.supervision import Action, Patience, Standing, Tried, decide
from voiceflow_model.store import Store, open_store

_STANDINGS: dict[StateType, Standing] = {
    StateType.SCHEDULED: "waiting",
    StateType.PENDING: "waiting",
    StateType.RUNNING: "working",
    StateType.PAUSED: "waiting",
    StateType.CANCELLING: "working",
    StateType.COMPLETED: "ended",
    StateType.FAILED: "ended",
    StateType.CRASHED: "ended",
    StateType.CANCELLED: "cancelled",
}


_REFUSED = "Deployment concurrency limit reached."  # as Prefect 3.8 says it
_MOST_TRIES = 100


class Seen(NamedTuple):
    """One run as a pass of the supervisor left it."""

    run: str
    action: str
    why: str
    flow_run: str = ""


def remember_deployment(store: Store, run_id: str, until: str) -> None:
    """Write down how this flow run, if it comes from a deployment, can be continued by another one."""
    flow_run = begun_from()
    if flow_run is not None:
        parameters = {**flow_run.parameters, "run_id": run_id, "store": store.url}
        name = f"{runtime.flow_run.flow_name}/{runtime.deployment.name}"
        continuation = Continuation(
            deployment=name, parameters=parameters, until=until, flow_run=str(flow_run.id), at=time.time()
        )
        remember(store, run_id, continuation)


@task(name="voiceflow-supervise", task_run_name="supervise {store_url}", cache_policy=NO_CACHE, persist_result=False)
def supervise_runs(store_url: str, patience: Patience) -> list[Seen]:
    """One pass over the runs of a store; what was done, and why, is a table in Prefect. Safe to repeat, also at once.

    One run's trouble is reported and does not keep the others waiting. Raises what the store raises when listing.
    """
    store = open_store(store_url)
    with get_client(sync_client=True) as client:
        seen = [_supervised(client, store, run_id, patience) for run_id in list_runs(store)]
    for each in seen:
        logger().info("%s: %s, %s %s", *each)
    if acted := [each._asdict() for each in seen if each.action != "nothing"]:
        attempt("supervision", lambda: create_table_artifact(acted, key="supervision", description=store.url))
    return seen


def _supervised(client: SyncPrefectClient, store: Store, run_id: str, patience: Patience) -> Seen:
    try:
        file = RecordFile(store, run_id)
        record, continuation = file.read(), recall(store, run_id)
        tried = list(_tried(client, store, record, continuation)) if continuation else []
        action = decide(record, continuation, time.time(), patience, tried)
        if action.kind == "give up":
            file.change(lambda now: _given_up(now, record.fence, action))
        if action.kind == "continue" and continuation is not None:
            begun = _continue(client, store, record, continuation, len(tried))
            return Seen(run_id, action.kind, action.why, begun.name)
        return Seen(run_id, action.kind, action.why)
    except (VoiceFlowError, NotInPrefect) as error:
        return Seen(run_id, "trouble", f"{type(error).__name__}: {error}")


def _continue(
    client: SyncPrefectClient, store: Store, record: RunRecord, continuation: Continuation, number: int
) -> FlowRun:
    """Start the deployment again. Of two supervisors that do so at once, both get the same flow run."""
    _bury(client, continuation, record)
    try:
        deployment = client.read_deployment_by_name(continuation.deployment)
    except NotInPrefect as error:
        raise ObjectNotFound(f"deployment {continuation.deployment} is gone: `prefect deploy --all`") from error
    return client.create_flow_run_from_deployment(
        deployment.id,
        parameters=continuation.parameters,
        idempotency_key=_key(store, record, number),
        tags=[CONTINUATION],
    )


def _bury(client: SyncPrefectClient, continuation: Continuation, record: RunRecord) -> None:
    """Let Prefect know that the flow run whose lease ran out is dead: it would be Running, and keep its slot, for ever.

    Prefect does not stop that process. If it lives after all, it has lost its lease and stops by itself.
    """
    flow_run = client.read_flow_run(UUID(continuation.flow_run))
    if record.lease is not None and flow_run.state_type == StateType.RUNNING:
        client.set_flow_run_state(flow_run.id, Crashed(message="its lease on the run ran out"), force=True)


def _tried(client: SyncPrefectClient, store: Store, record: RunRecord, continuation: Continuation) -> Iterator[Tried]:
    """The flow runs begun for this run since its last lease: continuations, and one that a person started."""
    keys = [_key(store, record, number) for number in range(_MOST_TRIES)]
    for flow_run in client.read_flow_runs(
        flow_run_filter=FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=keys))
    ):
        yield _as_tried(flow_run)
    if not record.sessions or continuation.at > record.sessions[-1].started_at:
        last = client.read_flow_run(UUID(continuation.flow_run))
        if last.idempotency_key not in keys:
            yield _as_tried(last)


def _as_tried(flow_run: FlowRun) -> Tried:
    state: Any = flow_run.state
    standing = "refused" if state.message == _REFUSED else _STANDINGS[state.type]
    return Tried(flow_run.name, standing, state.timestamp.timestamp(), f"{state.name} {state.message or ''}".strip())


def _key(store: Store, record: RunRecord, number: int) -> str:
    return f"{store.url}/{record.run_id}-{record.fence}-{number}"


def _given_up(record: RunRecord, fence: int, action: Action) -> RunRecord:
    """Failed with the reason, unless somebody has taken the run meanwhile."""
    if record.fence != fence:
        return record
    return record.model_copy(update={"state": "failed", "why": action.why, "lease": None})
