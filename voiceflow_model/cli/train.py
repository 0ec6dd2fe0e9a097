"""`voiceflow train`: one phase of a run on this machine, without Prefect."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from voiceflow_model.cli.options import DEFAULT_STORE, ConfigName, Json, PhaseName, RunId, Settings, StoreUrl

if TYPE_CHECKING:
    from voiceflow_model.store import Store


def train(
    config: ConfigName,
    phase: Annotated[PhaseName, typer.Option(help="Which phase.")] = "train",
    store: StoreUrl = DEFAULT_STORE,
    run_id: RunId = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Train one phase of a run here. After any interruption the same command continues from the last checkpoint."""
    from voiceflow_model.cli.output import say, show
    from voiceflow_model.cli.settings import configured
    from voiceflow_model.stages import run_phase
    from voiceflow_model.store import open_store
    from voiceflow_model.training.progress import describe

    run_config = configured(config, settings)
    place, name = open_store(store), run_id or run_config.name
    options = ["--config", config, "--store", store, "--run-id", name, *(f"--set={each}" for each in settings or ())]
    if phase == "train" and run_config.phases.train.continue_from_validate:
        _require_validate(place, name, shlex.join(options))
    result = run_phase(run_config, phase, place, name)
    show(
        result,
        lambda: f"{phase}: {describe(result.accuracy)}\n{result.steps} steps, saved as {result.checkpoint}",
        as_json=json,
    )
    following = ["train", *options] if phase == "validate" else ["evaluate", "--model", name, "--store", store]
    say(f"next: voiceflow {shlex.join(following)}")


def _require_validate(store: "Store", run_id: str, options: str) -> None:
    """Before anything starts, or the run's record would tell of a failed session."""
    from voiceflow_model.cli.record import record_if_any
    from voiceflow_model.errors import ConfigError

    record = record_if_any(store, run_id)
    if record is None or "validate" not in record.stages:
        raise ConfigError(
            f"phases.train.continue_from_validate is set and run {run_id} in {store.url} has not finished its validate "
            f"phase: first `voiceflow train --phase validate {options}`, or start from nothing with "
            "--set phases.train.continue_from_validate=false"
        )
