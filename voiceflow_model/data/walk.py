"""A lane's endless walk over its share of the shards, read in blocks of rows from any place."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from voiceflow_model.data.activity import voice_activity
from voiceflow_model.data.conversation import Utterance
from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ, Corpus, Row, Shard, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.resample import change_speed
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.errors import BrokenAudio, ConfigError


class Cursor(NamedTuple):
    """A place in a lane's walk: the pass, the position in the lane's share of that pass, the row in that shard."""

    passes: int = 0
    shard: int = 0
    row: int = 0


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a walk, decoded. A row that cannot be decoded leaves a hole and moves nothing."""

    following: Cursor
    utterances: tuple[Utterance, ...]
    broken: tuple[BrokenAudio, ...]
    rows: int


class Walk:
    """Pure functions of (corpus, split, seed): which row comes where. Safe to call from many threads."""

    def __init__(
        self, corpus: Corpus, split: Split, speakers: SpeakerClasses, seed: int, lanes: int, max_utterance_s: float
    ) -> None:
        self.corpus, self.speakers, self.seed, self.lanes = corpus, speakers, seed, lanes
        self.shards = corpus.shards(split)
        self.max_samples = round(max_utterance_s * SAMPLE_RATE_HZ)
        if len(self.shards) < lanes:
            raise ConfigError(
                f"stream.lanes = {lanes}, but the {split} split of this corpus has only {len(self.shards)} shards to "
                f"share among them: set stream.lanes to at most {len(self.shards)}"
            )

    def read_block(self, lane: int, start: Cursor, rows: int) -> Block:
        """Fetch and decode the `rows` rows from `start` on."""
        utterances: list[Utterance] = []
        broken: list[BrokenAudio] = []
        following = start
        for row, passes, after in islice(self._rows(lane, start), rows):
            following = after
            try:
                utterances.append(self._decode(row, passes))
            except BrokenAudio as error:
                broken.append(error)
        return Block(following, tuple(utterances), tuple(broken), rows)

    def _rows(self, lane: int, start: Cursor) -> Iterator[tuple[Row, int, Cursor]]:
        """Every row from `start` on, with its pass and the place after it."""
        passes, position, first = start
        while True:
            order = keyed(self.seed, "shards", passes).permutation(len(self.shards))[lane :: self.lanes]
            while position < len(order):
                shard: Shard = self.shards[order[position]]
                for number, row in enumerate(self.corpus.rows(shard, first), first):
                    yield row, passes, Cursor(passes, position, number + 1)
                position, first = position + 1, 0
            passes, position = passes + 1, 0

    def _decode(self, row: Row, passes: int) -> Utterance:
        """Decode, change speed, cut, find the speech, trim to it. Raises BrokenAudio."""
        samples = self.corpus.decode(row)
        speeds = self.speakers.speeds
        speed = speeds[keyed(self.seed, "speed", row.key, passes).integers(len(speeds))]
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
        whole = np.rint(np.clip(samples[span.start * FRAME_SAMPLES : span.stop * FRAME_SAMPLES], -1, 1) * 32767).astype(
            np.int16
        )
        return Utterance(key, self.speakers.of(row.speaker, speed), whole, active[span])
