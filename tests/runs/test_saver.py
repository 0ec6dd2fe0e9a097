"""The work waits for the store only when the next save is due before the last is over."""

import threading
import time
from collections.abc import Callable

import pytest

from voiceflow_model.errors import LeaseLost, StoreUnavailable, Yielded
from voiceflow_model.runs import saver as module
from voiceflow_model.runs.saver import Saver


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "_UNNOTICED_S", 0.0)
    monkeypatch.setattr(module, "_LOOK_UP_S", 0.01)


def failing(times: int, error: Exception, done: list[int]) -> Callable[[], None]:
    left = [times]

    def commit() -> None:
        if left[0]:
            left[0] -= 1
            raise error
        done.append(1)

    return commit


def test_a_save_does_not_wait_for_the_store_and_the_next_one_does() -> None:
    said: list[str] = []
    answer, done = threading.Event(), []
    with Saver(60, said.append) as saver:
        saver.save(lambda: lambda: answer.wait(10) and done.append(1))
        saver.check()
        assert not done
        assert not said
        threading.Timer(0.1, answer.set).start()
        saver.save(lambda: lambda: done.append(2))
        assert done[0] == 1
        assert saver.waited_s > 0.05
        assert "training waits for it" in said[0]
    assert done == [1, 2]


def test_a_store_that_is_away_is_tried_again_while_work_goes_on() -> None:
    said: list[str] = []
    done: list[int] = []
    with Saver(60, said.append) as saver:
        saver.save(lambda: failing(3, StoreUnavailable("away"), done))
        saver.settle()
    assert done == [1]
    assert sum("tried again" in message for message in said) == 3


def test_patience_ends() -> None:
    saver = Saver(0.05, lambda _: None)
    saver.save(lambda: failing(10**6, StoreUnavailable("away"), []))
    with pytest.raises(StoreUnavailable, match="away"):
        saver.settle()


def test_a_lost_lease_is_raised_by_the_next_look_and_is_not_tried_again() -> None:
    calls: list[int] = []

    def commit() -> None:
        calls.append(1)
        raise LeaseLost("gone")

    def look() -> None:
        while True:
            saver.check()
            time.sleep(0.001)

    with Saver(60) as saver:
        saver.save(lambda: commit)
        with pytest.raises(LeaseLost, match="gone"):
            look()
        saver.check()
    assert calls == [1]


def test_leaving_waits_for_the_last_save() -> None:
    done: list[int] = []
    with Saver(60) as saver:
        saver.save(lambda: lambda: (time.sleep(0.1), done.append(1)))
    assert done == [1]


def interrupted(saver: Saver, commit: Callable[[], object], error: BaseException) -> None:
    with saver:
        saver.save(lambda: commit)
        raise error


def test_after_an_error_the_last_save_gets_one_more_try_and_the_error_stays() -> None:
    said: list[str] = []
    with pytest.raises(Yielded, match="the first error"):
        interrupted(Saver(60, said.append), failing(10**6, StoreUnavailable("away"), []), Yielded("the first error"))
    assert "the last save failed too: away" in said[-1]


def test_an_abort_waits_for_nothing() -> None:
    answer = threading.Event()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted(Saver(60), lambda: answer.wait(20), KeyboardInterrupt())
    assert time.monotonic() - began < 5
    answer.set()
