"""The claim of the stream, on the Hub's layouts: the same examples, whatever threads, ranks, stops and networks."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doubles.hub import CUT, RESET, SHORT, Hub, OneIn, Random, hang, slow, status
from tests.doubles.layouts import Meeting, Speech, librispeech, meetings, voxceleb2
from voiceflow_model.data.conversation import ConversationConfig
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.data.corpus import Corpus
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.parquet import ParquetCorpusConfig
from voiceflow_model.data.recordings import RecordingsCorpusConfig
from voiceflow_model.data.sources import range_file
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import ConversationStream
from voiceflow_model.data.tars import TarCorpusConfig
from voiceflow_model.data.walk import Walk

LANES, BATCH = 4, 8
BATCHES = 125  # a thousand examples
Kind = str
CONFIGS = {
    "parquet": ParquetCorpusConfig(
        url="hf://datasets/org/parquet", train=("clean/*/*.parquet",), key_column="id", heldout_speakers_share=0
    ),
    "tar": TarCorpusConfig(url="hf://datasets/org/tar", train=("*.tar",), speakers=6),
    "recordings": RecordingsCorpusConfig(
        url="hf://datasets/org/recordings", train=("ihm/*.parquet",), passage_s=2.5, heldout_share=0.1
    ),
}


def hum(speaker: int, number: int) -> Speech:
    rng = keyed("hum", speaker, number)
    t = np.arange(int(rng.integers(6_000, 16_000))) / 16_000
    samples = (0.2 * np.sin(2 * np.pi * 110 * (2 + speaker) * t) + 0.01 * rng.standard_normal(len(t))).astype(
        np.float32
    )
    return Speech(f"{speaker + 10}", f"{speaker + 10}-{number}-0000", samples)


def meeting(number: int) -> Meeting:
    rng = keyed("meeting", number)
    turns = [(float(s), float(s + rng.uniform(0.5, 2.0)), f"who{rng.integers(5)}") for s in np.arange(0, 18, 1.2)]
    return Meeting(f"MTG{number:03d}", 0.1 * rng.standard_normal(20 * 16_000).astype(np.float32), turns)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    speech = [hum(speaker, number) for speaker in range(6) for number in range(24)]
    with pytest.MonkeyPatch.context() as patch, Hub() as double:
        patch.setenv("HF_ENDPOINT", double.endpoint)
        double.add("org/parquet", librispeech(speech, rows_per_group=9, rows_per_file=45))
        double.add("org/tar", voxceleb2(speech, per_tar=13))
        double.add("org/recordings", meetings([meeting(n) for n in range(8)]))
        yield double
        patch.undo()


@pytest.fixture(autouse=True)
def calm(hub: Hub) -> Iterator[None]:
    yield
    hub.faults = None


@cache
def corpus(kind: Kind) -> Corpus:
    return open_corpus(CONFIGS[kind])


def stream(
    of: Corpus, *, threads: int = 2, processes: int = 0, hosted: tuple[int, ...] | None = None, state: Any = None
) -> ConversationStream:
    config = StreamConfig(
        lanes=LANES,
        pool_blocks=3,
        block_rows=5,
        draws_per_block=12,
        decode_threads=threads,
        worker_processes=processes,
    )
    walk = Walk(of, "train", SpeakerClasses(of.speakers("train")), 7, LANES, config.max_utterance_s)
    mixing = ConversationConfig(window_s=1.0)
    return ConversationStream(
        walk, config, mixing, num_speakers=3, batch_size=BATCH, shards=LANES, hosted=hosted, state=state
    )


def digest(batch: Any) -> bytes:
    """Of waveforms, labels and classes: no key, offset, level, room or noise can change without changing it."""
    return hashlib.sha256(b"".join(part.tobytes() for part in batch if part is not None)).digest()


def drawn(source: ConversationStream, batches: int) -> list[list[bytes]]:
    with source:
        return [[digest(shard) for shard in next(source)] for _ in range(batches)]


@cache
def reference(kind: Kind) -> list[list[bytes]]:
    return drawn(stream(corpus(kind), threads=1), BATCHES)


@pytest.mark.parametrize(("threads", "processes"), [(2, 0), (4, 0), (2, 2), (4, 3)])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_thousand_examples_are_the_same_on_any_number_of_threads_and_processes(
    hub: Hub, kind: Kind, threads: int, processes: int
) -> None:
    assert drawn(stream(corpus(kind), threads=threads, processes=processes), BATCHES) == reference(kind)


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("kind", CONFIGS)
def test_ranks_share_the_thousand_examples_among_them(hub: Hub, kind: Kind, world: int) -> None:
    for rank in range(world):
        hosted = tuple(range(rank, LANES, world))
        mine = [[shards[s] for s in hosted] for shards in reference(kind)]
        assert drawn(stream(corpus(kind), hosted=hosted), BATCHES) == mine


@pytest.mark.parametrize("kind", CONFIGS)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sessions=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4])), min_size=2, max_size=4
    )
)
def test_any_chain_of_stops_threads_and_ranks_goes_on_exactly(
    hub: Hub, kind: Kind, sessions: list[tuple[int, int, int]]
) -> None:
    state: dict[str, Any] | None = None
    position = 0
    for batches, threads, world in sessions:
        batches = min(batches, BATCHES - position)
        states: dict[str, Any] = {}
        for rank in range(world):
            hosted = tuple(range(rank, LANES, world))
            with stream(open_corpus(CONFIGS[kind]), threads=threads, hosted=hosted, state=state) as source:
                for i in range(batches):
                    assert [digest(b) for b in next(source)] == [reference(kind)[position + i][s] for s in hosted]
                states |= source.state
        assert all(len(json.dumps(lane)) < 10_000 for lane in states.values())
        state, position = json.loads(json.dumps(states)), position + batches


FAULTS = {
    "reset": Random(0.05, [RESET]),
    "cut bodies": Random(0.05, [CUT]),
    "short bodies": Random(0.05, [SHORT]),
    "hang up": Random(0.05, [hang(0.2)]),
    "slow": Random(0.05, [slow(1_000_000)]),
    "429": Random(0.05, [status(429, 0)]),
    "503": Random(0.05, [status(503)]),
    "mixed": Random(0.05, [RESET, CUT, SHORT, hang(0.2), status(429, 0), status(500), status(503)]),
    "one cut in 20 reads": OneIn(20),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_bad_network_changes_nothing(hub: Hub, kind: Kind, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = reference(kind)
    monkeypatch.setattr(range_file, "_LEAST_BYTES", 4096)  # so that there are requests enough to go wrong
    monkeypatch.setattr(range_file, "_MOST_BYTES", 16384)
    before = len(hub.requests)
    hub.goes_wrong(FAULTS[fault])
    source = stream(open_corpus(CONFIGS[kind]))  # listing and index too
    assert drawn(source, BATCHES) == expected
    assert not source.broken
    assert any(FAULTS[fault](r.number, r.method, r.path, r.route) for r in hub.requests[before:]), "nothing went wrong"


def test_a_dead_network_keeps_nobody_waiting_who_wants_to_stop(hub: Hub) -> None:
    expected = reference("parquet")
    source = stream(open_corpus(CONFIGS["parquet"]))
    first = [[digest(shard) for shard in next(source)] for _ in range(10)]
    hub.outage(60)
    while (batches := source.take(lambda: True)) is not None:
        first.append([digest(shard) for shard in batches])
    state = source.state
    source.close()
    began = time.monotonic()
    while any(thread.name.startswith("read") for thread in threading.enumerate()):
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    hub.outage(0)
    assert first == expected[: len(first)]
    assert drawn(stream(corpus("parquet"), state=state), 20) == expected[len(first) : len(first) + 20]


def test_half_a_minute_without_any_network_changes_nothing(hub: Hub) -> None:
    expected = reference("tar")
    source = stream(open_corpus(CONFIGS["tar"]))
    first = [[digest(shard) for shard in next(source)] for _ in range(40)]
    hub.outage(30)
    assert first + drawn(source, BATCHES - 40) == expected
