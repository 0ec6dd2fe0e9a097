"""The `voiceflow` command and its parts, all but `run`, which needs Prefect (see `flows.cli`)."""

import typer

from voiceflow_model.cli.diarize import diarize
from voiceflow_model.cli.doctor import doctor
from voiceflow_model.cli.evaluate import evaluate
from voiceflow_model.cli.exits import reported
from voiceflow_model.cli.export import export
from voiceflow_model.cli.fit_turns import fit_turns
from voiceflow_model.cli.fsck import fsck
from voiceflow_model.cli.mirror import mirror
from voiceflow_model.cli.peek import peek
from voiceflow_model.cli.score import score
from voiceflow_model.cli.status import status
from voiceflow_model.cli.stop import stop
from voiceflow_model.cli.train import train

COMMANDS = (train, evaluate, export, diarize, score, peek, fit_turns, mirror, status, stop, fsck, doctor)

app = typer.Typer(
    name="voiceflow",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train a speaker-diarization model from streamed audio, and find out who spoke when. "
    "Exit codes: 0 done, 2 usage or configuration, 3 gate missed, 75 yielded (run again to continue), 1 otherwise.",
)
for _command in COMMANDS:
    app.command()(reported(_command))
