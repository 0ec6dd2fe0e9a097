import httpx
import pytest
from prefect import task
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from tasks.retry import is_transient, retry_transient
from voiceflow_model import errors


def _our_errors() -> list[type[errors.VoiceFlowError]]:
    return sorted(
        (e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.VoiceFlowError)),
        key=lambda e: e.__name__,
    )


def _made(kind: type[errors.VoiceFlowError]) -> errors.VoiceFlowError:
    return kind("key", "cause") if kind is errors.BrokenAudio else kind("why")


def test_of_our_errors_only_those_of_the_surroundings_are_worth_another_try() -> None:
    transient = {kind.__name__ for kind in _our_errors() if is_transient(_made(kind))}
    assert transient == {"StoreUnavailable", "RunBusy", "WorkerDied"}


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), TimeoutError(), httpx.ConnectTimeout("slow"), httpx.RemoteProtocolError("cut")]
)
def test_network_failures_are_worth_another_try(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory"), MemoryError(), ValueError(), FileNotFoundError(), AssertionError()]
)
def test_what_fails_the_same_way_again_is_not_tried_again(error: Exception) -> None:
    assert not is_transient(error)


def test_prefect_hears_the_same_answer() -> None:
    nothing = task(lambda: None)
    run = TaskRun(task_key="k", dynamic_key="0")
    assert retry_transient(nothing, run, Failed(data=errors.StoreUnavailable("later")))
    assert not retry_transient(nothing, run, Failed(data=errors.Diverged("nan")))
    assert not retry_transient(nothing, run, Failed(message="returned, not raised"))
