"""A lane's endless walk over its share of the shards, read in blocks of rows from any place."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voiceflow_model.data.activity import voice_activity
from voiceflow_model.data.conversation import Utterance
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Corpus, Row, Samples, Shard, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.microphone import MicrophoneConfig, through_microphone
from voiceflow_model.data.passage import Passage, label_activity
from voiceflow_model.data.resample import change_speed
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.errors import BrokenAudio, ConfigError, CorpusError


class Cursor(NamedTuple):
    """A place in a lane's walk: the pass, the position in the lane's share of that pass, the place in that shard."""

    passes: int = 0
    shard: int = 0
    row: int = 0


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a walk, decoded. A row that cannot be decoded leaves a hole and moves nothing."""

    following: Cursor
    utterances: tuple[Utterance, ...]
    passages: tuple[Passage, ...]
    broken: tuple[BrokenAudio, ...]
    rows: int
    fetch_s: float
    decode_s: float


class Walk:
    """Pure functions of (corpus, split, seed): which row comes where. Safe to call from many threads."""

    def __init__(
        self,
        corpus: Corpus,
        split: Split,
        speakers: SpeakerClasses,
        seed: int,
        lanes: int,
        max_utterance_s: float,
        microphone: MicrophoneConfig | None = None,
    ) -> None:
        self.corpus, self.split, self.speakers, self.seed, self.lanes = corpus, split, speakers, seed, lanes
        self.microphone, self.shards = microphone, corpus.shards(split)
        self.max_samples = round(max_utterance_s * SAMPLE_RATE_HZ)
        if len(self.shards) < lanes:
            raise ConfigError(
                f"stream.lanes = {lanes}, but the {split} split of this corpus has only {len(self.shards)} shards to "
                f"share among them: set stream.lanes to at most {len(self.shards)}"
            )

    def reader(self, lane: int, start: Cursor) -> "Reader":
        """Read a lane from `start` on. One thread at a time may use the reader."""
        return Reader(self, lane, start)

    def rows(self, lane: int, start: Cursor) -> Iterator[tuple[Row, Cursor]]:
        """Every row from `start` on, without end, with the place after it. Raises CorpusError for a lane of no rows."""
        passes, position, first = start
        while True:
            order = keyed(self.seed, "shards", passes).permutation(len(self.shards))[lane :: self.lanes]
            began_at_the_start, found = not position and not first, False
            while position < len(order):
                shard: Shard = self.shards[order[position]]
                for row in self.corpus.rows(shard, first):
                    found = True
                    yield row, Cursor(passes, position, row.following)
                    del row  # as in Reader.read
                position, first = position + 1, 0
            if began_at_the_start and not found:
                raise CorpusError(f"the {self.split} split has shards, and not one row: raise corpus.heldout_share")
            passes, position = passes + 1, 0

    def decode(self, row: Row, passes: int, speed: float | None = None) -> Utterance | Passage:
        """Decode and bring into the pool's form, an utterance at `speed` or a drawn one. Raises BrokenAudio."""
        samples = self.corpus.decode(row)
        if row.labels is not None:
            frames = len(samples) // FRAME_SAMPLES
            activity, names = label_activity(row.labels, frames)
            classes = tuple(self.speakers.of(name) for name in names)
            heard = self._recorded(samples[: frames * FRAME_SAMPLES], row.key, passes)
            return Passage(row.key, classes, heard, activity)
        if speed is None:
            speeds = self.speakers.speeds
            speed = speeds[keyed(self.seed, "speed", row.key, passes).integers(len(speeds))]
        return self._utterance(row, samples, passes, speed)

    def _utterance(self, row: Row, samples: Samples, passes: int, speed: float) -> Utterance:
        """Change speed, cut, find the speech, trim to it, and let it pass a microphone."""
        key = row.key if speed == 1.0 else f"{row.key}@{speed:g}"
        if speed != 1.0:
            samples = change_speed(samples, speed)
        if len(samples) > self.max_samples:
            first = int(keyed(self.seed, "cut", key, passes).integers(len(samples) - self.max_samples))
            samples = samples[first : first + self.max_samples]
            key = f"{key}+{first}"
        active = voice_activity(samples)
        speech = np.flatnonzero(active)
        if len(speech) < 5:
            raise BrokenAudio(row.key, "no-speech", "under 0.1 s of it")
        span = slice(speech[0], speech[-1] + 1)
        heard = self._recorded(samples[span.start * FRAME_SAMPLES : span.stop * FRAME_SAMPLES], key, passes)
        return Utterance(key, self.speakers.of(row.speaker, speed), heard, active[span])

    def _recorded(self, samples: Samples, key: str, passes: int) -> NDArray[np.int16]:
        if self.microphone:
            samples = through_microphone(samples, keyed(self.seed, "microphone", key, passes), self.microphone)
        return _int16(samples)


class Reader:
    """A walk in progress: what is open stays open between blocks, so that every byte is fetched once."""

    def __init__(self, walk: Walk, lane: int, start: Cursor) -> None:
        self._walk, self._rows, self._following = walk, walk.rows(lane, start), start

    def read(self, rows: int) -> Block:
        """Fetch and decode the next `rows` rows."""
        utterances, passages, broken = list[Utterance](), list[Passage](), list[BrokenAudio]()
        decode_s, began = 0.0, time.perf_counter()
        for row, following in islice(self._rows, rows):
            self._following = following
            decoding = time.perf_counter()
            try:
                made = self._walk.decode(row, following.passes)
                utterances.append(made) if isinstance(made, Utterance) else passages.append(made)
            except BrokenAudio as error:
                broken.append(error)
            decode_s += time.perf_counter() - decoding
            del row  # the bytes of a whole recording: they must not stay while the next one is read
        fetch_s = time.perf_counter() - began - decode_s
        return Block(self._following, tuple(utterances), tuple(passages), tuple(broken), rows, fetch_s, decode_s)


def _int16(samples: Samples) -> NDArray[np.int16]:
    return np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
