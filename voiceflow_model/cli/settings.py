"""The configuration that a command runs under: from a file, or from the run that it continues."""

from collections.abc import Sequence

from voiceflow_model.config import PHASES, RunConfig, load_config, parse_config
from voiceflow_model.errors import ConfigError
from voiceflow_model.runs.record import RunRecord

PLACEHOLDER = "YOUR-"


def configured(name_or_file: str, settings: Sequence[str] | None = None) -> RunConfig:
    """The configuration of that name or file with settings applied. Raises ConfigError, also for a template's URL."""
    config = load_config(name_or_file, settings or ())
    for phase in PHASES:
        corpus = config.corpus_of(phase)
        key = f"phases.{phase}.corpus" if config.phase(phase).corpus else "corpus"
        for field in ("url", "heldout_url"):
            value = getattr(corpus, field, None) or ""
            if PLACEHOLDER in value:
                raise ConfigError(
                    f"{name_or_file}: {key}.{field} is still the placeholder {value}: name your own folder of "
                    f"<speaker>/.../<utterance>.flac, for example --set {key}.{field}=gs://bucket/folder"
                )
    return config


def of_run(record: RunRecord, settings: Sequence[str] | None = None) -> RunConfig:
    """The configuration that the run was started with; its name is not recorded, so the run's stands in."""
    identity = {key: value for key, value in record.identity.items() if key != "corpus_fingerprints"}
    return parse_config({**identity, "name": record.run_id}, settings or ())
