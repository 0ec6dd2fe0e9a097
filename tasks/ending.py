"""How a run ends in Prefect when VoiceFlow stops it on purpose: a state with a name and a sentence, no traceback."""

from typing import Any, TypeVar

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from voiceflow_model.errors import VoiceFlowError, Yielded

Result = TypeVar("Result")


def task_ending(error: VoiceFlowError) -> State[Any]:
    """The final state of a task that raised `error`; whoever called the task still gets `error` raised.

    A task that yielded did not fail. It is CANCELLED by type, because Prefect raises the error of such a task in the
    flow, so the stages that follow do not start.
    """
    if isinstance(error, Yielded):
        return Cancelled(name="Yielded", message=str(error), data=error)
    return Failed(message=_sentence(error), data=error)


def flow_ending(error: VoiceFlowError) -> State[Any]:
    """The final state of a flow that raised `error`: having yielded is an orderly end, COMPLETED and named so."""
    if isinstance(error, Yielded):
        return Completed(name="Yielded", message=str(error))
    return Failed(message=_sentence(error), data=error)


def skipped(result: Result, where: str) -> State[Result]:
    """The final state of a task whose result an earlier session left at `where`."""
    return Completed(name="Skipped", message=f"finished in an earlier session, see {where}", data=result)


def outcome(state: State[Result]) -> Result:
    """The record in a final state, or its error raised; also where an event loop runs, as in a notebook."""
    result: Result = state.result(_sync=True)  # type: ignore[call-overload]  # Prefect's own way to say "not async"
    return result


def _sentence(error: VoiceFlowError) -> str:
    return f"{type(error).__name__}: {error}"
