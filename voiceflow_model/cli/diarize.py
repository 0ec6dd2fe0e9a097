"""`voiceflow diarize`: who spoke when in audio files, by an exported model. Loads neither torch nor Prefect."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.table import Table

from voiceflow_model.cli.options import DEFAULT_STORE, Json, ModelOrShipped, StoreUrl

if TYPE_CHECKING:
    from voiceflow_model.data.corpus import Samples
    from voiceflow_model.diarization.rttm import Turn


def diarize(
    audio: Annotated[list[str], typer.Argument(metavar="AUDIO...", help="Audio files: paths or URLs.")],
    model: ModelOrShipped = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for NAME.rttm, made if need be.")] = Path("diarized"),
    min_speakers: Annotated[int | None, typer.Option(help="At least so many speakers.")] = None,
    max_speakers: Annotated[int | None, typer.Option(help="At most so many speakers.")] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Also draw NAME.png.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the network.")] = 1,
    store: StoreUrl = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Write who spoke when as one RTTM file per recording. A broken file does not stop the others."""
    from voiceflow_model.cli.model import find_model
    from voiceflow_model.cli.output import say, show
    from voiceflow_model.diarization.clustering import check_bounds
    from voiceflow_model.diarization.onnx_runtime import Diarizer
    from voiceflow_model.errors import VoiceFlowError

    check_bounds(min_speakers, max_speakers)
    named = _named(audio)
    diarizer = Diarizer.load(find_model(model, store), threads=threads)
    _make(out)
    done: list[Diarized] = []
    failed: dict[str, str] = {}
    for name, source in named.items():
        try:
            samples = _load(source)
            began = time.perf_counter()
            turns = diarizer.diarize(samples, min_speakers, max_speakers)
            took_s = time.perf_counter() - began
        except VoiceFlowError as error:
            failed[source] = str(error)
            say(f"failed: {error}")
            continue
        done.append(_write(out, name, source, samples, turns, plot, took_s))
    result = {
        "files": [one._asdict() for one in done],
        "failed": [{"audio": source, "error": error} for source, error in failed.items()],
    }
    show(result, lambda: _table(done, out), as_json=json)
    if failed:
        raise VoiceFlowError(f"{len(failed)} of {len(named)} files could not be diarized: {', '.join(failed)}")


class Diarized(NamedTuple):
    """What became of one file. `speech_s` counts time during which anyone speaks, once."""

    audio: str
    rttm: str
    picture: str | None
    duration_s: float
    speakers: int
    speech_s: float
    real_time_factor: float


def speech_seconds(turns: Sequence["Turn"]) -> float:
    """Seconds during which at least one speaker talks."""
    seconds = end = 0.0
    for turn in sorted(turns):
        seconds += max(0.0, turn.end_s - max(turn.start_s, end))
        end = max(end, turn.end_s)
    return seconds


def _named(audio: Sequence[str]) -> dict[str, str]:
    """Name of the output -> address, each different, or one would overwrite another."""
    from voiceflow_model.errors import ConfigError

    names = [PurePosixPath(source).stem for source in audio]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        both = ", ".join(source for source, name in zip(audio, names, strict=True) if name == twice[0])
        raise ConfigError(f"{both} would all become {twice[0]}.rttm: diarize them into different --out folders")
    return dict(zip(names, audio, strict=True))


def _make(out: Path) -> None:
    from voiceflow_model.errors import ConfigError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be made ({error.strerror}): name another folder") from error


def _load(source: str) -> "Samples":
    from voiceflow_model.diarization.audio import load
    from voiceflow_model.errors import BrokenAudio, VoiceFlowError

    try:
        return load(source)
    except VoiceFlowError:
        raise
    except Exception as error:  # whatever the backend of a URL raises: they share no class
        raise BrokenAudio(source, "unreadable", f"{type(error).__name__}: {error}") from error


def _write(
    out: Path, name: str, source: str, samples: "Samples", turns: Sequence["Turn"], plot: bool, took_s: float
) -> Diarized:
    from voiceflow_model.data.corpus import SAMPLE_RATE_HZ
    from voiceflow_model.diarization.rttm import write_rttm

    duration_s = samples.size / SAMPLE_RATE_HZ
    rttm, picture = out / f"{name}.rttm", out / f"{name}.png"
    write_rttm(str(rttm), name, turns)
    if plot:
        from voiceflow_model.diarization.plot import timeline_png

        picture.write_bytes(timeline_png(turns, duration_s, title=name))
    return Diarized(
        audio=source,
        rttm=str(rttm),
        picture=str(picture) if plot else None,
        duration_s=round(duration_s, 3),
        speakers=len({turn.speaker for turn in turns}),
        speech_s=round(speech_seconds(turns), 3),
        real_time_factor=took_s / duration_s,
    )


def _table(done: Sequence[Diarized], out: Path) -> Table:
    table = Table(caption=f"RTTM in {out}")
    table.add_column("recording", overflow="fold")
    for heading in ("length", "speakers", "speech", "speed"):
        table.add_column(heading, justify="right")
    for one in done:
        minutes, seconds = divmod(round(one.duration_s), 60)
        table.add_row(
            Path(one.rttm).stem,
            f"{minutes}:{seconds:02d}",
            str(one.speakers),
            f"{one.speech_s:.1f} s ({one.speech_s / one.duration_s:.0%})",
            f"{1 / one.real_time_factor:.0f} x real time",
        )
    return table
