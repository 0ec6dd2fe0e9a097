"""`voiceflow status`: the runs of a store, as their records tell."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voiceflow_model.cli.options import DEFAULT_STORE, Json, RunId, StoreUrl

if TYPE_CHECKING:
    from rich.console import RenderableType

    from voiceflow_model.runs.record import RunRecord
    from voiceflow_model.store import Store

_EVERY_S = 2.0


def status(
    store: StoreUrl = DEFAULT_STORE,
    run_id: RunId = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Show the runs of a store: how far they are, who holds them, what they reached; --run-id for one in detail."""
    from voiceflow_model.cli.output import say, show
    from voiceflow_model.errors import ConfigError
    from voiceflow_model.store import open_store

    place = open_store(store)
    if watch and json:
        raise ConfigError("--watch draws for people; call --json as often as you like")
    if watch:
        _watch(place, run_id)
        return
    records = _records(place, run_id)
    if not records:
        say(f"no runs in {place.url}; start one with `voiceflow run --config demo --store {store}`")
    if records or json:
        result: Any = records[0] if run_id is not None else [overview(record, time.time()) for record in records]
        show(result, lambda: _drawn(place, records, run_id), as_json=json)


def overview(record: "RunRecord", now: float) -> dict[str, Any]:
    """What a scheduler or a person asks first. `state` is "interrupted" when its holder is gone."""
    from voiceflow_model.runs.lease import why_free
    from voiceflow_model.runs.outlook import outlook

    reason = why_free(record.lease, now) if record.state == "running" else None
    results = {name: stage.result for name, stage in record.stages.items()}
    ahead = outlook(record)
    return {
        "run_id": record.run_id,
        "state": "interrupted" if reason else record.state,
        "why": reason or record.why,
        "holder": record.lease.owner if record.lease and not reason else None,
        "stop": record.stop.by if record.stop else None,
        "steps": {name: [phase.step, phase.total_steps] for name, phase in record.phases.items()},
        "left_s": ahead and ahead.left_s,
        "sessions_needed": ahead and ahead.sessions,
        "stages": list(record.stages),
        "accuracy": {name: result["accuracy"] for name, result in results.items() if "accuracy" in result},
        "der": results.get("evaluate", {}).get("report", {}).get("der"),
        "latest": results.get("export", {}).get("latest"),
        "sessions": len(record.sessions),
        "attempts": record.attempts,
    }


def _records(place: "Store", run_id: str | None) -> list["RunRecord"]:
    from voiceflow_model.runs.run import Run, list_runs

    return [Run.load(place, name).record for name in ([run_id] if run_id is not None else list_runs(place))]


def _drawn(place: "Store", records: list["RunRecord"], run_id: str | None) -> "RenderableType":
    from voiceflow_model.cli.status_tables import all_runs, one_run

    now = time.time()
    if run_id is not None:
        return one_run(records[0], now)
    return all_runs([overview(record, now) for record in records], place.url)


def _watch(place: "Store", run_id: str | None) -> None:
    from rich.live import Live

    def look() -> "RenderableType":
        return _drawn(place, _records(place, run_id), run_id)

    try:
        with Live(look(), auto_refresh=False, screen=False) as live:
            while True:
                time.sleep(_EVERY_S)
                live.update(look(), refresh=True)
    except KeyboardInterrupt:
        return
