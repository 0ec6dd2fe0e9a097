"""The configuration that a command runs under: from a file, or from the run that it continues."""

from collections.abc import Sequence

from voiceflow_model.config import RunConfig, load_config, parse_config
from voiceflow_model.runs.record import RunRecord


def configured(name_or_file: str, settings: Sequence[str] | None = None) -> RunConfig:
    """The configuration of that name or file with settings applied. Raises ConfigError."""
    return load_config(name_or_file, settings or ())


def of_run(record: RunRecord, settings: Sequence[str] | None = None) -> RunConfig:
    """The configuration that the run was started with."""
    identity = {key: value for key, value in record.identity.items() if key != "corpus_fingerprints"}
    return parse_config(identity, settings or ())
