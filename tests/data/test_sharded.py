"""Which files are whose: what the corpora of shards share."""

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.doubles import layouts
from voiceflow_model.data.sharded import ShardedConfig, SplitFiles, belongs, is_held_out, nearest
from voiceflow_model.data.sources import Entry
from voiceflow_model.data.tars import TarCorpusConfig
from voiceflow_model.errors import ConfigError, CorpusError

PATHS = (
    "README.md",
    "clean/test/0000.parquet",
    "clean/train.100/0000.parquet",
    "clean/train.100/0001.parquet",
    "clean/train.360/0000.parquet",
    "other/train.500/0000.parquet",
)


def splits(files: Mapping[str, bytes] | None = None, **options: Any) -> SplitFiles:
    """The splits of files in RAM; without any, each of PATHS holds its own name."""
    url = f"memory://{uuid.uuid4().hex}"
    layouts.upload(dict(files or {path: path.encode() for path in PATHS}), url)
    return SplitFiles(ShardedConfig(url=url, **options))


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["clean/train.100/*.parquet"], [PATHS[2], PATHS[3]]),
        (["clean/train.*/*.parquet"], [PATHS[2], PATHS[3], PATHS[4]]),
        (["other/train.500/*.parquet", "clean/train.360/*.parquet"], [PATHS[4], PATHS[5]]),
        (["clean/train.100/*1.parquet", "clean/train.100/*.parquet"], [PATHS[2], PATHS[3]]),
        (["clean/train.[1-2]00/000[1-9].parquet"], [PATHS[3]]),
        (["*.md"], [PATHS[0]]),
        (["*/*/*"], list(PATHS[1:])),
    ],
)
def test_patterns_choose_files_sorted_each_once_and_a_wildcard_stays_in_its_folder(
    patterns: list[str], found: list[str]
) -> None:
    files = splits(train=patterns)
    assert list(files.of("train")) == list(files.of("validation")) == found
    assert files.of("dev") == files.of("test") == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": ["clean/train.100/*.tar"]}, r"clean/train.100/\*\.tar \(corpus\.train\); found 2 files there:"),
        ({"train": ["other/*/*"], "test": ["clean/*/9.parquet"]}, r"clean/\*/9.parquet \(corpus\.test\); found 5"),
        ({"train": ["other/*/*"], "test": ["clean/tset/*"]}, r"does not exist"),
        ({"train": ["*.parquet"]}, r"has no \*\.parquet \(corpus\.train\); found 6 files there: README"),
    ],
)
def test_a_pattern_that_matches_nothing_is_named_beside_what_is_there(options: dict[str, Any], words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        splits(**options).of("train")


def test_the_split_that_is_not_named_is_found_with_the_other_one() -> None:
    both = splits(train=["clean/train.100/*"], dev=["clean/train.360/*"], test=["clean/test/*"])
    assert [both.home(split) for split in ("train", "validation", "dev", "test")] == ["train", "train", "dev", "test"]
    one = splits(train=["clean/train.100/*"], test=["clean/test/*"])
    assert (one.home("dev"), one.home("test")) == ("test", "test")
    assert splits(train=["clean/train.100/*"]).home("dev") == "train"


def test_a_file_is_never_trained_on_and_measured_on() -> None:
    files = splits(train=["clean/*/*"], test=["clean/test/*"])
    with pytest.raises(CorpusError, match=r"clean/test/0000\.parquet is in corpus\.train and in corpus\.test"):
        files.of("train")


def test_a_corpus_may_be_only_measured_on_and_then_says_so_when_it_is_trained_on() -> None:
    files = splits(test=["clean/test/*"])
    assert files.home("dev") == "test"
    for split in ("train", "validation"):
        with pytest.raises(CorpusError, match=r"only be measured on \(evaluation\.corpus\)"):
            files.home(split)


def test_a_corpus_without_any_pattern_is_no_configuration() -> None:
    with pytest.raises(ValidationError, match="train, dev or test must name files"):
        ShardedConfig(url="memory://x")
    with pytest.raises(ValidationError, match=r"train\n.*at least 1"):
        TarCorpusConfig(url="memory://x", test=("*.tar",), train=(), speakers=2)  # tars cannot tell who is in them


def test_a_placeholder_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match=r"still the placeholder gs://YOUR-BUCKET/x.*phases\.PHASE\.corpus\.url"):
        SplitFiles(ShardedConfig(url="gs://YOUR-BUCKET/x", train=("*",)))


def test_the_fingerprint_is_that_of_paths_sizes_and_splits() -> None:
    before = splits(train=["clean/train.100/*"], test=["clean/test/*"]).fingerprint()
    assert splits(train=["clean/train.1*/*.parquet"], test=["clean/test/*"]).fingerprint() == before
    longer = {path: path.encode() + b"+" * (path == PATHS[2]) for path in PATHS}
    others = [
        splits(longer, train=["clean/train.100/*"], test=["clean/test/*"]),
        splits(train=["clean/train.100/*"], dev=["clean/test/*"]),
        splits(train=["clean/train.*/*"], test=["clean/test/*"]),
    ]
    assert len({before, *(one.fingerprint() for one in others)}) == 4
    unread = {path: content for path, content in ((p, p.encode()) for p in PATHS) if path != "README.md"}
    assert splits(unread, train=["clean/train.100/*"], test=["clean/test/*"]).fingerprint() == before


def test_only_folders_that_are_named_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    find = MemoryFileSystem.find
    monkeypatch.setattr(MemoryFileSystem, "find", lambda fs, path, **o: listed.append(path) or find(fs, path, **o))
    files = splits(train=["clean/train.*/*", "clean/train.100/*"], test=["other/train.500/0000.parquet"])
    assert len(files.of("train")) == 3
    assert [path.split("/", 2)[2] for path in listed] == ["clean", "other/train.500"]


def test_files_are_read_in_order_whatever_finishes_first() -> None:
    def read(path: str, entry: Entry) -> list[str]:
        return [path, str(entry.size)]

    found = splits(train=["clean/*/*"], dev=["other/*/*"]).index(read)
    assert found["train"][::2] == list(PATHS[1:5])
    assert found["dev"] == [PATHS[5], str(len(PATHS[5]))]
    assert found["test"] == []


def test_a_file_that_cannot_be_indexed_stops_the_index() -> None:
    def read(path: str, entry: Entry) -> list[str]:
        if "360" in path:
            raise CorpusError(path)
        return [path]

    with pytest.raises(CorpusError, match=r"360/0000"):
        splits(train=["clean/*/*"]).index(read)


@given(st.text(), st.floats(0, 0.5))
def test_a_row_of_the_train_files_is_in_exactly_one_of_train_and_validation(key: str, share: float) -> None:
    assert belongs(key, "train", share) != belongs(key, "validation", share)
    assert belongs(key, "dev", share)
    assert belongs(key, "test", share)


def test_about_the_share_is_held_out_and_a_larger_share_holds_out_more_of_the_same() -> None:
    keys = [f"{n}-{n % 7}" for n in range(5000)]
    some, more = ({key for key in keys if is_held_out(key, share)} for share in (0.05, 0.2))
    assert some < more
    assert len(some) / 5000 == pytest.approx(0.05, abs=0.01)
    assert not any(is_held_out(key, 0) for key in keys)


def test_the_nearest_name_is_proposed_or_all_are_named() -> None:
    assert nearest("speaker", ["audio", "speaker_id"]) == "did you mean 'speaker_id'?"
    assert nearest("who", ["audio", "speaker_id"]) == "there are audio, speaker_id"
