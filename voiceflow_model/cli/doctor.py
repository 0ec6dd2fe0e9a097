"""`voiceflow doctor`: will it run here?"""

from typing import TYPE_CHECKING, Annotated

import typer

from voiceflow_model.cli.options import Json

if TYPE_CHECKING:
    from voiceflow_model.doctor import Check


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
    show([check._asdict() for check in checks], lambda: "\n".join(map(_line, checks)), as_json=json)
    if any(check.verdict == "failed" for check in checks):
        raise typer.Exit(1)


def _line(check: "Check") -> str:
    advice = f"\n{'':20}-> {check.advice}" if check.advice else ""
    return f"{check.verdict:<8}{check.name:<12}{check.found}{advice}"
