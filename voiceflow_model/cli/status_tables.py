"""Tables of `voiceflow status`."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from voiceflow_model.cli.settings import of_run
from voiceflow_model.errors import ConfigError
from voiceflow_model.evaluation.settings import GateConfig
from voiceflow_model.runs.checkpoints import named
from voiceflow_model.runs.lease import why_free
from voiceflow_model.runs.outlook import SESSION_S, lost_steps, outlook
from voiceflow_model.runs.record import RunRecord


def all_runs(overviews: list[dict[str, Any]], url: str) -> Table:
    """One line for each run."""
    table = _table(f"Runs in {url}", "run", "state", "done", "steps", "left", "frames", "speakers", "DER", "why")
    for seen in overviews:
        accuracy = next(reversed(seen["accuracy"].values()), None)
        why = f"held by {seen['holder']}" if seen["holder"] else seen["why"]
        table.add_row(
            seen["run_id"],
            seen["state"],
            ", ".join(seen["stages"]),
            ", ".join(f"{phase} {step}/{total}" for phase, (step, total) in seen["steps"].items()),
            _duration(seen["left_s"]),
            f"{accuracy['frame_accuracy']:.1%}" if accuracy else "",
            f"{accuracy['speaker_accuracy']:.1%}" if accuracy else "",
            "" if seen["der"] is None else f"{seen['der']:.1%}",
            f"{why}; stop asked by {seen['stop']}" if seen["stop"] else why,
        )
    return table


def one_run(record: RunRecord, now: float) -> RenderableType:
    """Everything that its record tells: phases, gates, sessions, checkpoints, and what is still to come."""
    gates = [_gates(record)] if record.stages else []
    return Group(*_headline(record, now), _phases(record), *gates, _sessions(record, now), _checkpoints(record))


def _headline(record: RunRecord, now: float) -> list[str]:
    free = why_free(record.lease, now)
    lines = [f"run {record.run_id}: {record.state}" + (f", {record.why}" if record.why else "")]
    if record.lease is not None:
        held = record.lease
        until = f"its lease runs out in {held.expires_at - now:.0f} s" if free is None else free
        lines.append(f"lease: {held.owner}, pid {held.pid} on {held.host}, fence {held.fence}; {until}")
    if record.stop is not None:
        lines.append(f"{record.stop.by} asked it to stop at {_time(record.stop.at)}")
    ahead = outlook(record)
    if ahead is not None and ahead.steps_per_s is not None:
        lines.append(
            f"{ahead.phase}: step {ahead.step:,} of {ahead.total:,} at {ahead.steps_per_s:.2f} steps/s, "
            f"{_duration(ahead.left_s)} left, which takes {ahead.sessions} more "
            f"session{'s' if ahead.sessions != 1 else ''} of {SESSION_S / 3600:.0f} h"
        )
    if record.attempts > 1:
        lines.append(f"{record.attempts} sessions since anything was last saved")
    return lines


def _phases(record: RunRecord) -> Table:
    table = _table("Phases", "phase", "step", "of", "loss", "frames", "speakers")
    for name, phase in record.phases.items():
        loss = phase.metrics.get("loss")
        frames, speakers = (phase.metrics.get(f"{what}_accuracy") for what in ("frame", "speaker"))
        judged = "frame_majority" in phase.metrics  # else the frame accuracy is that of training
        table.add_row(
            name,
            f"{phase.step:,}",
            f"{phase.total_steps:,}",
            "" if loss is None else f"{loss:.3f}",
            f"{frames:.1%}" if judged and frames is not None else "",
            f"{speakers:.1%}" if speakers is not None else "",
        )
    return table


def _gates(record: RunRecord) -> Table:
    """What finished stages reached beside what they had to."""
    try:
        gates = of_run(record).gates
    except ConfigError:  # written by a version with other settings
        gates = GateConfig()
    table = _table("Gates", "stage", "finished", "measured", "must be", "")
    for name, stage in record.stages.items():
        result = stage.result
        if "accuracy" in result:
            reached = min(result["accuracy"]["frame_accuracy"], result["accuracy"]["speaker_accuracy"])
            row = (f"accuracy {reached:.1%}", f"> {gates.accuracy:.0%}", gates.accurate(reached))
        elif name == "evaluate":
            row = (f"DER {result['report']['der']:.1%}", f"< {gates.der:.0%}", result["report"]["der"] < gates.der)
        else:
            row = (f"parity {result['parity']:.1e}", f"<= {gates.parity:g}", result["parity"] <= gates.parity)
        table.add_row(name, _time(stage.finished_at), *row[:2], "passed" if row[2] else "missed")
    return table


def _sessions(record: RunRecord, now: float) -> Table:
    table = _table("Sessions", "fence", "owner", "began", "lasted", "phase", "steps", "lost, at least", "ended because")
    for session in record.sessions:
        lost = lost_steps(session)
        table.add_row(
            str(session.fence),
            session.owner,
            _time(session.started_at),
            _duration((session.ended_at or now) - session.started_at),
            session.phase or "",
            "" if session.to_step is None else f"{session.from_step} to {session.to_step}",
            "" if lost is None else str(lost),
            session.why,
        )
    return table


def _checkpoints(record: RunRecord) -> Table:
    table = _table("Checkpoints", "phase", "step", "object", "bytes", "sha256", "")
    total = 0
    for name, phase in record.phases.items():
        for entry in named(record, name):
            total += entry.bytes
            kind = "best weights" if entry == phase.best else ""
            table.add_row(name, str(entry.step), entry.path, f"{entry.bytes:,}", entry.sha256[:12], kind)
    table.add_row("", "", "together", f"{total:,}", "", "")
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"
