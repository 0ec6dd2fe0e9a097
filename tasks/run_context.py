"""Whether Prefect is watching: the same code runs under a server, in a test and in a notebook."""

from datetime import datetime
from logging import Logger, LoggerAdapter, getLogger
from typing import Any

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging import get_run_logger


def in_run() -> bool:
    """Whether this code runs inside a Prefect flow or task run."""
    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


def is_deployed() -> bool:
    """Whether a worker runs this flow from a deployment; then nobody looks at the terminal."""
    flow = FlowRunContext.get()
    return flow is not None and flow.flow_run is not None and flow.flow_run.deployment_id is not None


def due() -> datetime | None:
    """When a schedule wanted this flow run, however late it starts; None when somebody asked for it."""
    flow = FlowRunContext.get()
    run = flow.flow_run if flow is not None else None
    return run.expected_start_time if run is not None and run.auto_scheduled else None


def logger() -> "Logger | LoggerAdapter[Any]":
    """The run's log, which the server shows; outside a run an ordinary one."""
    return get_run_logger() if in_run() else getLogger("voiceflow")
