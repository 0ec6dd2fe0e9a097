"""The `voiceflow` command: everything of the library, and `run`, the whole chain through Prefect."""

from contextlib import suppress
from typing import TYPE_CHECKING

from typer import Typer

from voiceflow_model.cli.app import app
from voiceflow_model.cli.exits import leave, reported
from voiceflow_model.cli.options import DEFAULT_STORE, ConfigName, Json, RunId, Settings, StoreUrl
from voiceflow_model.errors import StoreUnavailable

if TYPE_CHECKING:
    from voiceflow_model.runs.record import RunRecord
    from voiceflow_model.store import Store

automations = Typer(no_args_is_help=True, help="What Prefect does by itself when a worker dies.")
app.add_typer(automations, name="automations")


@app.command()
@reported
def run(
    config: ConfigName,
    store: StoreUrl = DEFAULT_STORE,
    run_id: RunId = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Validate, train, evaluate and export, as Prefect flows. Stages that are done are skipped; so run it again."""
    from voiceflow_model.cli.output import say
    from voiceflow_model.cli.record import record_if_any
    from voiceflow_model.cli.settings import configured
    from voiceflow_model.store import open_store

    run_config = configured(config, settings)
    place, name = open_store(store), run_id or run_config.name
    before = record_if_any(place, name)
    say(f"run {name} in {place.url}")

    from flows.pipeline import run_pipeline

    try:
        run_pipeline(run_config, place.url, name)
    finally:  # what was reached is worth reading most when a gate was missed
        with suppress(StoreUnavailable):
            _report(place, name, before, json)


@automations.command("apply")
@reported
def apply_automations() -> None:
    """Create Prefect's automations for VoiceFlow, or bring them up to date: dead flow runs are noticed at once."""
    from flows.automations import apply
    from voiceflow_model.cli.output import say

    for line in apply():
        say(line)


def _report(place: "Store", name: str, before: "RunRecord | None", json: bool) -> None:
    from voiceflow_model.cli.output import show
    from voiceflow_model.cli.record import record_if_any
    from voiceflow_model.cli.summary import readable, summarise

    record = record_if_any(place, name)
    if record is not None:
        summary = summarise(record, place, before)
        show(summary, lambda: readable(summary), as_json=json)


def main() -> None:
    """The entry point."""
    leave(app)


if __name__ == "__main__":
    main()
