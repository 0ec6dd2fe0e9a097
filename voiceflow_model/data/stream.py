"""Batches of conversations: the same sequence whatever the number of threads and ranks, and from any checkpoint."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voiceflow_model.data.conversation import Conversation, ConversationConfig
from voiceflow_model.data.corpus import FRAME_SAMPLES
from voiceflow_model.data.lanes import Lane, LaneState, StreamConfig
from voiceflow_model.data.sources.range_file import call_off_by
from voiceflow_model.data.walk import Cursor, Walk
from voiceflow_model.errors import ConfigError

_BATCHES_AHEAD = 2
_LOOK_UP_S = 0.5
NOBODY = -1  # class of an empty speaker slot


class Batch(NamedTuple):
    """Conversations stacked. `speakers` holds classes, NOBODY where a slot is empty."""

    waveform: NDArray[np.float32]  # (batch, samples)
    activity: NDArray[np.float32]  # (batch, frames, K)
    speakers: NDArray[np.int64]  # (batch, K)


class ConversationStream:
    """An endless iterator of batches, each as one `Batch` per gradient shard that this process hosts.

    The global batch takes `batch_size / lanes` examples from every lane; shard s of `shards` is made of the lanes l
    with l % shards == s. A process or a rank hosts any subset of the shards, so the world size may change between
    resumes while every shard, and hence every gradient, stays the same.
    """

    def __init__(
        self,
        walk: Walk,
        config: StreamConfig,
        conversation: ConversationConfig,
        *,
        num_speakers: int,
        batch_size: int,
        shards: int = 1,
        hosted: Sequence[int] | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        if batch_size % config.lanes or config.lanes % shards:
            raise ConfigError(
                f"batch_size = {batch_size} must be a multiple of stream.lanes = {config.lanes}, and lanes of "
                f"gradient_shards = {shards}"
            )
        config.check_ram(walk.corpus.reading_mb(walk.split))
        self.num_speakers = num_speakers
        self.per_lane = batch_size // config.lanes
        self.hosted = tuple(range(shards)) if hosted is None else tuple(hosted)
        self._closing = threading.Event()
        self._readers = ThreadPoolExecutor(config.decode_threads, "read", call_off_by, (self._closing,))
        self._mixers = ThreadPoolExecutor(config.decode_threads, "mix")
        self._assembler = ThreadPoolExecutor(1, "assemble")
        states = _decode_state(state)
        self._lanes = {
            number: Lane(number, walk, config, conversation, self._readers, states.get(number))
            for number in range(config.lanes)
            if number % shards in self.hosted
        }
        self._shards = {s: [lane for n, lane in self._lanes.items() if n % shards == s] for s in self.hosted}
        self._state = self._snapshot()
        self._broken: Counter[str] = Counter()
        self._ahead: list[Future[tuple[tuple[Batch, ...], dict[str, Any], Counter[str]]]] = []

    def __iter__(self) -> "ConversationStream":
        return self

    def __next__(self) -> tuple[Batch, ...]:
        batches = self.take(lambda: False)
        assert batches is not None
        return batches

    def take(self, give_up: Callable[[], bool]) -> tuple[Batch, ...] | None:
        """The next batch; None, and nothing is lost, when `give_up` says so while it is waited for."""
        while len(self._ahead) < _BATCHES_AHEAD:
            self._ahead.append(self._assembler.submit(self._assemble))
        while not wait(self._ahead[:1], _LOOK_UP_S).done:
            if give_up():
                return None
        batches, self._state, self._broken = self._ahead.pop(0).result()
        return batches

    @property
    def state(self) -> dict[str, Any]:
        """JSON-ready position after the last batch handed out: pass it to a new stream to continue exactly there."""
        return self._state

    @property
    def broken(self) -> Counter[str]:
        """Undecodable utterances met so far by the hosted lanes, by cause."""
        return self._broken

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that threads spent on "fetch", "decode" and "mix" since this stream was opened."""
        lanes = self._lanes.values()
        return {stage: sum(lane.seconds[stage] for lane in lanes) for stage in ("fetch", "decode", "mix")}

    def examples(self, count: int) -> list[Conversation]:
        """The next `count` examples of the hosted lanes themselves, lane after lane, for looking at data."""
        lanes = list(self._lanes.values())

        def fill(first: int) -> list[Conversation]:
            return [lanes[first].draw() for _ in range(first, count, len(lanes))]

        drawn = list(self._mixers.map(fill, range(len(lanes))))
        return [drawn[i % len(lanes)][i // len(lanes)] for i in range(count)]

    def close(self) -> None:
        """Stop reading ahead, and waiting for what cannot be read."""
        self._closing.set()
        for pool in (self._assembler, self._mixers, self._readers):
            pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> "ConversationStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _assemble(self) -> tuple[tuple[Batch, ...], dict[str, Any], Counter[str]]:
        def fill(lane: Lane) -> list[Conversation]:
            return [lane.draw() for _ in range(self.per_lane)]

        drawn = {n: self._mixers.submit(fill, lane) for n, lane in self._lanes.items()}
        batches = tuple(
            stack([c for lane in lanes for c in drawn[lane.number].result()], self.num_speakers)
            for lanes in self._shards.values()
        )
        broken = sum((lane.broken for lane in self._lanes.values()), Counter[str]())
        return batches, self._snapshot(), broken

    def _snapshot(self) -> dict[str, Any]:
        return {str(n): list(lane.state) for n, lane in self._lanes.items()}


def stack(conversations: Sequence[Conversation], num_speakers: int) -> Batch:
    """Stack conversations of equal length, with at most `num_speakers` speakers each, into one batch."""
    frames = len(conversations[0].samples) // FRAME_SAMPLES
    activity = np.zeros((len(conversations), frames, num_speakers), np.float32)
    speakers = np.full((len(conversations), num_speakers), NOBODY, np.int64)
    for i, conversation in enumerate(conversations):
        activity[i, :, : len(conversation.speakers)] = conversation.activity
        speakers[i, : len(conversation.speakers)] = conversation.speakers
    return Batch(np.stack([c.samples for c in conversations]), activity, speakers)


def _decode_state(state: dict[str, Any] | None) -> dict[int, LaneState]:
    return {
        int(number): LaneState(drawn, Cursor(*oldest), rows, tuple((c, n) for c, n in broken))
        for number, (drawn, oldest, rows, broken) in (state or {}).items()
    }
