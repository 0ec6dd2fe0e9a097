"""Recordings with turns: their passages cover them once, and what is measured on was never trained on."""

import io
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles import layouts
from tests.doubles.layouts import Meeting
from voiceflow_model.data.corpus import Row, Split
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.recordings import RecordingsCorpus, RecordingsCorpusConfig
from voiceflow_model.errors import BrokenAudio, CorpusError

SPLITS: tuple[Split, ...] = ("train", "validation", "dev", "test")
TURNS = [(0.0, 2.5, "ann"), (2.0, 4.0, "bob"), (3.5, 6.5, "ann"), (6.9, 7.4, "cid")]


def meeting(name: str, seconds: float = 7.0, turns: Sequence[tuple[float, float, str]] = tuple(TURNS)) -> Meeting:
    samples = keyed(0, name).normal(0, 0.1, round(16_000 * seconds)).clip(-1, 1)
    return Meeting(name, samples.astype(np.float32), list(turns))


def files(names: str, split: str = "train", **options: Any) -> dict[str, bytes]:
    return layouts.meetings([meeting(name) for name in names], config="ihm", split=split, **options)


def corpus(there: dict[str, bytes], **options: Any) -> RecordingsCorpus:
    url = f"memory://{uuid.uuid4().hex}"
    layouts.upload(there, url)
    given = {"url": url, "train": ("ihm/train-*",), "heldout_share": 0.3, "passage_s": 2.0} | options
    return RecordingsCorpus(RecordingsCorpusConfig(**given))


def rows(of: RecordingsCorpus, split: Split = "train") -> list[Row]:
    return [row for shard in of.shards(split) for row in of.rows(shard)]


AMI = files("abcd", rows_per_group=2) | files("ef", "validation") | files("ghi", "test")
NAMED = {"dev": ("ihm/validation-*",), "test": ("ihm/test-*",)}


@given(st.floats(0.5, 9.0), st.sampled_from([2.0, 3.0, 4.5]), st.sampled_from([16_000, 8_000, 22_050]))
@settings(max_examples=20, deadline=None)
def test_passages_cover_a_recording_exactly_once(seconds: float, passage_s: float, rate_hz: int) -> None:
    written = np.random.default_rng(0).normal(0, 0.1, round(rate_hz * seconds)).clip(-1, 1).astype(np.float32)
    there = table(sound=layouts.encoded(written, rate_hz, "FLAC"))
    split = corpus({"ihm/train-0.parquet": there}, passage_s=passage_s, heldout_share=0)
    passages = [split.decode(row) for row in rows(split)]
    longest = max(len(passage) for passage in passages) / 16_000
    assert longest <= passage_s + 0.001
    assert min(len(passage) for passage in passages) / 16_000 > longest - 0.001  # no short rest
    heard = np.concatenate(passages)
    assert len(heard) / 16_000 == pytest.approx(seconds, abs=0.001)
    if rate_hz == 16_000:
        assert np.abs(heard - written).max() < 1 / 32_000


def table(
    sound: bytes | None, speakers: Sequence[str] = ("ann",), path: str | None = "a.flac", **columns: Any
) -> bytes:
    """One recording in which the speakers talk from 0 to 1 s; `columns` replace those of AMI."""
    turns = {"timestamps_start": [[0.0] * len(speakers)], "timestamps_end": [[1.0] * len(speakers)]}
    file = io.BytesIO()
    whole = {"audio": [{"bytes": sound, "path": path}], **turns, "speakers": [list(speakers)], **columns}
    pq.write_table(pa.table(whole), file)
    return file.getvalue()


def test_labels_are_clipped_to_the_passage_and_add_up_to_the_turns() -> None:
    split = corpus(files("a"), heldout_share=0)
    found = rows(split)
    assert [row.key for row in found] == ["a+0", "a+1", "a+2", "a+3"]
    heard: dict[str, float] = {}
    for number, row in enumerate(found):
        assert row.labels is not None
        for start_s, end_s, speaker in row.labels:
            assert 0 <= start_s < end_s <= 1.75
            heard[speaker] = heard.get(speaker, 0) + end_s - start_s
            assert any(
                s <= 1.75 * number + start_s + 1e-9 and 1.75 * number + end_s <= e + 1e-9 and who == speaker
                for s, e, who in TURNS
            )
    assert heard == pytest.approx({"ann": 5.5, "bob": 2.0, "cid": 0.1})  # cid goes on after the end


def test_any_row_can_be_gone_on_from_and_exactly_the_rest_comes() -> None:
    split = corpus(AMI)
    for name in ("train", "validation"):
        for shard in split.shards(name):
            everything = list(split.rows(shard))
            for number, row in enumerate(everything):
                rest = list(split.rows(shard, row.following))
                assert rest == everything[number + 1 :]
                assert [one.labels for one in rest] == [one.labels for one in everything[number + 1 :]]
                assert all(
                    np.array_equal(split.decode(a), split.decode(b))
                    for a, b in zip(rest, everything[number + 1 :], strict=True)
                )


def test_held_out_passages_partition_train_and_validation() -> None:
    split = corpus(AMI)
    train, validation = ([row.key for row in rows(split, name)] for name in ("train", "validation"))
    assert not set(train) & set(validation)
    assert sorted(train + validation) == [f"{name}+{n}" for name in "abcd" for n in range(4)]
    assert len(validation) >= 2
    assert split.speakers("train") == split.speakers("validation") == ("ann", "bob", "cid")


def test_recordings_of_dev_and_test_are_those_of_their_files() -> None:
    split = corpus(AMI, **NAMED)
    assert {row.key[0] for row in rows(split, "dev")} == {"e", "f"}
    assert {row.key[0] for row in rows(split, "test")} == {"g", "h", "i"}
    assert [whole.name for whole in split.whole("test", 99)] == ["g", "h", "i"]


def test_recordings_of_the_one_held_out_pattern_are_halved() -> None:
    split = corpus(AMI, test=("ihm/test-*", "ihm/validation-*"))
    dev, test = ([whole.name for whole in split.whole(name, 99)] for name in ("dev", "test"))
    assert not set(dev) & set(test)
    assert sorted(dev + test) == list("efghi")
    assert {row.key[0] for row in rows(split, "dev")} == set(dev)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_what_was_trained_on_is_never_measured_on(split: Split) -> None:
    with pytest.raises(CorpusError, match=rf"no recordings for the {split} split: name files in corpus\.dev"):
        corpus(AMI).shards(split)
    with pytest.raises(CorpusError, match="no recordings for the"):
        list(corpus(AMI).whole(split, 1))


def test_without_a_share_there_is_nothing_to_validate_on_and_without_files_nothing_to_train_on() -> None:
    with pytest.raises(CorpusError, match=r"raise corpus\.heldout_share"):
        corpus(AMI, heldout_share=0).shards("validation")
    only = corpus(AMI, train=(), **NAMED)
    assert len(only.shards("test")) == 3
    for call in (only.shards, only.speakers, only.reading_mb):
        with pytest.raises(CorpusError, match="only be measured on"):
            call("train")


def test_whole_recordings_come_one_by_one_with_all_of_their_turns() -> None:
    split = corpus(AMI, **NAMED)
    whole = list(split.whole("test", 2))
    assert [one.name for one in whole] == ["g", "h"]
    assert np.abs(whole[1].samples - meeting("h").samples).max() < 1 / 32_000
    assert [tuple(label) for label in whole[1].labels] == TURNS


def test_names_may_be_those_of_one_recording_only() -> None:
    split = corpus(AMI, names_are_global=False)
    assert len(split.speakers("train")) == 4 * 3
    assert split.speakers("train")[:3] == ("a/ann", "a/bob", "a/cid")
    for row in rows(split):
        assert {label.speaker.split("/")[0] for label in row.labels or ()} <= {row.key[0]}


def test_a_recording_without_a_name_is_named_after_its_place() -> None:
    sound = layouts.encoded(meeting("a").samples, 16_000, "FLAC")
    there = {"ihm/train-0.parquet": table(sound, path=None), "ihm/train-1.parquet": table(sound, path="x/y.wav")}
    split = corpus(there, heldout_share=0)
    assert {row.key.split("+")[0] for row in rows(split)} == {"ihm-train-0-0-0", "y"}


def test_recordings_of_the_same_name_are_told_apart_and_so_are_their_speakers() -> None:
    there = files("aab", rows_per_group=2) | files("a", "test")
    split = corpus(there, test=("ihm/test-*",), dev=("ihm/test-*",), heldout_share=0, names_are_global=False)
    place = "a-ihm-train-00000-of-00001-0"
    assert {row.key.split("+")[0] for row in rows(split)} == {f"{place}-0", f"{place}-1", "b"}
    assert len(split.speakers("train")) == 9
    assert {label.speaker for row in rows(split) for label in row.labels or ()} == set(split.speakers("train"))
    assert [whole.name for whole in split.whole("test", 9)] == ["a-ihm-test-00000-of-00001-0-0"]


def test_sound_may_be_plain_bytes() -> None:
    sound = layouts.encoded(meeting("a").samples, 16_000, "FLAC")
    split = corpus({"ihm/train-0.parquet": table(None, audio=[sound])}, heldout_share=0)
    assert sum(len(split.decode(row)) for row in rows(split)) == 7 * 16_000


def test_a_broken_recording_is_one_broken_row_and_the_next_one_is_read() -> None:
    good = layouts.encoded(meeting("a").samples, 16_000, "FLAC")
    contents = {"0": None, "1": b"<html>" * 9, "2": good, "3": b"", "4": good[: len(good) // 2]}
    there = {f"ihm/train-{n}.parquet": table(sound, path=f"{n}.flac") for n, sound in contents.items()}
    split = corpus(there, heldout_share=0)
    causes: dict[str, list[str]] = {}
    for row in rows(split):
        try:
            split.decode(row)
            causes.setdefault(row.key[0], []).append("")
        except BrokenAudio as error:
            causes.setdefault(row.key[0], []).append(error.cause)
    assert causes["0"] == causes["1"] == causes["3"] == ["no-bytes"]
    assert causes["2"] == [""] * 4
    assert causes["4"][0] == ""
    assert causes["4"][-1] == "truncated"
    tested = corpus(there, train=(), test=("ihm/*",))
    assert [whole.name for name in ("dev", "test") for whole in tested.whole(name, 9)] == ["2"]


def test_a_recording_too_large_is_skipped_and_says_which_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    long = layouts.meetings([meeting("aa", seconds=40.0), meeting("b")], rows_per_group=2)
    split = corpus(long, max_recording_mb=1, heldout_share=0)
    first, *others = rows(split)
    with pytest.raises(BrokenAudio, match=r"corpus\.max_recording_mb = 1"):
        split.decode(first)
    assert [row.key[0] for row in others] == ["b"] * 4


@pytest.mark.parametrize("column", ["audio", "timestamps_start", "timestamps_end", "speakers"])
def test_a_wrong_column_is_refused_with_the_nearest_one(column: str) -> None:
    field = {"audio": "audio", "timestamps_start": "start", "timestamps_end": "end", "speakers": "speakers"}[column]
    with pytest.raises(CorpusError, match=rf"ihm/train-00000-of-00001\.parquet has no column '{column}s'; did you"):
        corpus(AMI, **{f"{field}_column": f"{column}s"}).shards("train")


def test_a_damaged_file_is_named() -> None:
    for data in (b"no parquet" * 9, AMI["ihm/train-00000-of-00001.parquet"][:-100]):
        with pytest.raises(CorpusError, match=r"ihm/train-1\.parquet is no parquet file that can be read"):
            corpus(AMI | {"ihm/train-1.parquet": data}).shards("train")


def test_turns_without_an_end_are_refused_with_the_file() -> None:
    there = {"ihm/train-0.parquet": table(b"", speakers=("a", "b"), timestamps_end=[[1.0]])}
    with pytest.raises(CorpusError, match=r"ihm/train-0\.parquet.*as many"):
        rows(corpus(there))


def test_an_empty_file_among_others_holds_nothing() -> None:
    file = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(AMI["ihm/test-00000-of-00001.parquet"])).slice(0, 0), file)
    split = corpus(AMI | {"ihm/train-1.parquet": file.getvalue()})
    assert len(split.shards("train")) == 2
    assert split.reading_mb("train") > 0


def test_reading_takes_the_page_of_a_row_group_twice_and_two_recordings() -> None:
    two_in_a_page = 2 * 2 + 2
    assert corpus(AMI).reading_mb("train") == pytest.approx(two_in_a_page * 7 * 16_000 * 2 / 1e6, rel=0.1)


def test_the_fingerprint_follows_the_content_and_how_it_is_read() -> None:
    first = corpus(AMI)
    others = [corpus(AMI, passage_s=3.0), corpus(AMI, names_are_global=False), corpus(AMI | files("x", "train-1"))]
    assert corpus(AMI).fingerprint() == first.fingerprint()
    assert len({first.fingerprint(), *(one.fingerprint() for one in others)}) == 4
