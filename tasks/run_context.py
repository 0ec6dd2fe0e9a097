"""Whether Prefect is watching: the same code runs under a server, in a test and in a notebook."""

from datetime import datetime
from logging import Logger, LoggerAdapter, getLogger
from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging import get_run_logger

CONTINUATION = "voiceflow-continuation"
"""Tag of the flow runs that the supervisor starts."""


def in_run() -> bool:
    """Whether this code runs inside a Prefect flow or task run."""
    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


def is_deployed() -> bool:
    """Whether a worker runs this flow from a deployment; then nobody looks at the terminal."""
    return begun_from() is not None


def begun_from() -> FlowRun | None:
    """The flow run, when it comes from a deployment and so can be started again; else None."""
    flow = FlowRunContext.get()
    run = flow.flow_run if flow is not None else None
    return run if run is not None and run.deployment_id is not None else None


def is_continuation() -> bool:
    """Whether the supervisor started this flow run, and no person."""
    run = begun_from()
    return run is not None and CONTINUATION in run.tags


def due() -> datetime | None:
    """When a schedule wanted this flow run, however late it starts; None when somebody asked for it."""
    flow = FlowRunContext.get()
    run = flow.flow_run if flow is not None else None
    return run.expected_start_time if run is not None and run.auto_scheduled else None


def logger() -> "Logger | LoggerAdapter[Any]":
    """The run's log, which the server shows; outside a run an ordinary one."""
    return get_run_logger() if in_run() else getLogger("voiceflow")
