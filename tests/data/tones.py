"""A corpus small enough to draw hundreds of examples a second, for any process."""

from collections.abc import Iterator

import numpy as np

from voiceflow_model.data.corpus import Row, Samples, Shard, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.errors import BrokenAudio


class ToneCorpus:
    """Speakers who hum. Counts what is decoded."""

    def __init__(
        self, speakers: int = 6, shards: int = 10, rows: int = 7, broken: frozenset[str] = frozenset()
    ) -> None:
        self.names = tuple(f"s{i}" for i in range(speakers))
        self.count, self.per_shard, self.broken = shards, rows, broken
        self.decoded: list[str] = []

    def speakers(self, split: Split) -> tuple[str, ...]:
        return self.names

    def shards(self, split: Split) -> tuple[Shard, ...]:
        return tuple(Shard(f"{n:02d}", split, n) for n in range(self.count))

    def rows(self, shard: Shard, start: int = 0) -> Iterator[Row]:
        for i in range(start, self.per_shard):
            yield Row(f"{shard.name}/{i}", self.names[(shard.payload + i) % len(self.names)], None, following=i + 1)

    def decode(self, row: Row) -> Samples:
        self.decoded.append(row.key)
        if row.key in self.broken:
            raise BrokenAudio(row.key, "not-audio")
        rng = keyed("tone", row.key)
        t = np.arange(int(rng.integers(8_000, 24_000))) / 16_000
        hum: Samples = (0.2 * np.sin(2 * np.pi * 110 * (2 + self.names.index(row.speaker)) * t)).astype(np.float32)
        return hum

    def reading_mb(self, split: Split) -> float:
        return 0.0

    def fingerprint(self) -> str:
        return "tones"
