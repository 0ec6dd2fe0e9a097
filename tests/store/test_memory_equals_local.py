"""RAM stands in for a folder in other tests, so the two must agree on any sequence of calls."""

import tempfile
import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from voiceflow_model.errors import VoiceFlowError
from voiceflow_model.store import ABSENT, Store, open_store

PATHS = st.sampled_from(["a", "b/c", "b/d", "b/e/f"])
DATA = st.sampled_from([b"", b"x", b"y"])
# Generations are opaque, so a condition is named by what it refers to: no object, the object as it is, or as it was.
CONDITIONS = st.sampled_from([None, "absent", "current", "outdated"])
CALLS = st.one_of(
    st.tuples(st.just("write"), PATHS, DATA, CONDITIONS),
    st.tuples(st.just("read"), PATHS),
    st.tuples(st.just("delete"), PATHS),
    st.tuples(st.just("list"), st.sampled_from(["", "a", "b", "b/", "b/e/", "z"])),
)


def generation(store: Store, path: str, condition: str | None) -> int | None:
    if condition is None or condition == "absent":
        return None if condition is None else ABSENT
    if condition == "outdated":
        return 1 << 70
    try:
        return store.read(path).generation
    except VoiceFlowError:
        return ABSENT


def outcome(store: Store, call: tuple) -> object:  # type: ignore[type-arg]
    name, path, *rest = call
    try:
        if name == "write":
            store.write(path, rest[0], if_generation=generation(store, path, rest[1]))
            return "written"
        if name == "read":
            return store.read(path).data
        return store.list(path) if name == "list" else store.delete(path)
    except VoiceFlowError as error:
        return type(error)


@settings(max_examples=60, deadline=None)
@given(st.lists(CALLS, max_size=20))
def test_memory_and_local_agree_on_every_sequence_of_calls(calls: list) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        local, memory = open_store(folder), open_store(f"memory://{uuid.uuid4().hex}")
        for call in calls:
            assert outcome(local, call) == outcome(memory, call), call
        assert local.list() == memory.list()
