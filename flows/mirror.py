"""A corpus, copied to a bucket before anything trains on it."""

import os
from typing import Any

# isort: off
import tasks  # noqa: F401 - sets Prefect's defaults, so it comes before prefect

# isort: on
from prefect import flow

from flows.parameters import configuration
from tasks.ending import flow_ending
from tasks.mirror import mirror_corpus
from voiceflow_model.config import Phase, RunConfig
from voiceflow_model.errors import VoiceFlowError


@flow(name="voiceflow-mirror", persist_result=False)
def mirror(
    config: RunConfig | str = "librispeech",
    to: str = "",
    phase: Phase = "train",
    settings: list[str] = [],  # noqa: B006 - Prefect shows the default, nothing changes it
) -> Any:  # the record, or a final state of Prefect
    """Copy a corpus to a bucket or folder, through RAM; what is there already is skipped.

    Args:
        config: name of a shipped configuration, a TOML file on the worker, or all settings
        to: gs://bucket/prefix or a folder; empty: the worker's $VOICEFLOW_MIRROR
        phase: whose corpus
        settings: changes of single settings, such as corpus.url=hf://datasets/ORG/NAME
    """
    try:
        return mirror_corpus(configuration(config, settings), to or os.environ.get("VOICEFLOW_MIRROR", ""), phase)
    except VoiceFlowError as error:
        return flow_ending(error)
