"""Bytes that come in spite of everything: resumed where they broke off, with patience that has an end."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceflow_model.data.sources import Entry
from voiceflow_model.data.sources.range_file import Patience, RangeFile, read_range
from voiceflow_model.errors import CorpusError, StoreUnavailable

CONTENT = bytes(i * 37 % 251 for i in range(300_000))


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def patience(self, give_up_after_s: float = 60.0) -> Patience:
        return Patience(give_up_after_s, 0.1, 10.0, self.sleep, lambda: self.now)


class Unreliable:
    """A source of one file; `plan` says how many bytes each try delivers before it breaks (None: all)."""

    url = "test://"

    def __init__(self, *plan: int | None, error: Exception | None = None) -> None:
        self.plan, self.asked = list(plan), list[tuple[int, int]]()
        self.error = error or StoreUnavailable("reset by peer")

    def files(self, under: str = "") -> dict[str, Entry]:
        return {"file": Entry(len(CONTENT))}

    def fetch(self, path: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        self.asked.append((start, end))
        delivered = self.plan.pop(0) if self.plan else None
        if delivered is None:
            yield CONTENT[start:end]
            return
        yield CONTENT[start : min(end, start + delivered)]
        raise self.error


def read(source: Unreliable, start: int, end: int, clock: Clock | None = None) -> bytes:
    return bytes(read_range(source, "file", Entry(len(CONTENT)), start, end, (clock or Clock()).patience()))


def test_what_broke_off_goes_on_at_the_byte() -> None:
    source = Unreliable(1000, 0, 500)
    assert read(source, 100, 5000) == CONTENT[100:5000]
    assert source.asked == [(100, 5000), (1100, 5000), (1100, 5000), (1600, 5000)]


def test_a_body_that_is_merely_short_is_completed() -> None:
    class Short(Unreliable):
        def fetch(self, path: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
            yield CONTENT[start : start + max(1, (end - start) // 2)]

    assert read(Short(), 0, 1000) == CONTENT[:1000]


def test_waits_double_up_to_a_limit_and_start_afresh_after_progress() -> None:
    clock = Clock()
    read(Unreliable(*[0] * 9, 10, 0), 0, 1000, clock)
    assert clock.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 0.1, 0.2])


def test_what_the_server_asks_to_wait_is_kept() -> None:
    clock = Clock()
    read(Unreliable(0, error=StoreUnavailable("429", retry_after_s=7)), 0, 10, clock)
    assert clock.slept == [7]


def test_patience_ends_when_nothing_comes() -> None:
    clock = Clock()
    with pytest.raises(StoreUnavailable, match="reset"):
        read(Unreliable(*[0] * 1000), 0, 10, clock)
    assert 30 < clock.now <= 60


@pytest.mark.parametrize("error", [StoreUnavailable("403", passing=False), CorpusError("gone")])
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    source = Unreliable(0, error=error)
    with pytest.raises(type(error)):
        read(source, 0, 10)
    assert len(source.asked) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(CONTENT) + 9), st.integers(-1, 200_000)), max_size=8),
    st.lists(st.integers(0, 90_000), max_size=4),
)
def test_a_range_file_reads_as_the_file_does(reads: list[tuple[int, int]], broken: list[int]) -> None:
    file = RangeFile(Unreliable(*broken), "file", Entry(len(CONTENT)), Clock().patience())
    for position, size in reads:
        assert file.seek(position) == position
        assert file.read(size) == (CONTENT[position:] if size < 0 else CONTENT[position : position + size])
    target = bytearray(100)
    file.seek(-50, 2)
    assert file.readinto(target) == 50
    assert bytes(target[:50]) == CONTENT[-50:]


def test_reading_on_asks_for_more_each_time_and_a_jump_for_little() -> None:
    source = Unreliable()
    file = RangeFile(source, "file", Entry(len(CONTENT)))
    while file.read(1000):
        pass
    sizes = [end - start for start, end in source.asked]
    assert sizes == [65536, 131072, len(CONTENT) - 65536 - 131072]
    file.seek(10)
    file.read(4)
    assert source.asked[-1] == (10, 10 + 65536)
