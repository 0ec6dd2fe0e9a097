"""A corpus that is a folder of audio files, one sub-folder per speaker, read straight from disk or bucket into RAM."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from pydantic import Field

from voiceflow_model.data.corpus import Row, Samples, Shard, Split
from voiceflow_model.data.holdout import SpeakerSplit, halve, split_speakers, split_utterances
from voiceflow_model.data.sources import Entry, Source, open_source
from voiceflow_model.data.sources.range_file import read_range
from voiceflow_model.data.utterance import decode_utterance
from voiceflow_model.errors import BrokenAudio, ConfigError, CorpusError
from voiceflow_model.section import Section

_SUFFIXES = frozenset({".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a", ".aac"})
_LAYOUT = "<speaker>/.../<utterance>.{flac,wav,ogg,opus,mp3,m4a,aac}"
_MAX_BYTES = 256 << 20
_PLACEHOLDER = "YOUR-"  # in the shipped configurations

_Listing = dict[str, dict[str, Entry]]  # speaker -> path -> entry


class FilesCorpusConfig(Section):
    """A folder of `<speaker>/.../<utterance>.flac` (or wav, ogg, opus, mp3, m4a, aac), and what of it is held out."""

    kind: Literal["files"] = "files"
    url: str = Field(min_length=1, description="a folder, gs://, hf://datasets/ORG/NAME or another fsspec URL")
    heldout_url: str | None = Field(default=None, description="a folder whose speakers are the held-out ones")
    heldout_speakers_share: float = Field(default=0.2, ge=0, le=0.5, description="without heldout_url")
    heldout_share: float = Field(default=0.2, ge=0, le=0.5, description="of the speech of each training speaker")


class _Utterance(NamedTuple):
    source: Source
    path: str
    speaker: str
    entry: Entry
    part: tuple[float, float]


class FilesCorpus:
    """A Corpus over one folder, or two; one shard is one file. The folders are listed once, at the first question."""

    def __init__(self, config: FilesCorpusConfig) -> None:
        for field, url in (("url", config.url), ("heldout_url", config.heldout_url or "")):
            if _PLACEHOLDER in url:
                raise ConfigError(
                    f"corpus.{field} is still the placeholder {url}: name your own folder of {_LAYOUT}, as in "
                    f"--set corpus.{field}=gs://bucket/folder (or phases.PHASE.corpus.{field})"
                )
        self._config = config
        self._source = open_source(config.url)
        self._heldout = open_source(config.heldout_url) if config.heldout_url else None

    def speakers(self, split: Split) -> tuple[str, ...]:
        """Folder names, sorted; those of validation are those of train, whether or not all have speech in it."""
        return self._speakers.train if split == "validation" else getattr(self._speakers, split)

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """One per file, sorted by path. Raises CorpusError when nothing is there or nothing was held out."""
        utterances = self._held(split) if split in ("dev", "test") else self._trained[split]
        if not utterances:
            held = "heldout_share" if split == "validation" else "heldout_speakers_share, or name a heldout_url"
            raise CorpusError(
                f"{self._config.url} has nothing for the {split} split ({len(self._speakers.train)} speakers to train "
                f"on, {len(self._speakers.dev) + len(self._speakers.test)} held out): add speakers, raise corpus.{held}"
            )
        return tuple(Shard(utterance.path, split, utterance) for utterance in utterances)

    def rows(self, shard: Shard, start: int = 0) -> Iterator[Row]:
        """The shard's one row, fetched; nothing when `start` is past it."""
        if start:
            return
        source, path, speaker, entry, part = shard.payload
        data = bytes(read_range(source, path, entry, 0, entry.size)) if entry.size <= _MAX_BYTES else None
        yield Row(path, speaker, data, following=1, part=part)

    def decode(self, row: Row) -> Samples:
        """The row's part, (samples,) at 16 kHz. Raises BrokenAudio; a file above 256 MiB is "too-large"."""
        if row.payload is None:
            raise BrokenAudio(row.key, "too-large", f"above {_MAX_BYTES >> 20} MiB: split it into utterances")
        return decode_utterance(row.payload, row.key, row.part)

    def reading_mb(self, split: Split) -> float:
        """The largest file."""
        sizes = (entry.size for listing in self._listings for files in listing.values() for entry in files.values())
        return max((size for size in sizes if size <= _MAX_BYTES), default=0) / 1e6

    def fingerprint(self) -> str:
        """Of every utterance's path and size: adding, removing or replacing a file changes it."""
        digest = hashlib.sha256()
        for listing in self._listings:
            sizes = ((name, sorted((path, one.size) for path, one in files.items())) for name, files in listing.items())
            digest.update(repr(sorted(sizes)).encode())
        return digest.hexdigest()

    @cached_property
    def _listings(self) -> tuple[_Listing, _Listing]:
        """Speaker -> path -> entry, of the folder and of the held-out one."""
        trained = _by_speaker(self._source)
        held = _by_speaker(self._heldout) if self._heldout else {}
        if both := sorted(trained.keys() & held.keys()):
            raise CorpusError(
                f"{len(both)} speakers ({both[0]} ...) are in {self._config.url} and in {self._config.heldout_url}: "
                "remove them from one, or the held-out figures would be of known voices"
            )
        return trained, held

    @cached_property
    def _speakers(self) -> SpeakerSplit:
        trained, held = self._listings
        if self._heldout:
            split = SpeakerSplit(tuple(sorted(trained)), *halve(held))
        else:
            split = split_speakers(trained, self._config.heldout_speakers_share)
        if len(split.train) < 2:
            raise CorpusError(
                f"{self._config.url} leaves {len(split.train)} speaker to train on ({', '.join(split.train)}); a "
                f"conversation takes two: add speaker folders ({_LAYOUT})"
            )
        return split

    @cached_property
    def _trained(self) -> dict[str, list[_Utterance]]:
        found: dict[str, list[_Utterance]] = {"train": [], "validation": []}
        for speaker in self._speakers.train:
            files = self._listings[0][speaker]
            for path, split, part in split_utterances(files, self._config.heldout_share):
                found[split].append(_Utterance(self._source, path, speaker, files[path], part))
        return found

    def _held(self, split: Split) -> list[_Utterance]:
        source, listing = (self._heldout, self._listings[1]) if self._heldout else (self._source, self._listings[0])
        return [
            _Utterance(source, path, speaker, entry, (0.0, 1.0))
            for speaker in self.speakers(split)
            for path, entry in listing[speaker].items()
        ]


def _by_speaker(source: Source) -> _Listing:
    files = source.files()
    speakers: _Listing = defaultdict(dict)
    for path, entry in files.items():
        location = PurePosixPath(path)
        if len(location.parts) > 1 and location.suffix.lower() in _SUFFIXES and not location.name.startswith("."):
            speakers[location.parts[0]][path] = entry
    if not speakers:
        found = ", ".join(list(files)[:3]) or "nothing"
        raise CorpusError(f"{source.url} has no {_LAYOUT}; found {len(files)} files: {found}")
    return dict(speakers)
