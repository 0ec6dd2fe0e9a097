"""Lanes that work together in one process: threads that read for them, threads that mix for them."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from voiceflow_model.data.batch import Batch
from voiceflow_model.data.conversation import Conversation, ConversationConfig
from voiceflow_model.data.lanes import Lane, LaneState, StreamConfig
from voiceflow_model.data.sources.range_file import call_off_by
from voiceflow_model.data.walk import Walk


class LaneNews(NamedTuple):
    """Where a lane is after a batch, what was undecodable by cause, and what threads spent on its stages."""

    state: LaneState
    broken: Counter[str]
    seconds: dict[str, float]


class Work(NamedTuple):
    """What a team does: the lanes `numbers`, each from its state on, with `threads` readers and as many mixers."""

    walk: Walk
    config: StreamConfig
    conversation: ConversationConfig
    numbers: Sequence[int]
    states: Mapping[int, LaneState]
    threads: int


class Team:
    """Lanes that share threads."""

    def __init__(self, work: Work) -> None:
        walk, config, conversation, numbers, states, threads = work
        self._closing = threading.Event()
        self._readers = ThreadPoolExecutor(threads, "read", call_off_by, (self._closing,))
        self._mixers = ThreadPoolExecutor(threads, "mix")
        self._lanes = [Lane(n, walk, config, conversation, self._readers, states.get(n)) for n in numbers]

    def fill(self, batch: Batch) -> dict[int, LaneNews]:
        """Put the next examples of every lane into `batch`, in equal shares and the order of the lanes."""
        share = len(batch.waveform) // len(self._lanes)

        def mix(place: int, lane: Lane) -> None:
            for row in range(place * share, (place + 1) * share):
                batch.put(row, lane.draw(batch.waveform[row]))

        for mixed in [self._mixers.submit(mix, *numbered) for numbered in enumerate(self._lanes)]:
            mixed.result()
        return {lane.number: LaneNews(lane.state, lane.broken, dict(lane.seconds)) for lane in self._lanes}

    def examples(self, count: int) -> list[Conversation]:
        """The next `count` examples themselves, lane after lane, for looking at data."""
        lanes = self._lanes

        def draw(first: int) -> list[Conversation]:
            return [lanes[first].draw() for _ in range(first, count, len(lanes))]

        drawn = list(self._mixers.map(draw, range(len(lanes))))
        return [drawn[i % len(lanes)][i // len(lanes)] for i in range(count)]

    @property
    def mix_s(self) -> float:
        """Seconds that threads have spent on mixing."""
        return sum(lane.seconds["mix"] for lane in self._lanes)

    def close(self) -> None:
        """Stop reading ahead, and waiting for what cannot be read."""
        self._closing.set()
        for pool in (self._mixers, self._readers):
            pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
