"""Batches of conversations: the same sequence whatever the number of threads, processes and ranks, and from any
checkpoint."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from voiceflow_model.data.batch import NOBODY, Batch, Layout, Slot, Slots
from voiceflow_model.data.conversation import ConversationConfig
from voiceflow_model.data.lanes import LaneState, StreamConfig
from voiceflow_model.data.team import LaneNews, Team, Work
from voiceflow_model.data.walk import Cursor, Walk
from voiceflow_model.data.worker import Worker
from voiceflow_model.errors import ConfigError

__all__ = ["NOBODY", "Batch", "ConversationStream"]

_BATCHES_AHEAD = 2
_LOOK_UP_S = 0.5


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
        sources: bool = False,
        state: dict[str, Any] | None = None,
    ) -> None:
        if batch_size % config.lanes or config.lanes % shards:
            raise ConfigError(
                f"batch_size = {batch_size} must be a multiple of stream.lanes = {config.lanes}, and lanes of "
                f"gradient_shards = {shards}"
            )
        config.check_ram(walk.corpus.reading_mb(walk.split))
        hosted = range(shards) if hosted is None else hosted
        lanes = [lane for shard in hosted for lane in range(shard, config.lanes, shards)]  # as in the batch
        per_lane = batch_size // config.lanes
        self._rows_per_shard, self._shards = batch_size // shards, len(hosted)
        layout = Layout.of(len(lanes) * per_lane, conversation, num_speakers, sources=sources)
        states = _decode_state(state)
        self._news = {lane: LaneNews(states.get(lane, LaneState()), Counter(), {}) for lane in lanes}
        self._ahead: list[_Ahead] = []
        processes = min(config.worker_processes, len(lanes)) if hasattr(os, "memfd_create") else 0  # Linux
        self._slots = Slots(layout, shared=processes > 0)
        self._teams: list[_Filling] = []
        if not processes:
            work = Work(walk, config, conversation, lanes, states, config.decode_threads)
            self._teams = [_InThreads(Team(work))]
        for i in range(processes):
            first, last = (len(lanes) * j // processes for j in (i, i + 1))
            threads = -(-config.decode_threads // processes)
            work = Work(walk, config, conversation, lanes[first:last], states, threads)
            self._teams.append(Worker(work, layout, (first * per_lane, last * per_lane)))

    def __iter__(self) -> "ConversationStream":
        return self

    def __next__(self) -> tuple[Batch, ...]:
        batches = self.take(lambda: False)
        assert batches is not None
        return batches

    def take(self, give_up: Callable[[], bool]) -> tuple[Batch, ...] | None:
        """The next batch; None, and nothing is lost, when `give_up` says so while it is waited for."""
        while len(self._ahead) < _BATCHES_AHEAD:
            slot = self._slots.take()
            self._ahead.append(_Ahead(slot.batch, [team.fill(slot) for team in self._teams]))
        batch, parts = self._ahead[0]
        while wait(parts, _LOOK_UP_S).not_done:
            if give_up():
                return None
        self._ahead.pop(0)
        for part in parts:
            self._news |= part.result()
        size = self._rows_per_shard
        return tuple(batch.rows(i * size, (i + 1) * size) for i in range(self._shards))

    @property
    def state(self) -> dict[str, Any]:
        """JSON-ready position after the last batch handed out: pass it to a new stream to continue exactly there."""
        return {str(lane): list(news.state) for lane, news in self._news.items()}

    @property
    def broken(self) -> Counter[str]:
        """Undecodable utterances met so far by the hosted lanes, by cause."""
        return sum((news.broken for news in self._news.values()), Counter[str]())

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that threads spent on "fetch", "decode" and "mix" since this stream was opened."""
        spent = [news.seconds for news in self._news.values()]
        return {stage: sum(one.get(stage, 0.0) for one in spent) for stage in ("fetch", "decode", "mix")}

    def close(self) -> None:
        """Stop reading ahead, and waiting for what cannot be read."""
        for team in self._teams:
            team.close()
        self._slots.close()

    def __enter__(self) -> "ConversationStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Ahead(NamedTuple):
    """A batch on its way, and what its teams will tell."""

    batch: Batch
    parts: list[Future[dict[int, LaneNews]]]


class _Filling(Protocol):
    """A team, wherever it works."""

    def fill(self, slot: Slot) -> Future[dict[int, LaneNews]]:
        """Fill the team's rows; orders are carried out one after another."""

    def close(self) -> None:
        """Stop, whatever is under way."""


class _InThreads:
    """A team in this process that fills whole batches."""

    def __init__(self, team: Team) -> None:
        self._team, self._assembler = team, ThreadPoolExecutor(1, "assemble")

    def fill(self, slot: Slot) -> Future[dict[int, LaneNews]]:
        """See _Filling."""
        return self._assembler.submit(self._team.fill, slot.batch)

    def close(self) -> None:
        """See _Filling."""
        self._assembler.shutdown(wait=False, cancel_futures=True)
        self._team.close()


def _decode_state(state: dict[str, Any] | None) -> dict[int, LaneState]:
    return {
        int(number): LaneState(drawn, Cursor(*oldest), rows, tuple((c, n) for c, n in broken))
        for number, (drawn, oldest, rows, broken) in (state or {}).items()
    }
