"""What every store keeps: the same laws for a folder, RAM and a bucket."""

import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from voiceflow_model.errors import ConfigError, ObjectNotFound, PreconditionFailed
from voiceflow_model.store import ABSENT, ObjectInfo, Store, open_store


@pytest.fixture(params=["local", "memory", "gcs"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "gcs":
        return f"{request.getfixturevalue('gcs_url')}/some/prefix"
    return f"file://{tmp_path}/deep/store" if request.param == "local" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_reads_back_what_was_written_at_its_generation(store: Store) -> None:
    generation = store.write("a/b.bin", b"one")
    blob = store.read("a/b.bin")
    assert (blob.data, blob.generation) == (b"one", generation)
    assert generation != ABSENT


def test_an_unconditional_write_replaces(store: Store) -> None:
    first = store.write("a", b"one")
    second = store.write("a", b"two")
    assert store.read("a").data == b"two"
    assert first != second


def test_reading_a_missing_object_says_which(store: Store) -> None:
    with pytest.raises(ObjectNotFound, match="nothing/here"):
        store.read("nothing/here")


def test_empty_and_large_objects_survive(store: Store) -> None:
    large = bytes(range(256)) * (20 * 2**12)  # 20 MiB: a resumable upload of three chunks on GCS
    store.write("empty", b"")
    assert store.write("large", large) == store.read("large").generation
    assert store.read("empty").data == b""
    assert store.read("large").data == large


def test_create_if_absent_refuses_an_existing_object(store: Store) -> None:
    store.write("a", b"one", if_generation=ABSENT)
    with pytest.raises(PreconditionFailed):
        store.write("a", b"two", if_generation=ABSENT)
    assert store.read("a").data == b"one"


def test_a_swap_needs_the_current_generation(store: Store) -> None:
    first = store.write("a", b"one")
    second = store.write("a", b"two", if_generation=first)
    with pytest.raises(PreconditionFailed):
        store.write("a", b"three", if_generation=first)
    assert store.read("a").data == b"two"
    assert store.read("a").generation == second


def test_a_swap_of_a_missing_object_fails(store: Store) -> None:
    with pytest.raises(PreconditionFailed):
        store.write("a", b"one", if_generation=7)
    assert store.list() == []


def test_a_deleted_object_is_absent_again(store: Store) -> None:
    store.write("a/b", b"one")
    store.delete("a/b")
    store.delete("a/b")
    assert store.list() == []
    store.write("a/b", b"two", if_generation=ABSENT)


def test_lists_by_prefix_of_the_name_sorted_with_sizes(store: Store) -> None:
    for path in ("runs/b/run.json", "runs/a/step-2", "runs/a/step-1", "runs/ab", "other"):
        store.write(path, path.encode())
    assert store.list("runs/a/") == [ObjectInfo("runs/a/step-1", 13), ObjectInfo("runs/a/step-2", 13)]
    assert [info.path for info in store.list("runs/a")] == ["runs/a/step-1", "runs/a/step-2", "runs/ab"]
    assert len(store.list()) == 5
    assert store.list("nothing/") == []


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", ".lock", "a/.tmp", "a\\b", "a\n"]
)
def test_paths_that_could_leave_the_store_are_refused(store: Store, path: str) -> None:
    for call in (store.read, store.delete, lambda path: store.write(path, b"x")):
        with pytest.raises(ConfigError, match="refused"):
            call(path)
    assert store.list() == []


def test_listing_outside_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="refused"):
        store.list("../")


def test_of_eight_creators_one_wins(store: Store) -> None:
    won: list[int] = []

    def create(index: int) -> None:
        try:
            store.write("race", b"%d" % index, if_generation=ABSENT)
            won.append(index)
        except PreconditionFailed:
            pass

    in_threads(8, create)
    assert len(won) == 1
    assert store.read("race").data == b"%d" % won[0]


def test_eight_writers_lose_no_increment(store: Store) -> None:
    store.write("count", b"0")

    def increment(_: int) -> None:
        for _ in range(5):
            while True:
                blob = store.read("count")
                try:
                    store.write("count", b"%d" % (int(blob.data) + 1), if_generation=blob.generation)
                    break
                except PreconditionFailed:
                    continue

    in_threads(8, increment)
    assert store.read("count").data == b"40"


def test_two_stores_of_one_url_see_the_same_objects(store: Store, url: str) -> None:
    generation = store.write("a", b"one")
    open_store(url).write("a", b"two", if_generation=generation)
    assert store.read("a").data == b"two"
    assert open_store(store.url).read("a").data == b"two"


def test_uri_is_the_full_address(store: Store, url: str) -> None:
    assert store.uri("a/b") == f"{url}/a/b"
