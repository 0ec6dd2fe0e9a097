"""The one place where errors become exit codes (see `errors`) and a message on stderr."""

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from voiceflow_model.cli.output import say
from voiceflow_model.errors import INSTALL_TRAIN, VoiceFlowError

DEBUG = "VOICEFLOW_DEBUG"
Parameters = ParamSpec("Parameters")


class Aborted(SystemExit):
    """The user pressed Ctrl-C (a second time, while training)."""


def reported(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """The command with every error turned into a message on stderr and its exit code."""

    @functools.wraps(command)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            say("aborted")
            raise Aborted(1) from None
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            say(_message(error))
            raise typer.Exit(error.exit_code if isinstance(error, VoiceFlowError) else 1) from None

    return wrapped


def leave(app: Callable[[], None]) -> None:
    """Run the app as this process. An abort does not wait for threads, which may hang in a read of a dead network."""
    try:
        app()
    except Aborted as aborted:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(aborted.code or 1))


def _message(error: Exception) -> str:
    if isinstance(error, VoiceFlowError):
        return f"{'stopped' if error.exit_code == 75 else 'error'}: {error}"
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith(("voiceflow", "flows", "tasks")):
        return f"error: this command needs {error.name}: {INSTALL_TRAIN}"
    return f"error: {type(error).__name__}: {error} (set {DEBUG}=1 and run again for the traceback)"
