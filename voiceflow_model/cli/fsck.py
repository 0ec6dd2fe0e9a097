"""`voiceflow fsck`: whether everything that a run's record names is there and whole."""

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from voiceflow_model.cli.options import DEFAULT_STORE, Json, StoreUrl

if TYPE_CHECKING:
    from voiceflow_model.runs.fsck import Finding


def fsck(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Name of the run.")],
    repair: Annotated[bool, typer.Option("--repair", help="Drop what is broken, delete what is unused.")] = False,
    store: StoreUrl = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Read a run's record and every object that it names, and tell what is broken or left over. Exit code 1 if broken.

    With --repair the run goes on from its newest good checkpoint.
    """
    from voiceflow_model.cli.output import say, show
    from voiceflow_model.errors import CheckpointCorrupt, ConfigError, ObjectNotFound
    from voiceflow_model.runs import fsck as runs
    from voiceflow_model.runs.run import list_runs
    from voiceflow_model.store import open_store

    place = open_store(store)
    try:
        findings = runs.examine(place, run_id, say)
        if repair and any(finding.verdict != "good" for finding in findings):
            runs.repair(place, run_id, findings, time.time, say)
            findings = runs.examine(place, run_id, say)
    except ObjectNotFound as error:
        known = ", ".join(list_runs(place)) or "none"
        raise ConfigError(f"no run {run_id!r} in {place.url}; runs there: {known}") from error
    show([finding._asdict() for finding in findings], lambda: _table(run_id, findings), as_json=json)
    broken = sum(finding.verdict == "broken" for finding in findings)
    if broken:
        raise CheckpointCorrupt(f"{broken} of {len(findings)} objects are broken; `voiceflow fsck {run_id} --repair`")


def _table(run_id: str, findings: "list[Finding]") -> Table:
    table = Table(title=f"Objects of run {run_id}")
    for heading in ("", "object", "bytes", "what"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(finding.verdict, finding.path, f"{finding.bytes:,}", finding.why)
    return table
