"""What corpora of whole recordings with turns share: a row is a passage, and the recordings are what is measured.

A recording's bytes are in RAM while its passages are read; its samples are never there all at once.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Sized
from typing import NamedTuple

import pyarrow as pa
from pydantic import Field

from voiceflow_model.audio import decode_stretch, duration_of
from voiceflow_model.data.corpus import Label, Row, Samples, Shard, Split
from voiceflow_model.data.holdout import halve
from voiceflow_model.data.resample import to_16k
from voiceflow_model.data.sharded import ShardedConfig, belongs
from voiceflow_model.errors import BrokenAudio, CorpusError

_PASSAGES = 1 << 20  # `start` is recording x this + passage


class PassagesConfig(ShardedConfig):
    """Recordings of conversations, and how they are read."""

    names_are_global: bool = Field(True, description="a name is one person in all recordings (AMI), or only in its own")
    passage_s: float = Field(20.0, ge=2, le=120, description="recordings are read in passages of this length")
    max_recording_mb: int = Field(512, ge=1, description="a longer one is skipped; each lane holds one of them in RAM")


class WholeRecording(NamedTuple):
    """A recording for evaluation."""

    name: str
    samples: Samples
    labels: tuple[Label, ...]
    uem: tuple[tuple[float, float], ...]  # what is scored, in seconds; all of it when empty


class Taped(NamedTuple):
    """A recording before decoding, the `number`th of its shard; without `data` when it is too large."""

    number: int
    name: str
    data: pa.Buffer | None
    labels: tuple[Label, ...]
    uem: tuple[tuple[float, float], ...] = ()


class _Sound(NamedTuple):
    """A passage's place in the recording that is in RAM; no sound where that is too large or is no audio."""

    data: pa.Buffer | None
    start_s: float
    end_s: float


class PassagesCorpus(ABC):
    """What the corpora of recordings share, of `Corpus` and beyond."""

    def __init__(self, config: PassagesConfig) -> None:
        self.url = config.url
        self.reading = config

    @abstractmethod
    def shards(self, split: Split) -> tuple[Shard, ...]:
        """See Corpus."""

    @abstractmethod
    def recordings(self, shard: Shard, first: int) -> Iterator[Taped]:
        """The split's recordings of a shard from number `first` on, one at a time; none is held when it was yielded."""

    def rows(self, shard: Shard, start: int = 0) -> Iterator[Row]:
        """Passage after passage of the shard's recordings, with labels in seconds from the passage's start."""
        first, passage = divmod(start, _PASSAGES)
        for taped in self.recordings(shard, first):
            passages = self._passages(taped, passage if taped.number == first else 0)
            del taped  # only the passages hold it, so that it goes before the next one comes
            for row in passages:
                if belongs(row.key, shard.split, self.reading.heldout_share):
                    yield row
                del row
            del passages

    def decode(self, row: Row) -> Samples:
        """The passage, (samples,) at 16 kHz. Raises BrokenAudio, also "too-large" and "no-bytes"."""
        sound: _Sound = row.payload
        if sound.data is None:
            limit = f"none that fit corpus.max_recording_mb = {self.reading.max_recording_mb}"
            raise BrokenAudio(row.key, "no-bytes", limit)
        samples, rate_hz = decode_stretch(pa.BufferReader(sound.data), row.key, sound.start_s, sound.end_s)
        return to_16k(samples, rate_hz)

    def whole(self, split: Split, count: int) -> Iterator[WholeRecording]:
        """The first `count` recordings of the split, one at a time in RAM; undecodable ones are passed over."""
        given = 0
        for shard in self.shards(split):
            for taped in self.recordings(shard, 0):
                if given == count:
                    return
                row = Row(taped.name, "", _Sound(taped.data, 0.0, float("inf")), following=0)
                try:
                    samples = self.decode(row)
                except BrokenAudio:
                    continue
                given += 1
                yield WholeRecording(taped.name, samples, taped.labels, taped.uem)

    def chosen(self, names: Sequence[str], split: Split) -> frozenset[str]:
        """Which of the recordings at the split's home (`SplitFiles.home`) are the split's.

        Dev and test halve the recordings of the one that is named; what was trained on is never measured on.
        """
        if split in ("train", "validation") or (self.reading.dev and self.reading.test):
            return frozenset(names)
        if not (self.reading.dev or self.reading.test):
            return frozenset()
        return frozenset(halve(names)[split == "test"])

    def require(self, found: Sized, split: Split) -> None:
        """Raises CorpusError where the split has no recording, or nothing of one is held out to validate on."""
        if not found or (split == "validation" and not self.reading.heldout_share):
            raise CorpusError(
                f"{self.url} has no recordings for the {split} split: name files in corpus.dev or corpus.test, "
                "raise corpus.heldout_share, or set evaluation.corpus"
            )

    def person(self, recording: str, name: str) -> str:
        """Who a name in a recording is."""
        return name if self.reading.names_are_global else f"{recording}/{name}"

    def _passages(self, taped: Taped, first: int) -> Iterator[Row]:
        number, name, data, labels, _ = taped
        del taped
        try:
            seconds = duration_of(pa.BufferReader(data), name) if data is not None else 0.0
        except BrokenAudio:
            data, seconds = None, 0.0
        count = max(1, math.ceil(seconds / self.reading.passage_s))
        for i in range(first, count):
            start_s, end_s = seconds * i / count, seconds * (i + 1) / count
            inside = tuple(
                Label(max(start, start_s) - start_s, min(end, end_s) - start_s, who)
                for start, end, who in labels
                if start < end_s and end > start_s
            )
            following = (number + 1) * _PASSAGES if i == count - 1 else number * _PASSAGES + i + 1
            yield Row(f"{name}+{i}", "", _Sound(data, start_s, end_s), following, labels=inside)
