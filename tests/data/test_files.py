import io
import os
import uuid
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile
from fsspec.implementations.memory import MemoryFileSystem
from pydantic import TypeAdapter, ValidationError

from voiceflow_model.data.corpora import CorpusConfig, open_corpus
from voiceflow_model.data.corpus import Row, Split
from voiceflow_model.data.files import FilesCorpus, FilesCorpusConfig
from voiceflow_model.errors import BrokenAudio, ConfigError, CorpusError, StoreUnavailable

SPEECH = Path(os.environ.get("VOICEFLOW_SPEECH", Path(__file__).parents[3] / "shared" / "speech"))


def utterance(number: int, seconds: float = 0.6, rate_hz: int = 16_000, kind: str = "FLAC") -> bytes:
    samples = np.random.default_rng(number).normal(0, 0.1, round(seconds * rate_hz)).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=kind)
    return buffer.getvalue()


def fill(root: str, speakers: int = 8, utterances: int = 5, prefix: str = "spk") -> str:
    """`speakers` folders below the URL `root`, each with a chapter folder of `utterances` files."""
    for speaker in range(speakers):
        for number in range(utterances):
            path = f"{root.rstrip('/')}/{prefix}{speaker}/chapter/{number}.flac"
            with fsspec.open(path, "wb", auto_mkdir=True) as file:
                file.write(utterance(speaker * 100 + number))
    return root


def corpus(url: str, **options: Any) -> FilesCorpus:
    return FilesCorpus(FilesCorpusConfig(url=url, **options))


def rows(of: FilesCorpus, split: Split) -> list[Row]:
    return [row for shard in of.shards(split) for row in of.rows(shard)]


@pytest.fixture
def memory_url() -> str:
    return f"memory://{uuid.uuid4().hex}/corpus"


def test_every_file_is_in_exactly_one_split_and_speakers_do_not_cross(memory_url: str) -> None:
    files = corpus(fill(memory_url))
    splits: tuple[Split, ...] = ("train", "validation", "dev", "test")
    keys = [row.key for split in splits for row in rows(files, split)]
    assert len(keys) == len(set(keys)) == 40
    train, validation, dev, test = (files.speakers(split) for split in splits)
    assert (len(train), len(dev), len(test)) == (4, 2, 2)
    assert train == validation == tuple(sorted(train))
    assert not set(train) & {*dev, *test}
    assert {row.speaker for row in rows(files, "validation")} == set(train)
    assert {row.speaker for row in rows(files, "test")} == set(test)


def test_a_row_decodes_to_what_was_written(memory_url: str) -> None:
    files = corpus(fill(memory_url))
    row = rows(files, "train")[0]
    speaker, number = int(row.speaker.removeprefix("spk")), int(Path(row.key).stem)
    written, _ = soundfile.read(io.BytesIO(utterance(speaker * 100 + number)), dtype="float32")
    assert np.array_equal(files.decode(row), written)


@pytest.mark.parametrize("form", ["{path}", "{path}/", "file://{path}", "~/corpus", "~/corpus/"])
def test_every_way_to_write_a_local_folder_reads_the_same(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(str(tmp_path / "corpus"))
    files = corpus(form.format(path=tmp_path / "corpus"))
    expected = corpus(str(tmp_path / "corpus"))
    assert [shard.name for shard in files.shards("train")] == [shard.name for shard in expected.shards("train")]
    assert files.fingerprint() == expected.fingerprint()
    assert len(files.decode(rows(files, "train")[0])) == 9600


def test_a_bucket_reads_as_a_folder_does(gcs_url: str, tmp_path: Path) -> None:
    bucket, folder = corpus(fill(f"{gcs_url}/some/corpus")), corpus(fill(str(tmp_path)))
    assert bucket.fingerprint() == folder.fingerprint()
    assert [r.key for r in rows(bucket, "dev")] == [r.key for r in rows(folder, "dev")]
    assert np.array_equal(bucket.decode(rows(bucket, "dev")[0]), folder.decode(rows(folder, "dev")[0]))


def test_speakers_of_few_utterances_are_split_in_time(memory_url: str) -> None:
    files = corpus(fill(memory_url, utterances=1))
    train, validation = rows(files, "train"), rows(files, "validation")
    assert [row.key for row in train] == [row.key for row in validation]
    whole = soundfile.read(io.BytesIO(train[0].payload), dtype="float32")[0]
    assert np.array_equal(np.concatenate([files.decode(train[0]), files.decode(validation[0])]), whole)
    assert len(files.decode(validation[0])) == round(0.2 * len(whole))


def test_another_folder_may_hold_the_held_out_speakers(memory_url: str) -> None:
    held = fill(f"{memory_url}-held", speakers=5, prefix="other")
    files = corpus(fill(memory_url), heldout_url=held)
    assert len(files.speakers("train")) == 8
    assert sorted(files.speakers("dev") + files.speakers("test")) == [f"other{n}" for n in range(5)]
    assert len(files.decode(rows(files, "test")[0])) == 9600


def test_a_speaker_in_both_folders_is_refused(memory_url: str) -> None:
    files = corpus(fill(memory_url), heldout_url=fill(f"{memory_url}-held", speakers=2))
    with pytest.raises(CorpusError, match="spk0"):
        files.shards("train")


def test_the_fingerprint_follows_names_and_sizes(memory_url: str) -> None:
    before = corpus(fill(memory_url)).fingerprint()
    assert corpus(memory_url).fingerprint() == before
    with fsspec.open(f"{memory_url}/spk0/chapter/0.flac", "wb") as file:
        file.write(utterance(1, seconds=0.7))
    assert corpus(memory_url).fingerprint() != before


def test_a_shard_has_one_row(memory_url: str) -> None:
    files = corpus(fill(memory_url))
    assert list(files.rows(files.shards("train")[0], 1)) == []


def test_other_files_and_hidden_ones_are_passed_over(memory_url: str) -> None:
    fill(memory_url)
    expected = [shard.name for shard in corpus(memory_url).shards("train")]
    for name in ("README.txt", "spk0/transcript.txt", "spk0/._0.flac", "loose.flac"):
        with fsspec.open(f"{memory_url}/{name}", "wb") as file:
            file.write(b"x")
    assert [shard.name for shard in corpus(memory_url).shards("train")] == expected


def test_a_missing_folder_says_so(memory_url: str, tmp_path: Path) -> None:
    for url in (memory_url, str(tmp_path / "absent")):
        with pytest.raises(CorpusError, match="does not exist"):
            corpus(url).shards("train")


def test_an_empty_folder_and_one_without_speakers_show_the_layout(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"<speaker>/.*found 0 files"):
        corpus(str(tmp_path)).shards("train")
    (tmp_path / "a.flac").write_bytes(utterance(0))
    with pytest.raises(CorpusError, match=r"<speaker>/.*found 1 files: a\.flac"):
        corpus(str(tmp_path)).speakers("train")


def test_one_speaker_cannot_be_trained_on(memory_url: str) -> None:
    with pytest.raises(CorpusError, match="takes two"):
        corpus(fill(memory_url, speakers=1)).shards("train")


def test_too_few_speakers_for_a_held_out_split_is_said_only_when_one_is_asked_for(memory_url: str) -> None:
    files = corpus(fill(memory_url, speakers=3))
    assert len(files.speakers("train")) == 3
    assert len(files.shards("train")) == 12
    with pytest.raises(CorpusError, match="heldout_url"):
        files.shards("dev")
    with pytest.raises(CorpusError, match="heldout_share"):
        corpus(memory_url, heldout_share=0).shards("validation")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "empty"),
        (b"a transcript with the wrong name\n" * 9, "not-audio"),
        (utterance(0, seconds=0.003), "too-short"),
        (utterance(0, seconds=2)[:9000], "truncated"),
        (utterance(0, kind="WAV")[:44] + bytes(19_200), "silent"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_file_breaks_its_own_row_only(memory_url: str, data: bytes, cause: str) -> None:
    fill(memory_url)
    broken = corpus(memory_url).shards("train")[2].name
    with fsspec.open(f"{memory_url}/{broken}", "wb") as file:
        file.write(data)
    files = corpus(memory_url)
    for row in rows(files, "train"):
        if row.key == broken:
            with pytest.raises(BrokenAudio, match=cause) as raised:
                files.decode(row)
            assert raised.value.cause == cause
        else:
            assert len(files.decode(row)) == 9600


def test_a_huge_file_is_never_fetched(memory_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceflow_model.data.files._MAX_BYTES", 1000)
    files = corpus(fill(memory_url))
    row = rows(files, "train")[0]
    assert row.payload is None
    with pytest.raises(BrokenAudio, match="too-large"):
        files.decode(row)


def test_stereo_44_khz_mp3_becomes_mono_16_khz(memory_url: str) -> None:
    fill(memory_url)
    stereo = np.random.default_rng(0).normal(0, 0.1, (44_100, 2)).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, stereo, 44_100, format="MP3")
    with fsspec.open(f"{memory_url}/spk0/chapter/9.mp3", "wb") as file:
        file.write(buffer.getvalue())
    files = corpus(memory_url, heldout_speakers_share=0)
    (row,) = [row for row in rows(files, "train") + rows(files, "validation") if row.key.endswith("9.mp3")]
    assert files.decode(row).shape == (16_000,)


class RefusingFileSystem(MemoryFileSystem):
    """A backend whose every call fails with `error`."""

    protocol = "refusing"
    error: Exception = PermissionError("403 Forbidden")

    def find(self, *_: Any, **__: Any) -> Any:
        raise self.error


class DefaultCredentialsError(Exception):
    """Stands for google.auth's, whose name is what counts."""


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (PermissionError("403 Forbidden"), StoreUnavailable, "run again"),
        (ConnectionResetError("reset by peer"), StoreUnavailable, "network"),
        (TimeoutError("no answer"), StoreUnavailable, "network"),
        (DefaultCredentialsError("none"), ConfigError, "gcloud auth application-default login"),
        (OSError("Anonymous caller does not have access, 401"), ConfigError, "gcloud auth application-default login"),
        (ZeroDivisionError("a bug"), ZeroDivisionError, "a bug"),
    ],
)
def test_a_refusing_backend_says_whether_to_fix_or_to_try_again(
    error: Exception, expected: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("refusing", RefusingFileSystem, clobber=True)
    monkeypatch.setattr(RefusingFileSystem, "error", error)
    with pytest.raises(expected, match=words):
        corpus("refusing://bucket/corpus").shards("train")


def test_a_file_that_vanished_is_reported_by_name(memory_url: str) -> None:
    files = corpus(fill(memory_url))
    shard = files.shards("train")[0]
    fsspec.filesystem("memory").rm(f"{memory_url}/{shard.name}")
    with pytest.raises(CorpusError, match=shard.name):
        list(files.rows(shard))


def test_an_unknown_kind_of_url_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        corpus("nonsense://bucket").shards("train")


def test_the_kind_chooses_the_corpus() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(CorpusConfig)
    assert isinstance(open_corpus(adapter.validate_python({"kind": "files", "url": "/x"})), FilesCorpus)
    with pytest.raises(ValidationError, match="kind"):
        adapter.validate_python({"kind": "tape"})
    with pytest.raises(ValidationError, match="folder"):
        adapter.validate_python({"kind": "files", "url": "/x", "folder": "y"})


@pytest.mark.skipif(not SPEECH.is_dir(), reason=f"no real speech at {SPEECH}")
def test_librispeech_excerpts_are_read_with_their_dev_speakers_held_out() -> None:
    root = SPEECH / "librispeech"
    files = corpus(str(root / "train-clean-100"), heldout_url=str(root / "dev"))
    assert (len(files.speakers("train")), len(files.speakers("dev")), len(files.speakers("test"))) == (202, 5, 5)
    seconds = [len(files.decode(row)) / 16_000 for row in rows(files, "dev")]
    assert all(1 < length < 40 for length in seconds)
