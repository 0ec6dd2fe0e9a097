"""`voiceflow fit-turns`: how people take turns, measured on reference RTTMs."""

from pathlib import Path
from typing import Annotated

import typer


def fit_turns(
    rttm: Annotated[list[str], typer.Argument(metavar="RTTM...", help="Reference RTTM files, or folders of them.")],
    out: Annotated[Path | None, typer.Option(help="Write the statistics here instead of showing them.")] = None,
) -> None:
    """Measure how people take turns, for conversations to be simulated alike: `--set conversation.turn_style=FILE`."""
    from voiceflow_model.data.turns import fit_turns as fit
    from voiceflow_model.diarization.rttm import read_rttm
    from voiceflow_model.errors import CorpusError
    from voiceflow_model.evaluation.recording import list_folder

    files: list[str] = []
    for one in rttm:
        found = [one] if one.endswith(".rttm") else [f for f in list_folder(one).values() if f.endswith(".rttm")]
        if not found:
            raise CorpusError(f"{one}: no .rttm file in it; name folders of reference RTTMs, or the files")
        files += found
    recordings = [turns for file in files for turns in read_rttm(file).values()]
    turns = [[(turn.start_s, turn.end_s, turn.speaker) for turn in recording] for recording in recordings]
    statistics = fit(turns, " ".join(Path(one).name for one in rttm)).model_dump_json(indent=1)
    if out is None:
        typer.echo(statistics)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(statistics + "\n")
    typer.echo(f"{len(recordings)} recordings: {out}; use it with --set conversation.turn_style={out}")
