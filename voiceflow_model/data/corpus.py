"""What a corpus is: shards of utterances, pinned, each utterance spoken by one named speaker.

A corpus answers four questions (who speaks, which shards, which rows, what does a row sound like) and keeps no state,
so any thread, process or machine that holds the same configuration reads the same rows in the same order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 320  # labels and decisions are made in frames of 20 ms
Samples = NDArray[np.float32]  # (samples,), mono, 16 kHz, nominally within [-1, 1]

Split = Literal["train", "validation", "dev", "test"]
"""train: what the network learns from. validation: held-out speech of *training* speakers (speaker accuracy).
dev: held-out speakers on whom thresholds are tuned. test: held-out speakers on whom DER is reported."""


class Label(NamedTuple):
    """Somebody speaks from `start_s` to `end_s`, in seconds from the start of the row."""

    start_s: float
    end_s: float
    speaker: str


@dataclass(frozen=True)
class Row:
    """One utterance before decoding, or with `labels` a passage of a recording (then `speaker` is empty).

    `following` is where `Corpus.rows` starts to go on after it; `part` is the stretch of it, in shares of its length,
    that the split has.
    """

    key: str
    speaker: str
    payload: Any = field(repr=False, compare=False)
    following: int
    part: tuple[float, float] = (0.0, 1.0)
    labels: tuple[Label, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Shard:
    """A unit of reading: rows that are fetched together, in a fixed order."""

    name: str
    split: Split
    payload: Any = field(repr=False, compare=False)


class Corpus(Protocol):
    """Pure functions of a configuration; safe to call from many threads."""

    def speakers(self, split: Split) -> tuple[str, ...]:
        """Names of the speakers of a split, sorted: the stable map name -> class is this order."""

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """The split's shards in a fixed order. Raises CorpusError when there is nothing to read."""

    def rows(self, shard: Shard, start: int = 0) -> Iterator[Row]:
        """The shard's rows from `start` on: 0, or a row's `following`. What it means is the corpus's own business.

        Raises StoreUnavailable when the source cannot be reached, CorpusError when it holds what no corpus may.
        """

    def decode(self, row: Row) -> Samples:
        """The row's `part` as 16 kHz mono. Raises BrokenAudio, whose `cause` is a stable word to count by."""

    def reading_mb(self, split: Split) -> float:
        """About how many MB an iterator of `rows` holds, at most."""

    def fingerprint(self) -> str:
        """Changes when the content does: file names and sizes, a revision, a generator's version."""
