"""Utterances in parquet files: which rows are whose, what damage looks like, and going on from any row."""

import io
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.doubles import layouts
from voiceflow_model.data.corpus import Row, Split
from voiceflow_model.data.parquet import ParquetCorpus, ParquetCorpusConfig
from voiceflow_model.data.sources.range_file import RangeFile
from voiceflow_model.errors import BrokenAudio, CorpusError, StoreUnavailable

SPLITS: tuple[Split, ...] = ("train", "validation", "dev", "test")
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def sound(number: int, samples: int = 4000) -> bytes:
    return layouts.encoded(np.random.default_rng(number).normal(0, 0.1, samples).astype(np.float32), 16_000, "FLAC")


def table(speakers: Sequence[Any], first: int = 0, **columns: pa.Array) -> bytes:
    """A file of four rows to a row group; `columns` replace or join those of LibriSpeech."""
    numbers = range(first, first + len(speakers))
    whole = {
        "audio": pa.array([{"bytes": sound(n), "path": f"{n}.flac"} for n in numbers], AUDIO),
        "speaker_id": pa.array(speakers),
        "id": pa.array([f"utterance {n}" for n in numbers]),
    } | columns
    file = io.BytesIO()
    pq.write_table(pa.table(whole), file, row_group_size=4)
    return file.getvalue()


def corpus(files: dict[str, bytes], **options: Any) -> ParquetCorpus:
    url = f"memory://{uuid.uuid4().hex}"
    layouts.upload(files, url)
    given = {"url": url, "key_column": "id", "heldout_share": 0.25, "train": ("train/*",)} | options
    return ParquetCorpus(ParquetCorpusConfig(**given))


def rows(of: ParquetCorpus, split: Split) -> list[Row]:
    return [row for shard in of.shards(split) for row in of.rows(shard)]


TRAIN = {f"train/{n}.parquet": table([n, n, n, 7, 7, 8, 8, 8, 9], first=100 * n) for n in range(3)}
HELD = {
    "dev/0.parquet": table(["ann", "bob"], first=1000),
    "test/0.parquet": table(["cid", "dee", "eve", "cid", "dee"], first=2000),
}


def test_rows_are_those_of_the_files_with_names_as_written() -> None:
    split = corpus(TRAIN | HELD, dev=("dev/*",), test=("test/*",), heldout_share=0)
    assert split.speakers("train") == split.speakers("validation") == ("0", "1", "2", "7", "8", "9")
    assert (split.speakers("dev"), split.speakers("test")) == (("ann", "bob"), ("cid", "dee", "eve"))
    assert [shard.name for shard in split.shards("test")] == ["test/0.parquet#0", "test/0.parquet#1"]
    found = rows(split, "test")
    assert [(row.key, row.speaker) for row in found] == [
        (f"utterance {2000 + n}", name) for n, name in enumerate(["cid", "dee", "eve", "cid", "dee"])
    ]
    assert np.array_equal(split.decode(found[4]), split.decode(Row("", "", sound(2004), 0)))


def test_without_a_key_column_a_row_is_named_after_its_place() -> None:
    split = corpus(TRAIN, key_column="", heldout_share=0, heldout_speakers_share=0)
    assert [row.key for row in rows(split, "train")[3:6]] == [
        "train/0.parquet#0/3", "train/0.parquet#1/0", "train/0.parquet#1/1",
    ]  # fmt: skip


def test_any_row_can_be_gone_on_from_and_exactly_the_rest_comes() -> None:
    split = corpus(TRAIN)
    for name in SPLITS:
        for shard in split.shards(name):
            everything = list(split.rows(shard))
            for number, row in enumerate(everything):
                assert list(split.rows(shard, row.following)) == everything[number + 1 :]


def test_every_row_is_in_exactly_one_split_and_speakers_do_not_cross() -> None:
    split = corpus(TRAIN, heldout_speakers_share=0.5)
    keys = {name: {row.key for row in rows(split, name)} for name in SPLITS}
    assert sum(len(some) for some in keys.values()) == len(set().union(*keys.values())) == 27
    assert all(keys.values())
    train, dev, test = (set(split.speakers(name)) for name in ("train", "dev", "test"))
    assert sorted(train | dev | test) == sorted(["0", "1", "2", "7", "8", "9"])
    assert len(train) + len(dev) + len(test) == 6
    for name in SPLITS:
        assert {row.speaker for row in rows(split, name)} <= set(split.speakers(name))


def test_speakers_of_the_one_held_out_pattern_are_halved() -> None:
    split = corpus(TRAIN | HELD, test=("test/*", "dev/*"))
    assert sorted(split.speakers("dev") + split.speakers("test")) == ["ann", "bob", "cid", "dee", "eve"]
    assert {row.speaker for row in rows(split, "dev")} == set(split.speakers("dev"))


def test_a_speaker_who_is_trained_on_and_held_out_is_refused() -> None:
    files = TRAIN | {"test/0.parquet": table([5, 7, 9])}
    with pytest.raises(CorpusError, match=r"2 speakers \(7 \.\.\.\) are in two of train, dev and test"):
        corpus(files, test=("test/*",)).speakers("train")


def test_what_is_only_measured_on_needs_no_train_files() -> None:
    split = corpus(HELD, train=(), test=("test/*",))
    assert len(split.speakers("dev") + split.speakers("test")) == 3
    assert len(rows(split, "test")) >= 1
    for call in (split.speakers, split.shards, split.reading_mb):
        with pytest.raises(CorpusError, match=r"only be measured on"):
            call("train")


@pytest.mark.parametrize(
    ("split", "options"),
    [
        ("dev", {"heldout_speakers_share": 0}),
        ("validation", {"heldout_share": 0}),
        ("test", {"test": ("dev/ann.parquet",)}),
    ],
)
def test_a_split_of_nobody_says_what_to_raise_or_name(split: Split, options: dict[str, Any]) -> None:
    files = TRAIN | HELD | {"dev/ann.parquet": table(["ann"])}
    with pytest.raises(CorpusError, match=rf"nothing for the {split} split: name files in corpus\.dev"):
        corpus(files, **options).shards(split)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"speaker_column": "speaker"}, r"train/0\.parquet has no column 'speaker'; did you mean 'speaker_id'\?"),
        ({"audio_column": "sound"}, r"has no column 'sound'; there are audio, speaker_id, id"),
        ({"key_column": "idd"}, r"has no column 'idd'; did you mean 'id'\?"),
    ],
)
def test_a_wrong_column_is_refused_with_the_nearest_one(options: dict[str, Any], words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        corpus(TRAIN, **options).speakers("train")


def test_a_column_that_one_file_lacks_is_refused_with_that_file() -> None:
    files = TRAIN | {"train/x.parquet": table([1, 2], id=pa.array([None, None]), other=pa.array([1, 2]))}
    lacking = io.BytesIO()
    pq.write_table(pa.table({"audio": pa.array([b""]), "id": pa.array(["x"])}), lacking)
    with pytest.raises(CorpusError, match=r"train/y\.parquet has no column 'speaker_id'"):
        corpus(files | {"train/y.parquet": lacking.getvalue()}).speakers("train")


GOOD = TRAIN["train/1.parquet"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>404</html>" * 50, id="no parquet"),
        pytest.param(GOOD[: len(GOOD) // 2], id="cut off"),
        pytest.param(GOOD[:-200] + bytes(100) + GOOD[-100:], id="damaged footer"),
    ],
)
def test_a_damaged_file_is_named_when_it_is_indexed(data: bytes) -> None:
    with pytest.raises(CorpusError, match=r"train/1\.parquet is no parquet file that can be read .*: copy it again"):
        corpus(TRAIN | {"train/1.parquet": data}).speakers("train")


def test_a_damaged_page_is_named_when_it_is_read() -> None:
    metadata = pq.ParquetFile(io.BytesIO(GOOD)).metadata.row_group(1).column(0)
    at = metadata.data_page_offset
    split = corpus(TRAIN | {"train/1.parquet": GOOD[:at] + b"\xff" * 40 + GOOD[at + 40 :]}, heldout_share=0)
    with pytest.raises(CorpusError, match=r"train/1\.parquet is no parquet file that can be read"):
        rows(split, "train")


def test_a_source_that_fails_is_no_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    split = corpus(TRAIN)
    split.speakers("train")

    def unreachable(*_: Any) -> bytes:
        raise StoreUnavailable("the network is down", passing=False)

    monkeypatch.setattr("voiceflow_model.data.sources.range_file.read_range", unreachable)
    with pytest.raises(StoreUnavailable, match="the network is down"):
        rows(split, "train")


@pytest.mark.parametrize(
    ("audio", "cause"),
    [
        (pa.array([{"bytes": None, "path": "a.flac"}, None], AUDIO), "no-bytes"),
        (pa.array([None, None], pa.binary()), "no-bytes"),
        (pa.array([b"", b""]), "empty"),
        (pa.array([b"<html>" * 9, b"x"]), "not-audio"),
    ],
)
def test_a_row_without_sound_breaks_itself_only(audio: pa.Array, cause: str) -> None:
    split = corpus({"train/0.parquet": table([1, 2], audio=audio)}, heldout_share=0)
    for row in rows(split, "train"):
        with pytest.raises(BrokenAudio, match=row.key) as raised:
            split.decode(row)
        assert raised.value.cause == cause


def test_sound_may_be_plain_bytes() -> None:
    split = corpus({"train/0.parquet": table([1, 2], audio=pa.array([sound(1), sound(2)]))}, heldout_share=0)
    assert [len(split.decode(row)) for row in rows(split, "train")] == [4000, 4000]


def test_an_empty_file_among_others_holds_nobody() -> None:
    empty = table([])
    assert pq.ParquetFile(io.BytesIO(empty)).metadata.num_rows == 0
    split = corpus(TRAIN | {"train/x.parquet": empty})
    assert len(split.speakers("train")) == 2
    assert split.reading_mb("train") > 0


def test_footers_and_speakers_are_read_once_and_sound_only_when_walked_over(monkeypatch: pytest.MonkeyPatch) -> None:
    heavy = pa.array([np.random.default_rng(n).bytes(500_000) for n in range(5)])
    asked: list[int] = []
    take = RangeFile._take
    monkeypatch.setattr(
        RangeFile, "_take", lambda file, start, end: asked.append(end - start) or take(file, start, end)
    )
    files = {f"train/{n}.parquet": table([1, 2, 3, 4, 5], audio=heavy) for n in range(2)}
    split = corpus(files, heldout_share=0, heldout_speakers_share=0)
    split.shards("train")
    footers = sum(asked)
    assert footers < 300_000
    split.shards("train")
    assert sum(asked) == footers
    assert len(rows(split, "train")) == 10
    assert sum(asked) > 5_000_000
    assert split.reading_mb("train") == pytest.approx(2 * 4 * 0.5, abs=0.1)


def test_the_fingerprint_follows_the_content_and_the_columns() -> None:
    first = corpus(TRAIN)
    others = [corpus(TRAIN, key_column=""), corpus(TRAIN | {"train/3.parquet": table([1])})]
    assert corpus(TRAIN).fingerprint() == first.fingerprint()
    assert len({first.fingerprint(), *(one.fingerprint() for one in others)}) == 3
