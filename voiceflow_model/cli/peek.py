"""`voiceflow peek`: what a run would learn from, before it does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from voiceflow_model.cli.options import ConfigName, Json, PhaseName, Settings

if TYPE_CHECKING:
    from voiceflow_model.data.peek import Peek


def peek(
    config: ConfigName,
    settings: Settings = None,
    phase: Annotated[PhaseName, typer.Option(help="Whose corpus.")] = "train",
    split: Annotated[Literal["train", "validation", "dev", "test"], typer.Option(help="Which speech.")] = "train",
    utterances: Annotated[int, typer.Option(min=1, help="How many to read.")] = 100,
    conversations: Annotated[int, typer.Option(min=1, help="How many to simulate.")] = 48,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Where to draw a few of them.")] = Path("peek.png"),
    json: Json = False,
) -> None:
    """Look at a corpus and at the conversations made of it: speakers, labels, levels, what cannot be decoded."""
    from voiceflow_model.cli.output import say, show
    from voiceflow_model.cli.settings import configured
    from voiceflow_model.data.corpora import open_corpus
    from voiceflow_model.data.peek import conversations_png, look

    run_config = configured(config, settings)
    seen, examples = look(
        open_corpus(run_config.corpus_of(phase)),
        split,
        run_config.stream,
        run_config.conversation,
        seed=run_config.seed,
        utterances=utterances,
        conversations=conversations,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(conversations_png(examples[:4]))
    say(f"picture: {out}")
    show({**seen.model_dump(), "picture": str(out)}, lambda: _table(seen), as_json=json)


def _table(seen: "Peek") -> Table:
    low, middle, high = "5 %", "median", "95 %"
    table = Table(title=f"{seen.split} split", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    few = ", ".join(seen.speaker_names[:5]) + (" ..." if seen.speakers > 5 else "")
    broken = ", ".join(f"{count} {cause}" for cause, count in seen.undecodable.items()) or "none"
    rows = {
        "speakers": f"{seen.speakers}: {few}",
        "shards": f"{seen.shards}",
        "keys": ", ".join(seen.keys),
        "utterances read": f"{seen.utterances}",
        "undecodable": broken + (f"; such as {seen.undecodable_example}" if seen.undecodable_example else ""),
        "durations (s)": _spread(seen.duration_s, (low, middle, high)),
        "levels (dBFS)": _spread(seen.level_dbfs, (low, middle, high)),
        "speech in utterances": f"{seen.speech_share:.0%}",
        "conversations": f"{seen.conversations} of {seen.window_s:g} s",
        "frames by label": ", ".join(
            f"{share:.0%} {word}" for word, share in zip(("silence", "one", "two"), seen.label_shares, strict=True)
        ),
        "overlap": f"{seen.overlap_share:.1%} of the time with speech",
        "speakers in a window": ", ".join(f"{count} x {number}" for number, count in seen.cast.items()),
    }
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _spread(values: tuple[float, ...], words: tuple[str, ...]) -> str:
    return ", ".join(f"{word} {value:.1f}" for word, value in zip(words, values, strict=True))
