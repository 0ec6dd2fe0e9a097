"""A stage of the library as a Prefect task: retried when that can help, shown as skipped, yielded or failed."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from tasks.artifacts import attempt
from tasks.ending import outcome, skipped, task_ending
from tasks.retry import retry_transient
from tasks.run_context import in_run
from voiceflow_model.config import RunConfig
from voiceflow_model.errors import GateMissed, ObjectNotFound, VoiceFlowError
from voiceflow_model.runs.record import RunRecord, record_path
from voiceflow_model.section import Section
from voiceflow_model.store import Store, open_store

Result = TypeVar("Result", bound=Section)
Stage = Callable[[RunConfig, str, str], Result]
Publish = Callable[[RunConfig, Store, Result], None]


class StageTask(Task[[RunConfig, str, str], Result]):
    """A task whose body may return a named final state; its caller gets the record, or the error raised, all the same.

    Called directly, Prefect hands such a state itself to the caller.
    """

    def __call__(self, config: RunConfig, store_url: str, run_id: str) -> Result:  # type: ignore[override]
        state: State[Result] = super().__call__(config, store_url, run_id, return_state=True)
        return outcome(state)


def stage_task(
    stage: str, kind: type[Result], publish: Publish[Result], retry_delays_s: Sequence[float] = (10, 60, 300)
) -> Callable[[Stage[Result]], StageTask[Result]]:
    """Make a task of a function (config, store URL, run id) -> `kind`.

    The result is published as artifacts, also when it missed its gate: that is when it is looked at. Results are kept
    by the run record, not by Prefect (docs/adr/0003-stage-results.md), hence no cache. Call the task, do not submit
    it: training needs the main thread for its signal handlers.
    """

    def decorate(function: Stage[Result]) -> StageTask[Result]:
        @wraps(function)
        def body(config: RunConfig, store_url: str, run_id: str) -> Any:  # the record, or a final state of Prefect
            try:
                store = open_store(store_url)
                before = stored_result(config, store, run_id, stage, kind)
                try:
                    result = function(config, store_url, run_id)
                except GateMissed:
                    missed = stored_result(config, store, run_id, stage, kind)
                    if missed is not None:
                        attempt(stage, lambda: publish(config, store, missed))
                    raise
            except VoiceFlowError as error:
                if error.retryable or not in_run():
                    raise
                return task_ending(error)
            attempt(stage, lambda: publish(config, store, result))
            return result if before is None or not in_run() else skipped(result, store.uri(record_path(run_id)))

        return StageTask(
            body,
            name=f"voiceflow-{stage}",
            task_run_name=f"{stage} {{run_id}}",
            tags={"voiceflow", stage},
            retries=len(retry_delays_s),
            retry_delay_seconds=[*retry_delays_s],
            retry_jitter_factor=0.3,
            retry_condition_fn=retry_transient,
            cache_policy=NO_CACHE,
            persist_result=False,
        )

    return decorate


def stored_result(config: RunConfig, store: Store, run_id: str, stage: str, kind: type[Result]) -> Result | None:
    """What the run record holds of a stage under this very configuration."""
    path = record_path(run_id)
    try:
        record = RunRecord.from_bytes(store.read(path).data, store.uri(path))
    except ObjectNotFound:
        return None
    done = record.stages.get(stage)
    return kind.model_validate(done.result) if done is not None and done.key == config.hash() else None
