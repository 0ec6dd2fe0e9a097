"""What a flow is told, and what that means: a configuration by name or in full, a store, a run."""

import os
import re

from prefect.context import FlowRunContext

from voiceflow_model.config import RunConfig, load_config, parse_config

DEFAULT_STORE = "voiceflow-store"


def configuration(config: RunConfig | str, settings: list[str]) -> RunConfig:
    """The configuration of that name or file, or the one given, with `section.key=value` applied. ConfigError."""
    if isinstance(config, str):
        return load_config(config, settings)
    return parse_config(config.model_dump(mode="json", by_alias=True), settings) if settings else config


def store_url(store: str) -> str:
    """The store given, else the worker's $VOICEFLOW_STORE, else a folder under the working directory."""
    return store or os.environ.get("VOICEFLOW_STORE") or os.path.abspath(DEFAULT_STORE)


def run_name(config: RunConfig, run_id: str | None) -> str:
    """The run to work on: as given, else the configuration's name, so that running again continues or skips.

    A run that a schedule started is called after the day it was due, as in `librispeech-2026-11-22`: each turn of the
    schedule trains anew, while a retry or a late start of that turn goes on with the same run.
    """
    if run_id:
        return run_id
    name = re.sub(r"[^a-z0-9._-]+", "-", config.name.lower()).strip("-._") or "run"
    context = FlowRunContext.get()
    flow_run = context.flow_run if context else None
    if flow_run is None or not flow_run.auto_scheduled or flow_run.expected_start_time is None:
        return name
    return f"{name}-{flow_run.expected_start_time:%Y-%m-%d}"
