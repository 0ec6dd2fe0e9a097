import subprocess
import sys
from pathlib import Path

import pytest

from voiceflow_model.errors import PreconditionFailed, StoreUnavailable
from voiceflow_model.store import open_store

INCREMENT = """
import sys
from voiceflow_model.errors import PreconditionFailed
from voiceflow_model.store import open_store
store = open_store(sys.argv[1])
for _ in range(50):
    while True:
        blob = store.read("count")
        try:
            store.write("count", b"%d" % (int(blob.data) + 1), if_generation=blob.generation)
            break
        except PreconditionFailed:
            pass
"""


def test_four_processes_lose_no_increment(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("count", b"0")
    processes = [subprocess.Popen([sys.executable, "-c", INCREMENT, str(tmp_path)]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert store.read("count").data == b"200"


def test_a_writer_killed_in_the_middle_leaves_the_old_object_and_no_growing_litter(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("a", b"old")
    killed = """
import os, sys
from voiceflow_model.store import open_store
os.fsync = lambda descriptor: os.kill(os.getpid(), 9)  # bytes are in the temporary file, the name is not yet moved
open_store(sys.argv[1]).write("a", b"half")
"""
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", killed, str(tmp_path)]).returncode == -9
    assert store.read("a").data == b"old"
    assert [info.path for info in store.list()] == ["a"]
    assert len(list(tmp_path.iterdir())) == 3  # the object, the lock, one temporary file
    store.write("a", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a"]


def test_writers_of_overlapping_roots_share_their_lock(tmp_path: Path) -> None:
    outer, inner = open_store(str(tmp_path)), open_store(str(tmp_path / "deep"))
    generation = outer.write("deep/a", b"one")
    inner.write("a", b"two", if_generation=generation)
    with pytest.raises(PreconditionFailed):
        outer.write("deep/a", b"three", if_generation=generation)
    assert not (tmp_path / ".lock").exists()


def test_a_folder_where_nothing_may_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(StoreUnavailable, match=r"check the disk and the permissions"):
        open_store(str(tmp_path / "file")).write("a/b", b"x")
