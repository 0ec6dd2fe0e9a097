import uuid

import pytest

from voiceflow_model.errors import StoreUnavailable
from voiceflow_model.store import open_store
from voiceflow_model.store.faults import Fault, FaultyStore


def memory():  # type: ignore[no-untyped-def]
    return open_store(f"memory://{uuid.uuid4().hex}")


def test_before_leaves_the_store_untouched_and_after_does_not() -> None:
    inner = memory()
    store = FaultyStore(inner, [Fault(1), Fault(3, "after")])
    with pytest.raises(StoreUnavailable):
        store.write("a", b"1")
    store.write("b", b"2")
    with pytest.raises(StoreUnavailable):
        store.write("c", b"3")
    assert [info.path for info in inner.list()] == ["b", "c"]
    assert store.calls == [("write", "a"), ("write", "b"), ("write", "c")]


def test_a_fault_counts_only_the_methods_it_names() -> None:
    store = FaultyStore(memory(), [Fault(1, methods=("delete",), error=KeyboardInterrupt())])
    store.write("a", b"1")
    store.read("a")
    with pytest.raises(KeyboardInterrupt):
        store.delete("a")
    store.delete("a")


def test_a_lasting_fault_stays() -> None:
    store = FaultyStore(memory(), [Fault(2, "after", lasting=True)])
    store.write("a", b"1")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.list()
