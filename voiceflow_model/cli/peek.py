"""`voiceflow peek`: what a run would learn from, before it does."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from voiceflow_model.cli.options import ConfigName, Json, PhaseName, Settings

if TYPE_CHECKING:
    from voiceflow_model.config import RunConfig
    from voiceflow_model.data.corpora import CorpusConfig
    from voiceflow_model.data.corpus import Split
    from voiceflow_model.data.peek.look import Peek
    from voiceflow_model.data.peek.speed import Speed

_NAME_WIDTH, _TEXT_WIDTH = 22, 74  # with the indent below 100 columns
_FEW_NAMES = 4
_PEOPLE = ("nobody", "one", "two", "three", "four", "five", "six", "seven", "eight")


def peek(
    config: ConfigName,
    settings: Settings = None,
    phase: Annotated[PhaseName, typer.Option(help="Whose corpus; dev and test are those of the evaluation.")] = "train",
    split: Annotated[Literal["train", "validation", "dev", "test"], typer.Option(help="Which speech.")] = "train",
    utterances: Annotated[
        int | None, typer.Option(min=1, help="How many to describe; by default what the stream holds in RAM.")
    ] = None,
    conversations: Annotated[
        int | None, typer.Option(min=1, help="How many to make; by default three training batches.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Where to draw a few of them.")] = Path("peek.png"),
    wav: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write these few as WAV and RTTM too, to listen to.")
    ] = None,
    json: Json = False,
) -> None:
    """Look at the data as training would read it: speakers, balance, labels, levels, speed, and what looks wrong."""
    from voiceflow_model.cli.output import say, show
    from voiceflow_model.cli.settings import configured
    from voiceflow_model.data.corpora import open_corpus
    from voiceflow_model.data.peek.contact_sheet import conversations_png, write_examples
    from voiceflow_model.data.peek.look import look

    run_config = configured(config, settings)
    corpus_config = _corpus_of(run_config, phase, split)
    where = getattr(corpus_config, "url", "synthetic voices")
    stream = run_config.stream
    pools = f"{_many(stream.lanes, 'lane')} x {stream.pool_blocks * stream.block_rows} rows"
    say(f"reading the {split} split of {where} as training would, up to {pools} at first ...")
    seen, examples = look(
        open_corpus(corpus_config),
        split,
        stream,
        run_config.conversation,
        seed=run_config.seed,
        batch_size=run_config.training.batch_size,
        utterances=utterances,
        conversations=conversations,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(conversations_png(examples, f"{run_config.name}, {split} split"))
    say(f"picture: {out}")
    written = write_examples(wav, split, examples) if wav else []
    if wav:
        say(f"sound: {', '.join(path.name for path in written)} in {wav}, each with an .rttm")
    document = {**seen.model_dump(), "picture": str(out), "wav": [str(path) for path in written]}
    show(document, lambda: _report(seen, where), as_json=json)


def _corpus_of(config: "RunConfig", phase: PhaseName, split: "Split") -> "CorpusConfig":
    """Dev and test speakers may be those of another corpus."""
    held_out = config.evaluation.corpus if split in ("dev", "test") else None
    return held_out or config.corpus_of(phase)


def _report(seen: "Peek", where: str) -> RenderableType:
    each, balance = seen.rows_are, seen.balance
    more = " ..." if seen.speakers > _FEW_NAMES else ""
    speech = {
        "speakers": f"{seen.speakers:,}: {_names(seen.speaker_names[:_FEW_NAMES])}{more}",
        "shards": f"{seen.shards:,}, read in {_many(seen.lanes, 'lane')}, each with a pool of {seen.pool_rows} {each}",
        each: f"{'all ' if seen.whole_split else ''}{seen.utterances:,} read: {_names(seen.keys)} ...",
        "duration": _spread(seen.duration_s, "s", ".1f"),
        "level": f"{_spread(seen.level_dbfs, 'dBFS', '.0f')}; {_share(seen.clipped_share)} clipped",
        "speech in it": f"{seen.speech_share:.0%} of the duration",
        "stored": f"{seen.stored_bytes / 1000:,.0f} kB each (median)" if seen.stored_bytes is not None else "",
        "skipped": _skipped(seen),
    }
    unit = "s of speech" if balance.unit == "seconds" else "utterances each"
    speakers = {
        "met": f"{balance.speakers_seen:,} of {seen.speakers:,}",
        "heard": f"{_range(balance.per_speaker)} {unit}",
        "most heard": f"{_short(balance.most_heard)}, {balance.most_heard_share:.1%} of all",
        "in a batch": f"{_range(seen.batch_speakers)} different ones in {seen.batch_size} windows",
    }
    frames = zip(("silence", "one speaker", "two at once"), seen.label_shares, strict=True)
    cast = (f"{_people(n)} {count / seen.conversations:.0%}" for n, count in seen.cast.items())
    windows = {
        "made": f"{seen.conversations} windows of {seen.window_s:g} s",
        "time": ", ".join(f"{share:.0%} {word}" for word, share in frames),
        "overlap": f"{seen.overlap_share:.1%} of the time with speech",
        "speakers in a window": ", ".join(cast),
    }
    parts: list[RenderableType] = [Text(f"The {seen.split} split of {where}, read as training would")]
    groups = {
        "The speech": speech,
        "Its speakers": speakers,
        "Training windows": windows,
        "Speed": _speed(seen.speed, each),
    }
    for heading, rows in groups.items():
        parts += [Text(f"\n{heading}", style="bold"), _table(rows)]
    return Group(*parts, Text(), *_warnings(seen.warnings))


def _speed(speed: "Speed", each: str) -> dict[str, str]:
    one, rows = each.removesuffix("s"), speed.rows_per_window
    reuse = f"{rows:.3g} {each} for each window" if rows > 1 else f"one for every {1 / rows:.3g} windows"
    whole = "; a recording is fetched at its first passage" if one == "passage" else ""
    return {
        "to fetch": f"{_ms(speed.fetch_ms)} per {one}, of which training reads {reuse}{whole}",
        "to decode": f"{_ms(speed.decode_ms)} per {one}",
        "to mix": f"{_ms(speed.mix_ms)} per window",
        "this machine can make": (
            f"up to {speed.windows_per_s:,.3g} windows per second, as busy as it is now, which is "
            f"{speed.audio_hours_per_hour:,.0f} hours of audio in an hour"
        ),
        "limit": speed.advice,
    }


def _warnings(warnings: Iterable[str]) -> list[RenderableType]:
    told = list(warnings)
    if not told:
        return [Text("Nothing looks wrong.", style="green")]
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(max_width=_NAME_WIDTH + _TEXT_WIDTH)
    for warning in told:
        table.add_row("!", escape(warning), style="yellow")
    return [Text("What looks wrong", style="bold yellow"), table]


def _table(rows: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(width=_NAME_WIDTH, style="cyan")
    table.add_column(max_width=_TEXT_WIDTH, overflow="fold")
    for name, text in rows.items():
        if text:
            table.add_row("", name, escape(text))
    return table


def _skipped(seen: "Peek") -> str:
    if not seen.undecodable:
        return "none"
    total = sum(seen.undecodable.values())
    causes = (f"{n} x {cause}, such as {seen.undecodable_examples[cause]}" for cause, n in seen.undecodable.items())
    return "\n".join((f"{total} ({total / seen.utterances:.1%}), by cause:", *causes))


def _spread(values: tuple[float, float, float], unit: str, form: str) -> str:
    low, middle, high = (format(value, form) for value in values)
    if low == high:
        return f"{middle} {unit}, all alike"
    return f"{middle} {unit} (median); 5% are below {low}, 5% above {high}"


def _range(values: tuple[float, float, float]) -> str:
    least, middle, most = (f"{value:,.4g}" for value in values)
    return least if least == most else f"{least} to {most}, median {middle}"


def _share(share: float) -> str:
    return "none" if not share else f"{share:.1%}"


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _people(number: int) -> str:
    return _PEOPLE[number] if number < len(_PEOPLE) else str(number)


def _names(names: Iterable[str]) -> str:
    return ", ".join(_short(name) for name in names)


def _short(name: str, length: int = 36) -> str:
    """Common Voice names its speakers by 128 letters."""
    return name if len(name) <= length else f"{name[:12]}…{name[-(length - 13) :]}"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:,.1f} ms" if milliseconds < 100 else f"{milliseconds:,.0f} ms"
