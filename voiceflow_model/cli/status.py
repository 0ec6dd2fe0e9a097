"""`voiceflow status`: the runs of a store, as their records tell."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table

from voiceflow_model.cli.options import DEFAULT_STORE, Json, RunId, StoreUrl

if TYPE_CHECKING:
    from voiceflow_model.runs.record import RunRecord


def status(store: StoreUrl = DEFAULT_STORE, run_id: RunId = None, json: Json = False) -> None:
    """Show the runs of a store: how far they are, who holds them, what they reached; --run-id for one in detail."""
    from voiceflow_model.cli.output import say, show
    from voiceflow_model.runs.run import Run, list_runs
    from voiceflow_model.store import open_store

    place = open_store(store)
    if run_id is not None:
        record = Run.load(place, run_id).record
        show(record, lambda: Group(_sessions(record), _checkpoints(record)), as_json=json)
        return
    records = [Run.load(place, name).record for name in list_runs(place)]
    if not records:
        say(f"no runs in {place.url}; start one with `voiceflow run --config demo --store {store}`")
    if records or json:
        show([_overview(record, time.time()) for record in records], lambda: _runs(records, place.url), as_json=json)


def _overview(record: "RunRecord", now: float) -> dict[str, Any]:
    """What a scheduler or a person asks first. `state` is "interrupted" when its holder is gone."""
    from voiceflow_model.runs.lease import why_free

    reason = why_free(record.lease, now) if record.state == "running" else None
    results = {name: stage.result for name, stage in record.stages.items()}
    return {
        "run_id": record.run_id,
        "state": "interrupted" if reason else record.state,
        "why": reason or record.why,
        "holder": record.lease.owner if record.lease and not reason else None,
        "steps": {name: [phase.step, phase.total_steps] for name, phase in record.phases.items()},
        "stages": list(record.stages),
        "accuracy": {name: result["accuracy"] for name, result in results.items() if "accuracy" in result},
        "der": results.get("evaluate", {}).get("report", {}).get("der"),
        "latest": results.get("export", {}).get("latest"),
        "sessions": len(record.sessions),
        "attempts": record.attempts,
    }


def _runs(records: list["RunRecord"], url: str) -> Table:
    table = Table(title=f"Runs in {url}")
    for heading in ("run", "state", "done", "steps", "frames", "speakers", "DER", "why"):
        table.add_column(heading, overflow="fold")
    for record in records:
        seen = _overview(record, time.time())
        accuracy = next(reversed(seen["accuracy"].values()), None)
        table.add_row(
            record.run_id,
            seen["state"],
            ", ".join(seen["stages"]),
            ", ".join(f"{phase} {step}/{total}" for phase, (step, total) in seen["steps"].items()),
            f"{accuracy['frame_accuracy']:.1%}" if accuracy else "",
            f"{accuracy['speaker_accuracy']:.1%}" if accuracy else "",
            "" if seen["der"] is None else f"{seen['der']:.1%}",
            f"held by {seen['holder']}" if seen["holder"] else seen["why"],
        )
    return table


def _sessions(record: "RunRecord") -> Table:
    table = Table(title=f"{record.run_id}: {record.state} {record.why}")
    for heading in ("session", "owner", "began", "lasted", "phase", "steps", "ended because"):
        table.add_column(heading, overflow="fold")
    for session in record.sessions:
        ended = session.ended_at if session.ended_at is not None else time.time()
        table.add_row(
            str(session.fence),
            session.owner,
            datetime.fromtimestamp(session.started_at, UTC).isoformat(timespec="seconds"),
            f"{ended - session.started_at:.0f} s",
            session.phase or "",
            "" if session.to_step is None else f"{session.from_step} to {session.to_step}",
            session.why,
        )
    return table


def _checkpoints(record: "RunRecord") -> Table:
    table = Table(title="Checkpoints")
    for heading in ("phase", "step", "object", "bytes", "sha256", "best"):
        table.add_column(heading, overflow="fold")
    for name, phase in record.phases.items():
        for entry in phase.checkpoints:
            best = "best" if entry.best else ""
            table.add_row(name, str(entry.step), entry.path, f"{entry.bytes:,}", entry.sha256[:12], best)
    return table
