"""`voiceflow train`: one phase of a run on this machine, without Prefect."""

import shlex
from typing import Annotated

import typer

from voiceflow_model.cli.options import DEFAULT_STORE, ConfigName, Json, PhaseName, RunId, Settings, StoreUrl


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
    from voiceflow_model.runs.run import forget_stop
    from voiceflow_model.stages import run_phase
    from voiceflow_model.store import open_store
    from voiceflow_model.training.progress import describe

    run_config = configured(config, settings)
    place, name = open_store(store), run_id or run_config.name
    options = ["--config", config, "--store", store, "--run-id", name, *(f"--set={each}" for each in settings or ())]
    forget_stop(place, name)
    result = run_phase(run_config, phase, place, name)
    show(
        result,
        lambda: f"{phase}: {describe(result.accuracy)}\n{result.steps} steps, saved as {result.checkpoint}",
        as_json=json,
    )
    following = ["train", *options] if phase == "validate" else ["evaluate", "--model", name, "--store", store]
    say(f"next: voiceflow {shlex.join(following)}")
