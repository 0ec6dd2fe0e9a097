"""What a flow is told, and what that means: a configuration by name or in full, a store, a run."""

import os
from datetime import datetime

from voiceflow_model.cli.options import DEFAULT_STORE
from voiceflow_model.config import RunConfig, load_config, parse_config

DESCRIPTIONS = {
    "config": "name of a shipped configuration, a TOML file on the worker, or all settings",
    "store": "where runs live: gs://bucket/prefix or a folder; empty: the worker's $VOICEFLOW_STORE",
    "run_id": "the run to start or continue; empty: named after the configuration, by a schedule with the date",
    "settings": "changes of single settings, such as training.batch_size=16",
}


def configuration(config: RunConfig | str, settings: list[str]) -> RunConfig:
    """The configuration of that name or file, or the one given, with `section.key=value` applied. ConfigError."""
    if isinstance(config, str):
        return load_config(config, settings)
    return parse_config(config.model_dump(mode="json", by_alias=True), settings) if settings else config


def store_url(store: str) -> str:
    """The store given, else the worker's $VOICEFLOW_STORE, else a folder under the working directory."""
    return store or os.environ.get("VOICEFLOW_STORE") or DEFAULT_STORE


def run_name(config: RunConfig, run_id: str | None, due: datetime | None) -> str:
    """The run to work on: as given, else the configuration's name, so that running again continues or skips.

    With `due`, when a schedule wanted the run, it is called after that day, as in `librispeech-2026-11-22`: each turn
    of the schedule trains anew, while a retry or a late start of a turn goes on with the same run.
    """
    return run_id or (f"{config.name}-{due:%Y-%m-%d}" if due else config.name)
