"""Lanes: fixed readers whose order of examples is a pure function of (seed, lane, number), resumable in O(pool).

A lane walks its share of the corpus's shards and keeps the utterances of its last `pool_blocks` blocks of `block_rows`
rows decoded in RAM. Example i is drawn from that pool by a generator keyed by (seed, lane, i); after every
`draws_per_block` examples the oldest block leaves and the next one enters. Hence:

- reuse: an utterance is decoded once and may serve in `pool_blocks * draws_per_block` examples;
- resuming needs a few integers (examples drawn; pass, shard and row of the oldest live block) and re-reads one pool;
- nothing depends on how many threads, processes or ranks there are.

A library's shuffle buffer gives none of these: it loses and repeats items when resumed (docs/adr/0001-lanes.md).
"""

import time
from collections import Counter, deque
from concurrent.futures import Executor, Future
from typing import NamedTuple

import numpy as np
from pydantic import Field, model_validator

from voiceflow_model.data.conversation import Conversation, ConversationConfig, Utterance, simulate
from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Samples
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.microphone import MicrophoneConfig
from voiceflow_model.data.passage import excerpt
from voiceflow_model.data.speakers import Speeds
from voiceflow_model.data.walk import Block, Cursor, Walk
from voiceflow_model.errors import ConfigError, CorpusError
from voiceflow_model.section import Section

_ROWS_BEFORE_JUDGING = 100
_ALWAYS_MB = 100  # threads, noise, what decoders keep at hand; in each process


class StreamConfig(Section):
    """How utterances are read, kept and reused. The last three do not touch the order of examples."""

    lanes: int = Field(4, ge=1, le=256)
    pool_blocks: int = Field(4, ge=1)
    block_rows: int = Field(8, ge=1)
    draws_per_block: int = Field(16, ge=1, description="examples drawn before the oldest block is replaced")
    max_utterance_s: float = Field(20.0, gt=1, description="longer utterances are cut to this, at a drawn place")
    speeds: Speeds = Field((1.0,), description="each speed of a voice counts as another speaker")
    microphone: MicrophoneConfig | None = Field(None, description="what training speech passes; None: nothing")
    max_broken_share: float = Field(0.01, ge=0, le=1, description="more undecodable rows than this stop the run")
    ram_mb: int = Field(2000, ge=16, description="refused at start if the pools could outgrow it")
    decode_threads: int = Field(2, ge=1, le=64, description="in all, and as many that mix")
    worker_processes: int = Field(
        0, ge=0, le=64, description="that read and mix, on Linux; 0: threads beside the training do"
    )

    @model_validator(mode="after")
    def _fits(self) -> "StreamConfig":
        if self.pools_mb > self.ram_mb:
            raise ValueError(self._too_much(0.0))
        return self

    @property
    def pools_mb(self) -> float:
        """What the pools take when every utterance is as long as allowed: 16-bit samples."""
        seconds = self.lanes * (self.pool_blocks + 1) * self.block_rows * self.max_utterance_s
        return seconds * SAMPLE_RATE_HZ * 2 / 1e6

    @property
    def _always_mb(self) -> int:
        return _ALWAYS_MB * (1 + self.worker_processes)

    def check_ram(self, reading_mb: float) -> None:
        """Raises ConfigError when the pools, and `reading_mb` in each lane, could outgrow `ram_mb`."""
        if self.pools_mb + self.lanes * reading_mb + self._always_mb > self.ram_mb:
            raise ConfigError(self._too_much(reading_mb))

    def _too_much(self, reading_mb: float) -> str:
        return (
            f"the pools may need {self.pools_mb:.0f} MB, reading {self.lanes} x {reading_mb:.0f} MB, all else "
            f"{self._always_mb} MB, and stream.ram_mb is {self.ram_mb}: lower lanes, pool_blocks, block_rows or "
            "max_utterance_s, or raise ram_mb"
        )


class LaneState(NamedTuple):
    """All that a checkpoint keeps of a lane."""

    drawn: int = 0
    oldest: Cursor = Cursor()
    rows: int = 0  # read before the oldest live block
    broken: tuple[tuple[str, int], ...] = ()  # of these, undecodable ones by cause


class Lane:
    """One lane of a stream. Draw from one thread at a time; the next block is read ahead on `readers`."""

    def __init__(
        self,
        number: int,
        walk: Walk,
        config: StreamConfig,
        conversation: ConversationConfig,
        readers: Executor,
        state: LaneState | None = None,
    ) -> None:
        self.number, self.walk, self.config, self.conversation = number, walk, config, conversation
        self.readers = readers
        self.state = state or LaneState()
        self.pool: deque[Block] = deque()
        self.seconds = {"fetch": 0.0, "decode": 0.0, "mix": 0.0}  # spent since it was opened
        self._by_speaker: dict[int, list[Utterance]] | None = None  # of the pool, until it changes
        self._reader = walk.reader(number, self.state.oldest)
        self._ahead: Future[Block] = self._read()

    def draw(self, into: Samples | None = None) -> Conversation:
        """The next example; `state` then describes the one after it. `into`: as of `simulate`."""
        while len(self.pool) < self.config.pool_blocks:
            self._admit(self._ahead.result())
        began = time.perf_counter()
        example = self._mix(keyed(self.walk.seed, "draw", self.number, self.state.drawn), into)
        self.seconds["mix"] += time.perf_counter() - began
        self.state = self.state._replace(drawn=self.state.drawn + 1)
        if self.state.drawn % self.config.draws_per_block == 0:
            self._retire(self.pool.popleft())
        return example

    @property
    def broken(self) -> Counter[str]:
        """Undecodable rows met so far, by cause."""
        return Counter(dict(self.state.broken)) + Counter(b.cause for block in self.pool for b in block.broken)

    def _mix(self, rng: np.random.Generator, into: Samples | None) -> Conversation:
        """A conversation among the speakers of the pool, or a window of its recordings where it holds these."""
        if passages := [passage for block in self.pool for passage in block.passages]:
            return excerpt(passages, rng, self.conversation)
        if self._by_speaker is None:
            self._by_speaker = {}
            for block in self.pool:
                for utterance in block.utterances:
                    self._by_speaker.setdefault(utterance.speaker, []).append(utterance)
        return simulate(self._by_speaker, rng, self.conversation, into=into)

    def _read(self) -> Future[Block]:
        return self.readers.submit(self._reader.read, self.config.block_rows)

    def _admit(self, block: Block) -> None:
        self.pool.append(block)
        self._by_speaker = None
        self._ahead = self._read()
        self.seconds["fetch"] += block.fetch_s
        self.seconds["decode"] += block.decode_s
        rows = self.state.rows + sum(b.rows for b in self.pool)
        broken = self.broken
        if rows >= _ROWS_BEFORE_JUDGING and broken.total() > self.config.max_broken_share * rows:
            causes = ", ".join(f"{n} {cause}" for cause, n in broken.most_common())
            last = next(str(e) for b in reversed(self.pool) for e in b.broken)
            raise CorpusError(
                f"{broken.total()} of {rows} utterances cannot be decoded ({causes}), more than "
                f"stream.max_broken_share = {self.config.max_broken_share:g} allows; the last one: {last}. Repair or "
                "remove them, or raise the limit"
            )
        if len(self.pool) == self.config.pool_blocks and not any(b.utterances or b.passages for b in self.pool):
            raise CorpusError(f"none of {rows} utterances can be decoded; the last one: {self.pool[-1].broken[-1]}")

    def _retire(self, block: Block) -> None:
        self._by_speaker = None
        broken = Counter(dict(self.state.broken)) + Counter(b.cause for b in block.broken)
        self.state = LaneState(
            self.state.drawn, block.following, self.state.rows + block.rows, tuple(sorted(broken.items()))
        )
