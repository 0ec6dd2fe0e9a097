"""`look` describes what the stream of a training run reads, in its order, and reads no more than that."""

import io
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.doubles import layouts
from voiceflow_model.data.conversation import Conversation, ConversationConfig, Turn
from voiceflow_model.data.corpora import CorpusConfig, open_corpus
from voiceflow_model.data.corpus import Corpus, Label, Row, Samples, Shard, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.parquet import ParquetCorpusConfig
from voiceflow_model.data.peek.contact_sheet import Example, conversations_png, write_examples
from voiceflow_model.data.peek.listening import ListeningWalk
from voiceflow_model.data.peek.look import Peek, look
from voiceflow_model.data.peek.speed import speed_of
from voiceflow_model.data.recordings import RecordingsCorpusConfig
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import ConversationStream
from voiceflow_model.data.tars import TarCorpusConfig
from voiceflow_model.data.walk import Cursor, Walk
from voiceflow_model.diarization.rttm import read_rttm
from voiceflow_model.errors import BrokenAudio, CorpusError

STREAM = StreamConfig(lanes=2, pool_blocks=2, block_rows=4, draws_per_block=8)
SHORT = ConversationConfig(window_s=2.0)


class Hums:
    """Shards of any number of rows; one speaker after the other when `contiguous`. Counts what is asked of it."""

    def __init__(
        self, speakers: int = 6, shards: int = 8, rows: int = 50, gain: float = 0.1, contiguous: bool = False,
        broken: frozenset[str] = frozenset(), meetings: bool = False,
    ) -> None:  # fmt: skip
        self.names = tuple(f"s{i}" for i in range(speakers))
        self.count, self.per_shard, self.gain, self.contiguous = shards, rows, gain, contiguous
        self.broken, self.meetings = broken, meetings
        self.fetched = self.decoded = 0
        self.lock = Lock()

    def speakers(self, split: Split) -> tuple[str, ...]:
        return self.names

    def shards(self, split: Split) -> tuple[Shard, ...]:
        return tuple(Shard(f"{n:02d}", split, n) for n in range(self.count))

    def rows(self, shard: Shard, start: int = 0) -> Iterator[Row]:
        for i in range(start, self.per_shard):
            with self.lock:
                self.fetched += 1
            speaker = self.names[(shard.payload + (0 if self.contiguous else i)) % len(self.names)]
            labels = (Label(0.0, 1.0, speaker), Label(0.5, 1.0, self.names[0])) if self.meetings else None
            name = "" if self.meetings else speaker
            yield Row(f"{shard.name}/{i}", name, b"12345", following=i + 1, labels=labels)

    def decode(self, row: Row) -> Samples:
        with self.lock:
            self.decoded += 1
        if row.key in self.broken:
            raise BrokenAudio(row.key, "not-audio", "hum")
        hum: Samples = (self.gain * np.sin(np.arange(24_000) * 0.3)).astype(np.float32)
        return np.clip(hum, -1, 1)

    def reading_mb(self, split: Split) -> float:
        return 0.0

    def fingerprint(self) -> str:
        return "hums"


def peek(corpus: Corpus, split: Split = "train", stream: StreamConfig = STREAM, **asked: int) -> Peek:
    return look(corpus, split, stream, SHORT, seed=7, batch_size=asked.pop("batch_size", 4), **asked)[0]


def test_windows_and_rows_are_those_of_the_training_stream() -> None:
    corpus = Hums()
    names = SpeakerClasses(corpus.names)
    walk = Walk(corpus, "train", names, 7, STREAM.lanes, STREAM.max_utterance_s)
    with ConversationStream(walk, STREAM, SHORT, num_speakers=3, batch_size=4) as stream:
        batches = [next(stream)[0] for _ in range(3)]
    seen, shown = look(corpus, "train", STREAM, SHORT, seed=7, batch_size=4)
    assert seen.conversations == 12
    first = [batches[0].waveform[i] for i in (0, 2, 1, 3)]  # a batch stacks lane after lane
    assert all(np.array_equal(a, b.conversation.samples) for a, b in zip(first, shown, strict=True))
    talking = sum(np.bincount(b.activity.sum(axis=-1).astype(int).ravel(), minlength=3) for b in batches)
    assert seen.label_shares == pytest.approx(talking / talking.sum())
    heard = [
        len({s for s, a in zip(b.speakers.ravel(), b.activity.any(axis=1).ravel(), strict=True) if a}) for b in batches
    ]
    assert seen.batch_speakers == (min(heard), sorted(heard)[1], max(heard))


def test_no_more_is_read_than_the_pools_and_one_block_ahead_however_large_the_shards() -> None:
    corpus = Hums(rows=100_000)
    seen = peek(corpus, conversations=4, utterances=10)
    assert seen.utterances == 10
    assert corpus.decoded <= STREAM.lanes * (STREAM.pool_blocks + 1) * STREAM.block_rows
    assert corpus.fetched <= corpus.decoded + STREAM.lanes


def test_more_utterances_than_the_pools_hold_are_read_on_but_none_twice() -> None:
    corpus = Hums(shards=4, rows=10)
    assert (few := peek(corpus, conversations=4, utterances=30)).utterances == 30
    assert not few.whole_split
    assert (all_ := peek(corpus, conversations=4, utterances=1000)).utterances == 40
    assert all_.whole_split
    assert all_.balance.per_speaker == (6, 6.5, 8)


def test_the_same_look_twice_sees_the_same() -> None:
    one, other = (peek(Hums()).model_dump(exclude={"speed"}) for _ in range(2))
    assert one == other


def test_rows_that_cannot_be_used_are_told_by_cause_and_do_not_stop_the_look() -> None:
    seen = peek(Hums(broken=frozenset(f"{shard:02d}/{row}" for shard in range(8) for row in (1, 2))))
    share = seen.undecodable["not-audio"] / seen.utterances
    assert 0.01 < share < 0.3
    assert "not-audio (hum)" in seen.undecodable_examples["not-audio"]
    assert any("cannot be used" in w and "max_broken_share" in w for w in seen.warnings)
    with pytest.raises(CorpusError, match=r"can be decoded.*skipped until then: \d+ not-audio"):
        peek(Hums(rows=3, broken=frozenset(f"{shard:02d}/{row}" for shard in range(8) for row in range(3))))


@pytest.mark.parametrize(
    ("corpus", "change"),
    [
        (Hums(contiguous=True), "Raise stream.lanes"),
        (Hums(contiguous=True), "the pools hold too few speakers"),
        (Hums(gain=3.0), "clipped"),
        (Hums(gain=0.001), "very quiet"),
        (Hums(meetings=True), "the speech is s0's"),
    ],
)
def test_what_looks_wrong_is_told_with_what_to_change(corpus: Hums, change: str) -> None:
    assert any(change in warning for warning in peek(corpus, batch_size=8).warnings)


def test_a_healthy_corpus_has_no_warnings() -> None:
    overlapping = ConversationConfig(window_s=6.0, overlap_probability=0.8)
    seen, _ = look(Hums(speakers=10), "train", STREAM, overlapping, seed=7, batch_size=8)
    assert seen.warnings == ()


def test_passages_are_balanced_by_seconds_of_speech() -> None:
    seen = peek(Hums(meetings=True))
    assert (seen.rows_are, seen.balance.unit, seen.stored_bytes) == ("passages", "seconds", 5)
    assert seen.duration_s == (1.5, 1.5, 1.5)
    assert seen.speech_share == pytest.approx(2 / 3)
    assert seen.balance.most_heard == "s0"
    assert peek(Hums()).balance.unit == "utterances"


def test_fewer_shards_than_lanes_are_enough_where_training_does_not_read() -> None:
    assert peek(Hums(shards=1), "dev").lanes == 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small corpus in every layout of the Hub."""
    root = tmp_path_factory.mktemp("corpora")
    speech = layouts.embedded_speech(speakers=6, per_speaker=4)
    meetings = layouts.embedded_meetings(5, duration_s=30.0)
    layouts.upload(layouts.voxceleb2(speech, per_tar=8), f"{root}/tar")
    layouts.upload(layouts.common_voice(speech), f"{root}/parquet")
    layouts.upload(layouts.common_voice(speech, "cy"), f"{root}/parquet")
    layouts.upload(layouts.meetings(meetings[:3]), f"{root}/recordings")
    layouts.upload(layouts.meetings(meetings[3:], split="test"), f"{root}/recordings")
    return root


def configured(folder: Path, kind: str) -> CorpusConfig:
    if kind == "tar":
        return TarCorpusConfig(url=f"{folder}/tar", train=("*.tar",), speakers=6)
    if kind == "parquet":
        url, patterns = f"{folder}/parquet", ("en/train-*.parquet", "cy/train-*.parquet")
        return ParquetCorpusConfig(url=url, train=patterns, speaker_column="client_id", heldout_speakers_share=0.3)
    return RecordingsCorpusConfig(url=f"{folder}/recordings", train=("ihm/train-*",), test=("ihm/test-*",))


@pytest.mark.parametrize("kind", ["tar", "parquet", "recordings"])
def test_every_kind_of_corpus_can_be_looked_at(folder: Path, kind: str) -> None:
    seen, shown = look(open_corpus(configured(folder, kind)), "train", STREAM, SHORT, seed=0, batch_size=4)
    assert seen.balance.speakers_seen <= seen.speakers
    assert (seen.rows_are == "passages") == (kind == "recordings")
    assert (seen.stored_bytes is None) == (kind == "recordings")
    assert conversations_png(shown).startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["parquet", "recordings"])
def test_held_out_speech_can_be_looked_at_where_there_is_some(folder: Path, kind: str) -> None:
    corpus = open_corpus(configured(folder, kind))
    seen = peek(corpus, "test")
    assert seen.whole_split
    assert seen.speaker_names == corpus.speakers("test")


def test_held_out_speech_that_is_not_there_is_said_to_be_missing(folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"set evaluation\.corpus"):
        peek(open_corpus(configured(folder, "tar")), "dev")


def conversation(speakers: int, frames: int = 100) -> Conversation:
    rng = keyed("sheet", speakers)
    activity = np.zeros((frames, speakers), bool)
    for column in range(speakers):
        activity[20 * column : 20 * column + 30, column] = True
    samples = (0.01 * rng.standard_normal(frames * 320)).astype(np.float32)
    sources = np.zeros((speakers, len(samples)), np.float32)
    turns = tuple(Turn(slot, "u", 0, 20 * slot, 30) for slot in range(speakers))
    return Conversation(samples, activity, tuple(range(speakers)), turns, sources)


def test_examples_are_written_to_listen_to_with_who_speaks_when(tmp_path: Path) -> None:
    names = SpeakerClasses(("Ann Lee", "bo"), (0.9, 1.0))
    example = Example.of(conversation(2), names)
    assert example.speakers == ("Ann Lee@0.9", "Ann Lee")
    wavs = write_examples(tmp_path / "new", "dev", [example, Example(conversation(0), ())])
    assert [wav.name for wav in wavs] == ["dev-1.wav", "dev-2.wav"]
    info = soundfile.info(wavs[0])
    assert (info.samplerate, info.subtype, info.frames) == (16_000, "PCM_16", 32_000)
    turns = read_rttm(str(wavs[0].with_suffix(".rttm")))["dev-1"]
    assert [(t.start_s, t.duration_s, t.speaker) for t in turns] == [(0, 0.6, "Ann_Lee@0.9"), (0.4, 0.6, "Ann_Lee")]
    assert not wavs[1].with_suffix(".rttm").read_text()


@pytest.mark.parametrize("speakers", [0, 1, 4])
def test_the_sheet_grows_with_its_speakers_and_draws_silence_too(speakers: int) -> None:
    quiet = Conversation(
        np.zeros(32_000, np.float32), np.zeros((100, 0), bool), (), (), np.zeros((0, 32_000), np.float32)
    )
    examples = [Example(conversation(speakers), tuple("abcd"[:speakers])), Example(quiet, ())]
    width, height = Image.open(io.BytesIO(conversations_png(examples, "x"))).size
    _, alone = Image.open(io.BytesIO(conversations_png(examples[1:]))).size
    assert width == 1320
    assert height > alone


@pytest.mark.parametrize(
    ("costs", "limit", "rate", "advice"),
    [
        ((0.4, 0.1, 0.001), "fetch", 8.0, "draws_per_block"),
        ((0.1, 0.3, 0.001), "decode", 10.0, "Raise stream.decode_threads"),
        ((0.0, 0.001, 0.1), "mix", 10.0, "Set stream.worker_processes = 4"),
    ],
)
def test_the_slowest_stage_sets_the_pace(
    costs: tuple[float, float, float], limit: str, rate: float, advice: str
) -> None:
    stream = StreamConfig(block_rows=8, draws_per_block=16, decode_threads=2)
    speed = speed_of(*costs, stream, window_s=10.0, cores=4)
    assert (speed.limit, speed.windows_per_s) == (limit, pytest.approx(rate))
    assert speed.audio_hours_per_hour == pytest.approx(10 * rate)
    assert advice in speed.advice
    assert "more cores" in speed_of(0, 0.1, 0, stream, window_s=10.0, cores=2).advice
    assert "more cores" in speed_of(0, 0, 0.1, stream, window_s=10.0, cores=1).advice


def test_a_listening_walk_reads_on_where_the_stream_stopped() -> None:
    corpus = Hums(shards=2, rows=12)
    walk = ListeningWalk(corpus, "train", SpeakerClasses(corpus.names), 0, STREAM)
    for lane in range(2):
        walk.reader(lane, Cursor()).read(4)
    assert [key.split("/")[1] for key, _ in walk.heard(16)] == [*"0123", *"0123", *"4567", *"4567"]
    assert corpus.decoded == 16
