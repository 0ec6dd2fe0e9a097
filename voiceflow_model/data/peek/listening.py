"""A walk that listens: it notes what the rows that a stream reads sound like, and keeps none of their sound."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from voiceflow_model.data.conversation import Utterance
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Corpus, Row, Split
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.passage import Passage
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.walk import Block, Cursor, Reader, Walk
from voiceflow_model.errors import BrokenAudio

_FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
_FULL_SCALE = 32_700  # of 32,767: a resampled clip hardly stays at the very top
_CLIPPED = 1e-4  # of the samples


@dataclass(frozen=True)
class Heard:
    """A row as it enters the pool: an utterance is trimmed to its speech, a passage has several speakers."""

    talk_s: dict[str, float]  # of each speaker
    seconds: float
    speech: float  # share of it in which anybody speaks
    level_dbfs: float
    clipped: bool
    stored_bytes: int | None  # None where its corpus does not hold it by itself
    passage: bool


class ListeningWalk(Walk):
    """The walk of a stream, which tells afterwards what was in its rows. Of a second pass over the corpus nothing."""

    def __init__(self, corpus: Corpus, split: Split, speakers: SpeakerClasses, seed: int, config: StreamConfig) -> None:
        super().__init__(corpus, split, speakers, seed, config.lanes, config.max_utterance_s)
        self._config = config
        self._keys: dict[int, list[str]] = {lane: [] for lane in range(config.lanes)}
        self._heard: dict[str, Heard | BrokenAudio] = {}
        self._readers: dict[int, _CountingReader] = {}

    def reader(self, lane: int, start: Cursor) -> Reader:
        """See Walk.reader."""
        self._readers[lane] = _CountingReader(self, lane, start)
        return self._readers[lane]

    def rows(self, lane: int, start: Cursor) -> Iterator[tuple[Row, Cursor]]:
        """See Walk.rows."""
        for row, following in super().rows(lane, start):
            if following.passes == 0:
                self._keys[lane].append(row.key)
            yield row, following

    def decode(self, row: Row, passes: int, speed: float | None = None) -> Utterance | Passage:
        """See Walk.decode."""
        try:
            made = super().decode(row, passes, speed)
        except BrokenAudio as error:
            self._heard.setdefault(row.key, error)
            raise
        if row.key not in self._heard:
            self._heard[row.key] = self._listen(row, made)
        return made

    def heard(self, rows: int) -> list[tuple[str, Heard | BrokenAudio]]:
        """Keys and sounds of the first `rows` rows, block after block of all lanes; fewer when the corpus has fewer.

        What the stream has not read yet is read now, and dropped at once.
        """
        block = self._config.block_rows
        blocks = -(-rows // (self.lanes * block))
        with ThreadPoolExecutor(self._config.decode_threads, "listen") as threads:
            list(threads.map(lambda lane: self._read_up_to(lane, blocks * block), self._keys))
        order = [keys[i * block : (i + 1) * block] for i in range(blocks) for keys in self._keys.values()]
        return [(key, self._heard[key]) for keys in order for key in keys][:rows]

    def refused(self) -> list[BrokenAudio]:
        """What could not be decoded until now."""
        return [heard for heard in list(self._heard.values()) if isinstance(heard, BrokenAudio)]

    def seconds_per_row(self) -> tuple[float, float]:
        """Of a thread, to fetch and to decode one row."""
        rows = max(1, sum(reader.rows for reader in self._readers.values()))
        fetch_s = sum(reader.fetch_s for reader in self._readers.values())
        return fetch_s / rows, sum(reader.decode_s for reader in self._readers.values()) / rows

    def _read_up_to(self, lane: int, rows: int) -> None:
        reader = self._readers[lane]
        with reader.lock:
            while len(self._keys[lane]) < rows and not reader.passes:
                reader.advance(self._config.block_rows)

    def _listen(self, row: Row, made: Utterance | Passage) -> Heard:
        if passage := isinstance(made, Passage):
            classes, activity = made.speakers, made.activity
        else:
            classes, activity = (made.speaker,), made.activity[:, None]  # (frames, speakers)
        talk_s = {self.speakers.speaker(c): n * _FRAME_S for c, n in zip(classes, activity.sum(axis=0), strict=True)}
        samples = made.samples.astype(np.float32)
        power = float(np.dot(samples, samples)) / max(len(samples), 1) / 32768**2
        loudest = int(np.count_nonzero(np.abs(samples) >= _FULL_SCALE))
        return Heard(
            talk_s=talk_s,
            seconds=len(samples) / SAMPLE_RATE_HZ,
            speech=float(activity.any(axis=1).mean()) if len(activity) else 0.0,
            level_dbfs=float(10 * np.log10(power + 1e-12)),
            clipped=loudest > _CLIPPED * len(samples),
            stored_bytes=_size(row.payload),
            passage=passage,
        )


class _CountingReader(Reader):
    """A reader of which two threads may take turns: the stream's, and the one that reads on after it."""

    def __init__(self, walk: Walk, lane: int, start: Cursor) -> None:
        super().__init__(walk, lane, start)
        self.lock = Lock()
        self.rows, self.passes, self.fetch_s, self.decode_s = 0, 0, 0.0, 0.0

    def read(self, rows: int) -> Block:
        """See Reader.read."""
        with self.lock:
            return self.advance(rows)

    def advance(self, rows: int) -> Block:
        """Read, by whoever holds the lock."""
        block = super().read(rows)
        self.rows += block.rows
        self.passes = block.following.passes
        self.fetch_s += block.fetch_s
        self.decode_s += block.decode_s
        return block


def _size(payload: Any) -> int | None:
    """Bytes of a row's file, where the payload is that file or knows."""
    size = len(payload) if isinstance(payload, bytes) else getattr(payload, "size", None)
    return size if isinstance(size, int) else None
