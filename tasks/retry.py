"""Which failures a retry may cure: the network's and the store's, never the model's or the user's."""

from typing import Any

import httpx
from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from voiceflow_model.errors import VoiceFlowError

_NETWORK = (ConnectionError, TimeoutError, httpx.TransportError)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later.

    VoiceFlow's own errors say so themselves (`retryable`). Of the others only failures of the network count: a wrong
    setting, a loss that is not a number or a GPU without memory fails the same way again, and costs the GPU's time.
    """
    return error.retryable if isinstance(error, VoiceFlowError) else isinstance(error, _NETWORK)


def retry_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """`is_transient` in the shape of Prefect's `retry_condition_fn`."""
    return isinstance(state.data, BaseException) and is_transient(state.data)
