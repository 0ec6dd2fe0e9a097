import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gcsfs.retry import HttpError

from tests.doubles.faults import CUT, Fault, OneIn, Random, slow, status
from tests.doubles.hub import Hub
from tests.doubles.layouts import upload
from voiceflow_model.data.corpora import CorpusConfig, open_corpus
from voiceflow_model.data.espeak import EspeakCorpusConfig
from voiceflow_model.data.files import FilesCorpusConfig
from voiceflow_model.data.mirror.manifest import Manifest
from voiceflow_model.data.mirror.mirror import Lines, MirrorResult, Progress, mirror
from voiceflow_model.data.mirror.target import PIECE_BYTES, Bucket, LocalFolder
from voiceflow_model.data.parquet import ParquetCorpusConfig
from voiceflow_model.data.sources import Entry
from voiceflow_model.data.sources.folder import MANIFEST, Folder
from voiceflow_model.data.sources.range_file import Patience
from voiceflow_model.errors import ConfigError, CorpusError, StoreUnavailable
from voiceflow_model.store import open_store

ROOT = Path(__file__).parents[2]
REPO = "openslr/librispeech_asr"
URL = f"hf://datasets/{REPO}"
BRIEF = Patience(give_up_after_s=20, first_wait_s=0.01, longest_wait_s=0.05)


def content(seed: int, size: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)


SHARDS = {
    "clean/train.100/0000.parquet": content(0, PIECE_BYTES + 70_001),
    "clean/train.100/0001.parquet": content(1, 2 * PIECE_BYTES),
    "clean/train.100/0002.parquet": content(2, 1000),
    "clean/train.100/0003.parquet": b"",
    "clean/validation/0000.parquet": content(3, 300_000),
    "clean/test/0000.parquet": content(4, 300_000),
}
OTHER = {"README.md": b"about", "other/train.500/0000.parquet": content(5, 5000)}


def corpus(url: str = URL, **options: Any) -> ParquetCorpusConfig:
    known = {"dev": ("clean/validation/*.parquet",), "test": ("clean/test/*.parquet",)}
    return ParquetCorpusConfig.model_validate({"url": url, "train": ("clean/train.*/*.parquet",), **(options or known)})


def one(pattern: str) -> ParquetCorpusConfig:
    return corpus(train=(pattern,))


def copy(config: CorpusConfig, to: str, **options: Any) -> MirrorResult:
    return mirror(config, to, **{"patience": BRIEF, **options})


def held(to: str) -> dict[str, bytes]:
    """What a reader of the mirror finds; hidden files are nobody's."""
    place = Folder(to)
    return {path: place.read(path) for path in place.files() if "/." not in f"/{path}"}


def manifest(to: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(open_store(to).read(MANIFEST).data)
    return found


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as double:
        monkeypatch.setenv("HF_ENDPOINT", double.endpoint)
        double.add(REPO, SHARDS | OTHER)
        yield double


@pytest.fixture(params=["folder", "bucket"])
def to(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    place: str = request.getfixturevalue("gcs_url") if request.param == "bucket" else f"file://{tmp_path}"
    return f"{place}/mirror"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "mirror")


def reads(hub: Hub) -> int:
    return sum(request.route == "read" for request in hub.requests)


def test_the_mirror_is_the_corpus_and_a_second_run_reads_nothing(hub: Hub, to: str) -> None:
    first = copy(corpus(), to)
    assert (first.files, first.copied, first.skipped) == (6, 6, 0)
    assert first.bytes == first.copied_bytes == sum(map(len, SHARDS.values()))
    assert held(to) == SHARDS
    assert open_corpus(corpus(first.to)).fingerprint() == open_corpus(corpus()).fingerprint()
    before = reads(hub)
    second = copy(corpus(), to)
    assert (second.files, second.copied, second.skipped, reads(hub)) == (6, 0, 6, before)
    assert manifest(to)["sources"] == {URL: {"revision": hub.repos[REPO].main}}


def test_every_file_of_a_corpus_of_files_is_copied_but_what_is_hidden(hub: Hub, to: str) -> None:
    speech = {f"spk{number}/chapter/{number}.flac": content(number, 900) for number in range(6)}
    hub.add("me/speech", speech | {"LICENSE.txt": b"free", ".gitattributes": b"*"})
    config = FilesCorpusConfig(url="hf://datasets/me/speech")
    assert copy(config, to).copied == 7
    assert held(to) == speech | {"LICENSE.txt": b"free"}
    assert open_corpus(config.model_copy(update={"url": to})).fingerprint() == open_corpus(config).fingerprint()
    assert copy(config, to).skipped == 7  # also what has no sha256 at the Hub


def test_a_killed_mirror_leaves_whole_files_and_the_next_run_copies_the_rest(hub: Hub, to: str) -> None:
    numbers = itertools.count()
    hub.faults = lambda *request: slow(500_000) if request[3] == "read" and next(numbers) > 1 else None
    program = f"""if True:
        from voiceflow_model.data.mirror.mirror import mirror
        from voiceflow_model.data.parquet import ParquetCorpusConfig
        mirror(ParquetCorpusConfig.model_validate({corpus().model_dump()!r}), {to!r}, at_once=1)
    """
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    store = open_store(to)
    deadline = time.monotonic() + 60
    while MANIFEST not in {info.path for info in store.list()} or not manifest(to)["files"]:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = held(to)
    first = "clean/train.100/0000.parquet"
    assert left == {first: SHARDS[first]}
    hub.faults = None
    before = reads(hub)
    rest = copy(corpus(), to)
    assert (rest.skipped, rest.copied) == (1, 5)
    assert reads(hub) - before == 5  # pieces; one file is empty
    assert held(to) == SHARDS
    assert not list(Path(to.removeprefix("file://")).rglob("*.part"))


def test_a_network_that_fails_at_one_request_in_ten_costs_nothing(hub: Hub, folder: str) -> None:
    hub.faults = Random(0.1, seed=3)
    assert copy(corpus(), folder).copied == 6
    hub.faults = OneIn(2, CUT)
    assert copy(one("other/train.500/*"), folder).copied == 1
    assert held(folder) == SHARDS | {path: OTHER[path] for path in OTHER if path.startswith("other")}


class Zeros:
    def __init__(self, size: int) -> None:
        self.size, self.reads = size, 0

    def __len__(self) -> int:
        return self.size

    def slice(self, start: int, end: int) -> bytes:
        self.reads += 1
        return bytes(end - start)


@pytest.mark.parametrize("size", [1000, 2 * PIECE_BYTES + 1])
def test_a_file_that_is_not_what_the_hub_lists_is_refused_after_a_second_try(hub: Hub, to: str, size: int) -> None:
    damaged = Zeros(size)  # the double makes up a sha256 for what it does not read through
    hub.add("me/damaged", {"a.parquet": content(0, 10), "b.parquet": damaged})
    config = ParquetCorpusConfig(url="hf://datasets/me/damaged", train=("*.parquet",))
    before = damaged.reads
    with pytest.raises(CorpusError, match=r"b\.parquet has the checksum .* nothing was written"):
        copy(config, to, at_once=1)
    assert damaged.reads - before == 2 * -(-size // (1 << 20))
    gc.collect()  # gcsfs finishes what it collects
    time.sleep(0.1)
    assert held(to) == {"a.parquet": content(0, 10)}
    assert list(manifest(to)["files"]) == ["a.parquet"]


class WrongAtFirst(Zeros):
    def __init__(self, right: bytes) -> None:
        super().__init__(len(right))
        self.right = right

    def slice(self, start: int, end: int) -> bytes:
        return super().slice(start, end) if self.reads == 0 else self.right[start:end]


def test_bytes_that_arrive_wrong_once_are_copied_again(hub: Hub, folder: str) -> None:
    path, right = "clean/train.100/0002.parquet", SHARDS["clean/train.100/0002.parquet"]
    commit = hub.repos[REPO].commits[hub.repos[REPO].main]
    blob = commit.files[path]
    commit.files[path] = hub.blobs[blob.sha] = replace(blob, content=WrongAtFirst(right))
    copy(one(path), folder)
    assert held(folder) == {path: right}


class Sums:
    """A content that fails after so many pieces."""

    size = 4 * PIECE_BYTES

    def __init__(self, error: BaseException, pieces: int = 2) -> None:
        self.error, self.pieces, self.sha256, self.md5 = error, pieces, None, None

    def __iter__(self) -> Iterator[bytes]:
        yield from itertools.repeat(bytes(PIECE_BYTES), self.pieces)
        raise self.error


@pytest.mark.parametrize("pieces", [0, 2])
def test_an_upload_that_breaks_off_is_never_finished(gcs_url: str, pieces: int) -> None:
    target = Bucket(gcs_url)
    with pytest.raises(StoreUnavailable, match=r"b/x\.tar cannot be written"):
        target.put("b/x.tar", Sums(ConnectionResetError("gone"), pieces))
    gc.collect()
    time.sleep(0.1)
    assert open_store(gcs_url).list() == []


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (OSError(28, "No space left on device"), StoreUnavailable, "make space"),
        (PermissionError(13, "Permission denied"), ConfigError, "grant write access"),
        (OSError("Forbidden: https://storage/b\nno storage.objects.create"), ConfigError, "roles/storage.objectUser"),
        (
            HttpError({"code": 401, "message": "Anonymous caller does not have access"}),
            ConfigError,
            "application-default login",
        ),
        (HttpError({"code": 503, "message": "later"}), StoreUnavailable, "goes on from here"),
        (TimeoutError(), StoreUnavailable, "goes on from here"),
    ],
)
def test_a_target_that_refuses_says_what_to_do(
    tmp_path: Path, error: Exception, kind: type[Exception], advice: str
) -> None:
    with pytest.raises(kind, match=advice) as refused:
        LocalFolder(str(tmp_path)).put("a/x.tar", Sums(error))
    assert "a/x.tar" in str(refused.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_object_that_is_stored_otherwise_than_it_was_sent_is_removed(
    hub: Hub, gcs_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem = Bucket(gcs_url)._filesystem
    store = filesystem.pipe_file
    monkeypatch.setattr(filesystem, "pipe_file", lambda place, data: store(place, data[:-1] + b"?"))
    with pytest.raises(CorpusError, match="other bytes than were sent"):
        copy(one("clean/test/*"), gcs_url)
    assert held(gcs_url) == {}


def test_a_target_that_fails_for_a_moment_is_tried_again(
    hub: Hub, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([StoreUnavailable("503"), StoreUnavailable("503")])
    put = LocalFolder.put

    def sometimes(*arguments: Any) -> None:
        for failure in failures:
            raise failure
        put(*arguments)

    monkeypatch.setattr(LocalFolder, "put", sometimes)
    copy(one("clean/test/*"), folder)
    assert list(held(folder)) == ["clean/test/0000.parquet"]


def test_a_missing_bucket_is_told_before_anything_is_read(hub: Hub, gcs_url: str) -> None:
    with pytest.raises(ConfigError, match="does not exist; create it"):
        copy(corpus(), "gs://no-such-bucket-here/mirror")
    assert reads(hub) == 0


def test_what_changed_at_the_source_or_vanished_at_the_target_is_copied_again(hub: Hub, to: str) -> None:
    copy(corpus(), to)
    changed, gone = "clean/test/0000.parquet", "clean/train.100/0002.parquet"
    hub.commit(REPO, {changed: content(9, 300_000)})
    open_store(to).delete(gone)
    again = copy(corpus(), to)
    assert (again.copied, again.skipped) == (2, 4)
    assert held(to) == SHARDS | {changed: content(9, 300_000)}


def test_a_file_leaves_the_manifest_before_it_is_replaced(hub: Hub, folder: str, monkeypatch: Any) -> None:
    path = "clean/test/0000.parquet"
    copy(corpus(), folder)
    hub.commit(REPO, {path: content(9, 300_000)})

    def broken(*_: object) -> None:
        raise StoreUnavailable("killed", passing=False)

    monkeypatch.setattr(LocalFolder, "put", broken)
    with pytest.raises(StoreUnavailable, match=path):
        copy(corpus(), folder)
    assert manifest(folder)["files"].keys() == SHARDS.keys() - {path}


def test_several_corpora_share_a_place(hub: Hub, to: str) -> None:
    copy(one("other/train.500/*.parquet"), to)
    copy(one("clean/validation/*.parquet"), to)
    assert manifest(to)["files"].keys() == {"other/train.500/0000.parquet", "clean/validation/0000.parquet"}
    assert copy(one("*/*/0000.parquet"), to).skipped == 2


def test_two_mirrors_at_the_same_time_keep_each_others_entries(to: str) -> None:
    first, second = Manifest(open_store(to)), Manifest(open_store(to))
    first.prepare("hf://a", "1", ["a"])
    second.prepare("hf://b", "2", ["b"])
    second.add("hf://b", "b", Entry(1, version="2"), "0" * 64)
    second.save()
    first.add("hf://a", "a", Entry(1, "1" * 64), "1" * 64)
    first.save()
    assert manifest(to)["files"] == {"a": [1, "1" * 64], "b": [1, "0" * 64]}
    assert manifest(to)["versions"] == {"b": ["hf://b", "2"]}


def test_two_mirrors_never_write_one_file_together(tmp_path: Path) -> None:
    target = LocalFolder(str(tmp_path))

    class Meanwhile(Sums):
        def __iter__(self) -> Iterator[bytes]:
            yield b"half"
            target.put("x.tar", Sums(AssertionError()))

    with pytest.raises(StoreUnavailable, match="being written by another mirror"):
        target.put("x.tar", Meanwhile(AssertionError()))


def test_a_bucket_without_a_manifest_is_a_source_too(gcs_url: str, folder: str) -> None:
    upload(SHARDS, f"{gcs_url}/theirs")
    config = corpus(f"{gcs_url}/theirs")
    assert copy(config, folder).copied == 6
    assert held(folder) == SHARDS
    assert copy(config, folder).skipped == 6
    upload({"clean/test/0000.parquet": content(8, 300_000)}, f"{gcs_url}/theirs")
    assert copy(config, folder).copied == 1


def test_a_fatal_error_stops_the_others_and_names_its_file(hub: Hub, folder: str) -> None:
    bad = "/clean/train.100/0002.parquet"

    def plan(_number: int, _method: str, path: str, route: str) -> Fault | None:
        return status(404) if path.endswith(bad) else slow(10_000) if route == "read" else None

    hub.faults = plan
    began = time.monotonic()
    with pytest.raises(CorpusError, match=bad[1:]):
        copy(corpus(), folder)
    assert time.monotonic() - began < 5
    assert not _at_work()
    assert not list(Path(folder).rglob("*.part*"))


def test_an_interrupt_keeps_what_is_done_and_leaves_no_thread(hub: Hub, folder: str) -> None:
    hub.faults = lambda *request: slow(10_000) if request[3] == "read" and request[0] > 2 else None

    def interrupt(progress: Progress) -> None:
        if progress.files:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(corpus(), folder, at_once=2, progress=interrupt)
    assert not _at_work()
    done = manifest(folder)["files"]
    assert done
    hub.faults = None
    assert copy(corpus(), folder).skipped == len(done)


def _at_work() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mirror-")]


def test_a_large_file_passes_through_a_few_pieces_of_ram(hub: Hub, to: str) -> None:
    size = 64 << 20
    hub.add("me/large", {"large.dat": Zeros(size)})  # not in LFS, so the Hub tells no sha256
    config = ParquetCorpusConfig(url="hf://datasets/me/large", train=("*.dat",))
    tracemalloc.start()
    try:
        assert copy(config, to).copied_bytes == size
        assert tracemalloc.get_traced_memory()[1] < 6 * PIECE_BYTES
    finally:
        tracemalloc.stop()
    assert Folder(to).files()["large.dat"].size == size
    assert copy(config, to).skipped == 1


@pytest.mark.parametrize(
    ("config", "to", "advice"),
    [
        (EspeakCorpusConfig(), "out", "nothing to mirror"),
        (corpus("somewhere"), "somewhere", "is, or lies in, the source"),
        (corpus("file:///some/where"), "/some/where/else", "is, or lies in, the source"),
        (corpus("gs://bucket/there/"), "gs://bucket/there", "is, or lies in, the source"),
        (corpus("gs://YOUR-BUCKET/x"), "out", "still the placeholder"),
        (corpus(), "gs://YOUR-BUCKET/x", "still the placeholder"),
        (corpus(), "s3://bucket/x", "write gs://bucket/prefix"),
        (corpus(), "memory://x", "cannot be mirrored to"),
        (corpus(), "", "VOICEFLOW_MIRROR"),
    ],
)
def test_what_cannot_be_mirrored_says_so(
    hub: Hub, config: CorpusConfig, to: str, advice: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=advice):
        copy(config, to)
    assert not hub.requests


def test_progress_is_a_line_at_both_ends_and_every_ten_seconds_between() -> None:
    lines: list[str] = []
    clock = iter([0.0, 0.0, 4.0, 10.5, 10.5, 11.0, 11.0])
    tell = Lines(lines.append, lambda: next(clock))
    for files, eta_s in ((0, float("inf")), (1, 60.0), (1, 3725.4), (2, 0.0)):
        tell(Progress(files, 2, files * 1_500_000_000, 3_000_000_000, 2_500_000.0, eta_s))
    assert lines == [
        "mirror 0/2 files  0 B of 3.0 GB  2.5 MB/s  ETA unknown",
        "mirror 1/2 files  1.5 GB of 3.0 GB  2.5 MB/s  ETA 1:02:05",
        "mirror 2/2 files  3.0 GB of 3.0 GB  2.5 MB/s  ETA 0:00:00",
    ]
