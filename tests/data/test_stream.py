"""The claims of the stream: order is a function of (seed, position); resuming is exact, cheap and elastic."""

import json
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tones import ToneCorpus
from voiceflow_model.data.conversation import ConversationConfig
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import NOBODY, ConversationStream
from voiceflow_model.data.walk import Walk
from voiceflow_model.errors import ConfigError, CorpusError

SHORT = ConversationConfig(window_s=1.0)


def stream(corpus: ToneCorpus, *, threads: int = 2, shards: int = 4, hosted=None, state=None, **changes):
    config = StreamConfig(lanes=4, pool_blocks=2, block_rows=3, draws_per_block=5, decode_threads=threads, **changes)
    walk = Walk(corpus, "train", SpeakerClasses(corpus.names, config.speeds), 7, config.lanes, config.max_utterance_s)
    return ConversationStream(
        walk, config, SHORT, num_speakers=3, batch_size=8, shards=shards, hosted=hosted, state=state
    )


def fingerprint(batch) -> tuple[bytes, bytes, bytes]:
    return batch.waveform.tobytes(), batch.activity.tobytes(), batch.speakers.tobytes()


def undisturbed(batches: int) -> list[list[tuple[bytes, bytes, bytes]]]:
    with stream(ToneCorpus(), threads=1) as source:
        return [[fingerprint(b) for b in next(source)] for _ in range(batches)]


REFERENCE = undisturbed(40)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4])), max_size=6))
def test_any_chain_of_stops_threads_and_world_sizes_gives_the_same_examples(sessions):
    state, position = None, 0
    for batches, threads, world in sessions:
        batches = min(batches, len(REFERENCE) - position)
        states: dict[str, object] = {}
        for rank in range(world):  # each rank hosts every world-th gradient shard
            hosted = tuple(range(rank, 4, world))
            with stream(ToneCorpus(), threads=threads, hosted=hosted, state=state) as source:
                for i in range(batches):
                    got = [fingerprint(b) for b in next(source)]
                    assert got == [REFERENCE[position + i][s] for s in hosted]
                states |= source.state
        state, position = json.loads(json.dumps(states)), position + batches


def test_a_lane_keeps_under_a_kilobyte_of_state_however_far_it_is():
    with stream(ToneCorpus()) as source:
        for _ in range(40):
            next(source)
        assert all(len(json.dumps(lane)) < 1000 for lane in source.state.values())


def test_resuming_reads_one_pool_whatever_the_position():
    with stream(ToneCorpus()) as source:
        for _ in range(200):
            next(source)
        late = source.state
    fresh, resumed = ToneCorpus(), ToneCorpus()
    for corpus, state in ((fresh, None), (resumed, late)):
        with stream(corpus, state=state) as source:
            next(source)
    assert len(resumed.decoded) <= len(fresh.decoded) + 4 * 3  # one block more per lane, read ahead


def test_an_utterance_is_decoded_once_and_serves_many_examples():
    corpus = ToneCorpus()
    with stream(corpus) as source:
        for _ in range(50):
            next(source)  # 400 examples
    assert len(corpus.decoded) < 400


def test_every_pass_reads_every_row_once():
    corpus = ToneCorpus(shards=8, rows=3)
    walk = Walk(corpus, "train", SpeakerClasses(corpus.names), 0, 4, 20.0)
    from voiceflow_model.data.walk import Cursor

    keys = []
    for lane in range(4):
        block = walk.reader(lane, Cursor()).read(6)  # two shards of three rows are a lane's share of a pass
        assert block.following.passes in (0, 1)
        keys += [u.key for u in block.utterances]
    assert sorted(keys) == sorted(r.key for s in corpus.shards("train") for r in corpus.rows(s))


def test_broken_rows_are_counted_by_cause_and_move_nothing():
    broken = frozenset({"03/2", "07/5"})
    with stream(ToneCorpus(broken=broken), max_broken_share=1.0) as source:
        for _ in range(60):
            next(source)
        assert source.broken["not-audio"] >= 2
        state = source.state
        ahead = [fingerprint(b) for b in next(source)]
    with stream(ToneCorpus(broken=broken), max_broken_share=1.0, state=state) as source:
        assert [fingerprint(b) for b in next(source)] == ahead


def test_too_many_broken_rows_stop_the_run_and_say_what_to_do():
    corpus = ToneCorpus(broken=frozenset(f"{s:02d}/1" for s in range(10)))
    with stream(corpus) as source, pytest.raises(CorpusError, match=r"max_broken_share.*Repair or remove"):
        list(islice(source, 300))


def test_a_corpus_with_nothing_decodable_is_refused_at_once():
    corpus = ToneCorpus(broken=frozenset(f"{s:02d}/{r}" for s in range(10) for r in range(7)))
    with stream(corpus) as source, pytest.raises(CorpusError, match="none of"):
        next(source)


def test_fewer_shards_than_lanes_names_the_setting():
    with pytest.raises(ConfigError, match=r"stream\.lanes to at most 3"):
        stream(ToneCorpus(shards=3))


def test_pools_that_could_outgrow_the_memory_bound_are_refused():
    with pytest.raises(ValueError, match="ram_mb"):
        StreamConfig(lanes=64, block_rows=64, ram_mb=100)


def test_speeds_are_speakers_of_their_own():
    names = SpeakerClasses(("a", "b"), (0.9, 1.0, 1.1))
    assert len(names) == 6
    assert len({names.of(n, s) for n in names.names for s in names.speeds}) == 6
    assert names.speaker(names.of("b", 0.9)) == "b"


def test_empty_slots_have_no_speaker_and_no_activity():
    with stream(ToneCorpus(), shards=1) as source:
        (batch,) = next(source)
    empty = batch.speakers == NOBODY
    assert not batch.activity.transpose(0, 2, 1)[empty].any()
    assert set(batch.speakers[~empty]) <= set(range(6))
