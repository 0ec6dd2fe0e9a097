"""A folder of recordings: NAME.flac (or wav, ...), NAME.rttm beside it, and NAME.uem if not all of it is scored."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Literal, NamedTuple

import pyarrow as pa

from voiceflow_model.data.corpus import Label, Shard, Split
from voiceflow_model.data.passages import PassagesConfig, PassagesCorpus, Taped
from voiceflow_model.data.sharded import SplitFiles
from voiceflow_model.data.sources import Entry
from voiceflow_model.data.sources.range_file import read_range
from voiceflow_model.diarization.rttm import Span, of_recording, parse_rttm, parse_uem
from voiceflow_model.errors import CorpusError


class AnnotatedCorpusConfig(PassagesConfig):
    """Audio files with an RTTM each, and for those that are measured on a UEM where one lies beside them."""

    kind: Literal["annotated"] = "annotated"


class _Annotated(NamedTuple):
    """A recording that is still in its file."""

    name: str
    path: str
    entry: Entry
    labels: tuple[Label, ...]
    uem: tuple[Span, ...]


class AnnotatedCorpus(PassagesCorpus):
    """A Corpus whose rows are passages of recordings, with labels; one shard is one recording.

    A share of the passages of train is held out for validation. Dev and test are other recordings; when only one of
    them is named, its recordings are halved.
    """

    def __init__(self, config: AnnotatedCorpusConfig) -> None:
        super().__init__(config)
        self._files = SplitFiles(config)

    def speakers(self, split: Split) -> tuple[str, ...]:
        """Everyone who speaks in the split's recordings, sorted; those of validation are those of train."""
        return tuple(sorted({label.speaker for one in self._of(split) for label in one.labels}))

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """One per recording, in the order of the files."""
        found = self._of(split)
        self.require(found, split)
        return tuple(Shard(one.path, split, one) for one in found)

    def recordings(self, shard: Shard, first: int) -> Iterator[Taped]:
        """See PassagesCorpus; a shard holds one."""
        if first:
            return
        one: _Annotated = shard.payload
        small = one.entry.size <= self.reading.max_recording_mb << 20
        data = pa.py_buffer(self._read(one.path, one.entry)) if small else None
        yield Taped(0, one.name, data, one.labels, one.uem)

    def reading_mb(self, split: Split) -> float:
        """The largest recording, and the next one."""
        return 2 * max((one.entry.size for one in self._of(split)), default=0) / 1e6

    def fingerprint(self) -> str:
        """Of the recordings, of what is said about them, and of how they are read."""
        how = self.reading.model_dump(exclude={"url"})
        said = {split: [(one.name, one.labels, one.uem) for one in found] for split, found in self._found.items()}
        return hashlib.sha256(repr((how, self._files.fingerprint(), said)).encode()).hexdigest()

    def _of(self, split: Split) -> list[_Annotated]:
        found = self._found[self._files.home(split)]
        names = self.chosen([one.name for one in found], split)
        return [one for one in found if one.name in names]

    @cached_property
    def _found(self) -> dict[Split, list[_Annotated]]:
        return self._files.index(lambda path, entry: [self._annotated(path, entry)])

    def _annotated(self, path: str, entry: Entry) -> _Annotated:
        stem = path.rpartition(".")[0]
        name = stem.rpartition("/")[2]
        rttm, uem = f"{stem}.rttm", f"{stem}.uem"
        beside = self._files.listing
        if rttm not in beside:
            raise CorpusError(f"{self.url}: {path} has no {rttm} beside it; take it out of the patterns, or add one")
        turns = of_recording(parse_rttm(self._text(rttm), rttm), name, rttm)
        labels = tuple(Label(turn.start_s, turn.end_s, self.person(name, turn.speaker)) for turn in turns)
        scored = of_recording(parse_uem(self._text(uem), uem), name, uem) if uem in beside else []
        return _Annotated(name, path, entry, labels, tuple(scored))

    def _text(self, path: str) -> str:
        try:
            return self._read(path, self._files.listing[path]).decode()
        except UnicodeDecodeError:
            raise CorpusError(f"{self.url}: {path} is not text") from None

    def _read(self, path: str, entry: Entry) -> bytes:
        return bytes(read_range(self._files.source, path, entry, 0, entry.size))
