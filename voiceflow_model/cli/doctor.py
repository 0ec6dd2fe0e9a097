"""`voiceflow doctor`: will it run here?"""

from typing import Annotated

import typer
from rich.table import Table

from voiceflow_model.cli.options import Json


def doctor(
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="Also write, read and delete an object in this store.")
    ] = None,
    json: Json = False,
) -> None:
    """Check this machine, with advice for everything that is amiss. Exit code 1 when something cannot work."""
    from voiceflow_model.cli.output import show
    from voiceflow_model.doctor import examine

    checks = examine(store)
    table = Table(show_header=False)
    for check in checks:
        table.add_row({"ok": "ok", "note": "note", "failed": "FAILED"}[check.verdict], check.name, check.found)
        if check.advice:
            table.add_row("", "", f"-> {check.advice}")
    show([check._asdict() for check in checks], lambda: table, as_json=json)
    if any(check.verdict == "failed" for check in checks):
        raise typer.Exit(1)
