"""A look at a corpus and at the conversations made of it: what a network would learn from, before it does."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Literal

import numpy as np

from voiceflow_model.data.conversation import Conversation, ConversationConfig
from voiceflow_model.data.corpus import Corpus, Split
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.peek.contact_sheet import Example
from voiceflow_model.data.peek.listening import Heard, ListeningWalk
from voiceflow_model.data.peek.looks_wrong import looks_wrong
from voiceflow_model.data.peek.speed import Speed, speed_of
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.team import Team, Work
from voiceflow_model.errors import BrokenAudio, CorpusError
from voiceflow_model.section import Section

Spread = tuple[float, float, float]  # 5th percentile, median, 95th percentile
Range = tuple[float, float, float]  # least, median, most
_QUANTILES = (5, 50, 95)
_LEAST_ROWS = 100
_BATCHES = 3
_SHOWN = 4
_NAMED = 20


class Balance(Section):
    """How evenly the speech falls on the speakers that were met."""

    speakers_seen: int
    unit: Literal["utterances", "seconds"]  # seconds of speech where a row holds several speakers
    per_speaker: Range
    most_heard: str
    most_heard_share: float


class Peek(Section):
    """What was seen. Shares are in [0, 1]; `label_shares` of frames in which nobody, one or two speak.

    An utterance is described as it enters the pool: trimmed to its speech, at its speed, cut to the longest allowed.
    """

    split: Split
    speakers: int
    speaker_names: tuple[str, ...]  # the first of them
    shards: int
    lanes: int
    pool_rows: int  # of each lane
    keys: tuple[str, ...]
    rows_are: Literal["utterances", "passages"]
    utterances: int
    whole_split: bool  # there are no more
    undecodable: dict[str, int]
    undecodable_examples: dict[str, str]  # one of each cause
    duration_s: Spread
    level_dbfs: Spread
    clipped_share: float  # of the utterances
    speech_share: float
    stored_bytes: int | None  # median; None where the corpus holds no file per row
    balance: Balance
    conversations: int
    window_s: float
    label_shares: Spread
    overlap_share: float
    cast: dict[int, int]
    batch_size: int
    batch_speakers: Range
    speed: Speed
    warnings: tuple[str, ...] = ()


def look(
    corpus: Corpus,
    split: Split,
    stream: StreamConfig,
    conversation: ConversationConfig,
    *,
    seed: int,
    batch_size: int,
    utterances: int | None = None,
    conversations: int | None = None,
) -> tuple[Peek, list[Example]]:
    """Open the stream that training would read, draw `conversations` and describe `utterances` of its rows.

    By default three batches, and the rows of the pools. Rows that cannot be decoded are counted here, and do not stop
    the look as they would stop a training run. Raises CorpusError when a pool has none that can.
    """
    if split != "train":  # training never reads them so, and a few shards will do to look at
        stream = stream.model_copy(update={"lanes": min(stream.lanes, len(corpus.shards(split)))})
    names = SpeakerClasses(corpus.speakers(split), stream.speeds)
    walk = ListeningWalk(corpus, split, names, seed, stream)
    pool_rows = stream.pool_blocks * stream.block_rows
    conversations = conversations or _BATCHES * batch_size
    windows = _Windows(names, min(batch_size, conversations))
    mix_s = windows.draw(walk, stream, conversation, conversations)
    wanted = utterances or max(_LEAST_ROWS, stream.lanes * pool_rows)
    rows = walk.heard(wanted)
    broken = [row for _, row in rows if isinstance(row, BrokenAudio)]
    heard = [row for _, row in rows if isinstance(row, Heard)]
    if not heard:
        raise CorpusError(f"none of {len(rows)} utterances can be decoded; the last one: {broken[-1]}")
    nobody, one_talks, two_talk = (float(n) for n in windows.labels / windows.labels.sum())
    sizes = [row.stored_bytes for row in heard if row.stored_bytes is not None]
    seen = Peek(
        split=split,
        speakers=len(names.names),
        speaker_names=names.names[:_NAMED],
        shards=len(walk.shards),
        lanes=stream.lanes,
        pool_rows=pool_rows,
        keys=tuple(key for key, _ in rows[:3]),
        rows_are="passages" if heard[0].passage else "utterances",
        utterances=len(rows),
        whole_split=len(rows) < wanted,
        undecodable=dict(Counter(error.cause for error in broken).most_common()),
        undecodable_examples={error.cause: str(error) for error in reversed(broken)},
        duration_s=_spread([row.seconds for row in heard]),
        level_dbfs=_spread([row.level_dbfs for row in heard]),
        clipped_share=sum(row.clipped for row in heard) / len(heard),
        speech_share=float(np.mean([row.speech for row in heard])),
        stored_bytes=round(median(sizes)) if sizes else None,
        balance=_balance(heard),
        conversations=conversations,
        window_s=conversation.window_s,
        label_shares=(nobody, one_talks, two_talk),
        overlap_share=two_talk / max(one_talks + two_talk, 1e-9),
        cast=dict(sorted(windows.cast.items())),
        batch_size=windows.batch_size,
        batch_speakers=_range([len(batch) for batch in windows.batches]),
        speed=speed_of(*walk.seconds_per_row(), mix_s, stream, conversation.window_s),
    )
    return seen.model_copy(update={"warnings": tuple(looks_wrong(seen, stream, conversation))}), windows.shown


class _Windows:
    """Counts over conversations; of all but the first few nothing else is kept."""

    def __init__(self, names: SpeakerClasses, batch_size: int) -> None:
        self.names, self.batch_size = names, batch_size
        self.labels = np.zeros(3, np.int64)  # frames in which nobody, one, two or more speak
        self.cast: Counter[int] = Counter()
        self.batches: list[set[str]] = []  # who speaks in each whole batch
        self.shown: list[Example] = []
        self._batch, self._count = set[str](), 0

    def draw(self, walk: ListeningWalk, stream: StreamConfig, conversation: ConversationConfig, count: int) -> float:
        """Open the stream and count `count` windows in; seconds of a thread that mixing one takes."""
        forgiving, lanes = stream.model_copy(update={"max_broken_share": 1.0}), stream.lanes
        with Team(Work(walk, forgiving, conversation, range(lanes), {}, stream.decode_threads)) as team:
            warm_s, warm = 0.0, 0  # the first round of the lanes fills pools and caches
            try:
                for drawn in range(0, count, lanes):  # in the order of training, a few at a time in RAM
                    for one in team.examples(min(lanes, count - drawn)):
                        self.add(one)
                    if not drawn and count > lanes:
                        warm_s, warm = team.mix_s, lanes
            except CorpusError as error:
                causes = Counter(broken.cause for broken in walk.refused()).most_common()
                told = "; skipped until then: " + ", ".join(f"{n} {cause}" for cause, n in causes) if causes else ""
                raise CorpusError(f"{error}{told}") from error
            return (team.mix_s - warm_s) / (count - warm)

    def add(self, one: Conversation) -> None:
        """Count a conversation in."""
        active = np.flatnonzero(one.activity.any(axis=0)).tolist()  # columns
        self.labels += np.bincount(np.minimum(one.activity.sum(axis=1), 2), minlength=3)
        self.cast[len(active)] += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(Example.of(one, self.names))
        self._batch |= {self.names.speaker(one.speakers[column]) for column in active}
        self._count += 1
        if self._count == self.batch_size:
            self.batches.append(self._batch)
            self._batch, self._count = set(), 0


def _balance(heard: Sequence[Heard]) -> Balance:
    by_time = heard[0].passage
    amounts = Counter[str]()
    for row in heard:
        for speaker, seconds in row.talk_s.items():
            amounts[speaker] += seconds if by_time else 1  # type: ignore[assignment]
    most, amount = amounts.most_common(1)[0] if amounts else ("nobody", 0)
    return Balance(
        speakers_seen=len(amounts),
        unit="seconds" if by_time else "utterances",
        per_speaker=_range(list(amounts.values()) or [0]),
        most_heard=most,
        most_heard_share=amount / max(sum(amounts.values()), 1e-9),
    )


def _spread(values: Sequence[float]) -> Spread:
    low, middle, high = (float(value) for value in np.percentile(values, _QUANTILES))
    return low, middle, high


def _range(values: Sequence[float]) -> Range:
    return float(min(values)), float(median(values)), float(max(values))
