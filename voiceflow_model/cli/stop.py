"""`voiceflow stop`: ask whoever trains a run, wherever that is, to commit and to give it back."""

import getpass
import socket
import time
from typing import Annotated

import typer

from voiceflow_model.cli.options import DEFAULT_STORE, StoreUrl


def stop(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Name of the run.")],
    store: StoreUrl = DEFAULT_STORE,
) -> None:
    """Stop a run after a checkpoint, on whatever machine it trains. It stays so until somebody starts it again."""
    from voiceflow_model.cli.output import say
    from voiceflow_model.runs.lease import why_free
    from voiceflow_model.runs.record import StopNote
    from voiceflow_model.runs.run import Run
    from voiceflow_model.runs.transitions import stop_wanted
    from voiceflow_model.store import open_store

    run = Run.load(open_store(store), run_id)
    if run.record.state in ("done", "failed"):
        say(f"run {run_id} is {run.record.state}; there is nothing to stop")
        return
    note = StopNote(by=f"{getpass.getuser()}@{socket.gethostname()}", at=time.time())
    record = run.amend(lambda record: stop_wanted(record, note))
    if record.lease is None or why_free(record.lease, time.time()):
        say(f"nobody holds run {run_id}; it is not continued until somebody starts it again")
    else:
        held = record.lease
        say(
            f"{held.owner} is asked to stop: it reads that within {held.ttl_s / 4:.0f} s, then saves and ends. "
            f"See `voiceflow status --run-id {run_id} --watch`"
        )
