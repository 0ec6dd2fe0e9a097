"""What every VoiceFlow flow has in common: its parameters, and how it ends."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

# isort: off
import tasks  # noqa: F401 - sets Prefect's defaults, so it comes before prefect

# isort: on
from prefect import Flow
from prefect.client.schemas.objects import State

from flows.parameters import DESCRIPTIONS, configuration, run_name, store_url
from flows.server import serve
from tasks.ending import flow_ending, outcome
from tasks.run_context import due, is_continuation, logger
from tasks.supervise import remember_deployment
from voiceflow_model.config import RunConfig
from voiceflow_model.errors import VoiceFlowError, Yielded
from voiceflow_model.runs.run import forget_stop
from voiceflow_model.section import Section
from voiceflow_model.store import open_store

Result = TypeVar("Result", bound=Section)
Stages = Callable[[RunConfig, str, str], Result]

StageFlow = Flow[..., Result]


def stage_flow(name: str, until: str) -> Callable[[Stages[Result]], StageFlow[Result]]:
    """Make a flow of stages (config, store URL, run id) -> record, the last of which is called `until`.

    Its parameters are (config, store, run_id, settings), all with defaults. A stop that VoiceFlow asked for ends in
    the state Yielded, any other error of ours in Failed with its message; what nobody expected keeps its traceback.
    """

    def decorate(stages: Stages[Result]) -> StageFlow[Result]:
        def body(
            config: RunConfig | str = "demo",
            store: str = "",
            run_id: str | None = None,
            settings: list[str] = [],  # noqa: B006 - Prefect shows the default, nothing changes it
        ) -> Any:  # the record, or a final state of Prefect
            try:
                resolved = configuration(config, settings)
                run, where = run_name(resolved, run_id, due()), store_url(store)
                logger().info("run %s of configuration %s (%s) in %s", run, resolved.name, resolved.hash(), where)
                place = open_store(where)
                if not is_continuation():
                    forget_stop(place, run)
                remember_deployment(place, run, until)
                return stages(resolved, where, run)
            except VoiceFlowError as error:
                return flow_ending(error)

        body.__doc__ = "\n".join([f"{stages.__doc__}\n", "Args:", *(f"    {k}: {v}" for k, v in DESCRIPTIONS.items())])
        body.__name__, body.__qualname__, body.__module__ = stages.__name__, stages.__qualname__, stages.__module__
        return Flow(body, name=name, description=stages.__doc__, persist_result=False)

    return decorate


def run_here(stages: StageFlow[Result], config: RunConfig, store_url: str, run_id: str | None = None) -> Result:
    """Run a flow here and now, under the server that PREFECT_API_URL names or an embedded one.

    Raises what the stages raise, as if there were no Prefect: Yielded when the same call continues later, GateMissed.
    """
    serve()
    state: State[Any] = cast(Any, stages)(config, store_url, run_id, return_state=True)
    if state.name == "Yielded":
        raise Yielded(state.message or "the run yielded; the same command continues it")
    if state.is_completed() and state.data is None:  # the server's copy, after an answer of it got lost
        repeated: Result = stages.fn(config, store_url, run_id)  # every stage is done and only read
        return repeated
    result: Result = outcome(state)
    return result
