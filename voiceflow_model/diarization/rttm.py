"""Turns, and the NIST text formats they travel in: RTTM (who spoke when) and UEM (what is scored)."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import fsspec

from voiceflow_model.errors import CorpusError

Stated = TypeVar("Stated")
Span = tuple[float, float]  # start and end in seconds


@dataclass(frozen=True, order=True)
class Turn:
    """One speaker talks from `start_s` for `duration_s` seconds. Raises CorpusError when that makes no sense."""

    start_s: float
    duration_s: float
    speaker: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise CorpusError(f"a turn of {self.speaker!r} starts at {self.start_s} s; give a time of 0 s or later")
        if not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise CorpusError(f"a turn of {self.speaker!r} lasts {self.duration_s} s; leave it out or give its length")
        if not self.speaker or re.search(r"\s", self.speaker):
            raise CorpusError(f"{self.speaker!r} cannot be a speaker's name in an RTTM; use one word without spaces")

    @property
    def end_s(self) -> float:
        """Where the turn ends, in seconds, to the microsecond: turns that meet in a text meet here."""
        return round(self.start_s + self.duration_s, 6)


def format_rttm(recording: str, turns: Iterable[Turn]) -> str:
    """RTTM text of one recording, in order of time, to the millisecond; blanks in the recording's name become "_"."""
    name = one_word(recording)
    return "".join(
        f"SPEAKER {name} 1 {turn.start_s:.3f} {turn.duration_s:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in sorted(turns)
    )


def parse_rttm(text: str, source: str = "RTTM") -> dict[str, list[Turn]]:
    """Turns of each recording named in RTTM text, in order of time.

    Lines of other types than SPEAKER, comments and turns of length 0 are passed over. Raises CorpusError that names
    `source` and the line.
    """
    recordings: dict[str, list[Turn]] = {}
    for where, fields in _lines(text, source):
        if fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise CorpusError(
                f"{where}: {len(fields)} fields where RTTM has 10 (SPEAKER recording channel start duration <NA> <NA> "
                "speaker <NA> <NA>); correct the line"
            )
        turns = recordings.setdefault(fields[1], [])
        start, duration = _number(fields[3], where), _number(fields[4], where)
        if duration != 0:
            try:
                turns.append(Turn(start, duration, fields[7]))
            except CorpusError as error:
                raise CorpusError(f"{where}: {error}") from None
    return {name: sorted(turns) for name, turns in recordings.items()}


def format_uem(recording: str, spans: Iterable[Span]) -> str:
    """UEM text of one recording, to the millisecond."""
    return "".join(f"{one_word(recording)} 1 {start:.3f} {end:.3f}\n" for start, end in sorted(spans))


def parse_uem(text: str, source: str = "UEM") -> dict[str, list[Span]]:
    """Scored stretches of each recording named in UEM text. Raises CorpusError that names `source` and the line."""
    recordings: dict[str, list[Span]] = {}
    for where, fields in _lines(text, source):
        if len(fields) != 4:
            raise CorpusError(f"{where}: {len(fields)} fields where UEM has 4 (recording channel start end)")
        start, end = _number(fields[2], where), _number(fields[3], where)
        if not 0 <= start < end:
            raise CorpusError(f"{where}: a stretch from {start} s to {end} s; its end must follow its start")
        recordings.setdefault(fields[0], []).append((start, end))
    return {name: sorted(spans) for name, spans in recordings.items()}


def read_rttm(path: str) -> dict[str, list[Turn]]:
    """`parse_rttm` of a file; a path or any fsspec URL. Raises CorpusError when there is none."""
    return parse_rttm(read_text(path), path)


def write_rttm(path: str, recording: str, turns: Sequence[Turn]) -> None:
    """Write one recording's RTTM to a path or any fsspec URL; no turns make an empty file."""
    with fsspec.open(path, "w", encoding="utf-8") as file:
        file.write(format_rttm(recording, turns))


def read_uem(path: str) -> dict[str, list[Span]]:
    """`parse_uem` of a file; a path or any fsspec URL. Raises CorpusError when there is none."""
    return parse_uem(read_text(path), path)


def write_uem(path: str, recording: str, spans: Sequence[Span]) -> None:
    """Write one recording's UEM to a path or any fsspec URL."""
    with fsspec.open(path, "w", encoding="utf-8") as file:
        file.write(format_uem(recording, spans))


def of_recording(by_name: dict[str, list[Stated]], name: str, source: str) -> list[Stated]:
    """The only entry of a file about one recording, whatever the file calls it; none is an empty list."""
    if len(by_name) > 1 and name not in by_name:
        raise CorpusError(f"{source}: it names {', '.join(sorted(by_name))} but not {name}; one file per recording")
    return by_name.get(name) or next(iter(by_name.values()), [])


def one_word(name: str) -> str:
    """A recording's name as RTTM and UEM can hold it."""
    return re.sub(r"\s+", "_", name.strip()) or "recording"


def read_text(path: str) -> str:
    """Text of a path or any fsspec URL. Raises CorpusError when there is none, or when it is not text."""
    try:
        with fsspec.open(path, "r", encoding="utf-8") as file:
            return str(file.read())
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; check the path") from None
    except UnicodeDecodeError:
        raise CorpusError(f"{path}: not a text file; is it the audio rather than its RTTM or UEM?") from None


def _lines(text: str, source: str) -> Iterator[tuple[str, list[str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if (fields := line.split()) and not line.startswith(";;"):
            yield f"{source} line {number}", fields


def _number(field: str, where: str) -> float:
    try:
        return float(field)
    except ValueError:
        raise CorpusError(f"{where}: {field!r} is not a time in seconds; correct the line") from None
