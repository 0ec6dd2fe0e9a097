"""Results on stdout, everything else on stderr, so that a pipe or a program gets the result alone."""

import sys
from collections.abc import Callable

import typer
from pydantic_core import to_json
from rich.console import Console, RenderableType

_WIDTH_OF_A_PIPE = 160


def say(message: str) -> None:
    """A message for people, on stderr; never wrapped, so that addresses and commands can be copied."""
    Console(stderr=True).print(message, markup=False, highlight=False, soft_wrap=True)


def show(result: object, people: Callable[[], RenderableType], *, as_json: bool) -> None:
    """The command's result on stdout: `result` as one JSON document, or what `people` makes of it."""
    if as_json:
        typer.echo(to_json(result, indent=1, inf_nan_mode="null"))
        return
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE)
    readable = people()
    if isinstance(readable, str):
        console.print(readable, markup=False, highlight=False, soft_wrap=True)
    else:
        console.print(readable)
