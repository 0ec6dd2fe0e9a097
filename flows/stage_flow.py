"""What every VoiceFlow flow has in common: its parameters, and how it ends."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

# isort: off
import tasks  # noqa: F401 - sets Prefect's defaults, so it comes before prefect

# isort: on
from prefect import Flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.parameters import configuration, run_name, store_url
from tasks.ending import flow_ending, outcome
from tasks.run_context import logger
from voiceflow_model.config import RunConfig
from voiceflow_model.errors import VoiceFlowError, Yielded
from voiceflow_model.section import Section

Result = TypeVar("Result", bound=Section)
Stages = Callable[[RunConfig, str, str], Result]

Config = Annotated[RunConfig | str, Field(description="name of a shipped configuration, a TOML file, or all settings")]
Where = Annotated[str, Field(description="gs://bucket/prefix, file:///folder; empty: the worker's $VOICEFLOW_STORE")]
RunId = Annotated[str | None, Field(description="which run to continue; empty: the one named after the configuration")]
Settings = Annotated[list[str], Field(description="section.key=value, such as training.batch_size=16")]
StageFlow = Flow[..., Result]


def stage_flow(name: str) -> Callable[[Stages[Result]], StageFlow[Result]]:
    """Make a flow of stages (config, store URL, run id) -> record.

    Its parameters are (config, store, run_id, settings), all with defaults. A stop that VoiceFlow asked for ends in
    the state Yielded, any other error of ours in Failed with its message; what nobody expected keeps its traceback.
    """

    def decorate(stages: Stages[Result]) -> StageFlow[Result]:
        def body(config: Config = "demo", store: Where = "", run_id: RunId = None, settings: Settings = []) -> Any:  # noqa: B006
            try:
                resolved = configuration(config, settings)
                run, where = run_name(resolved, run_id), store_url(store)
                logger().info("run %s of configuration %s (%s) in %s", run, resolved.name, resolved.hash(), where)
                return stages(resolved, where, run)
            except VoiceFlowError as error:
                return flow_ending(error)

        body.__name__, body.__qualname__, body.__module__ = stages.__name__, stages.__qualname__, stages.__module__
        return Flow(body, name=name, description=stages.__doc__, persist_result=False)

    return decorate


def run_here(stages: StageFlow[Result], config: RunConfig, store_url: str, run_id: str | None = None) -> Result:
    """Run a flow here and now, under the server that PREFECT_API_URL names or an embedded one.

    Raises what the stages raise, as if there were no Prefect: Yielded when the same call continues later, GateMissed.
    """
    state: State[Result] = stages(config, store_url, run_id, return_state=True)
    if state.name == "Yielded":
        raise Yielded(state.message or "the run yielded; the same command continues it")
    return outcome(state)
