import logging
import threading

import pytest

from tasks.listeners import ProgressArtifact, Together, log_lines
from voiceflow_model.training.progress import Tick
from voiceflow_model.training.step import StepReport


def _tick(step: int, total: int = 100) -> Tick:
    report = StepReport(**dict.fromkeys(StepReport._fields, 1.0))
    return Tick("train", step, total, 1, report, 10.0, 5.0)


class FakeArtifacts:
    def __init__(self) -> None:
        self.seen: list[float] = []
        self.answer = threading.Event()
        self.answer.set()

    def create(self, percent: float, key: str) -> str:
        self.answer.wait()
        self.seen.append(percent)
        return key

    def update(self, artifact: str, percent: float) -> None:
        self.answer.wait()
        self.seen.append(percent)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> FakeArtifacts:
    return FakeArtifacts()


def test_progress_is_published_every_ten_seconds_and_at_the_end(server: FakeArtifacts) -> None:
    clock = Clock()
    progress = ProgressArtifact("key", server.create, server.update, clock)
    for step in range(1, 101):
        clock.now += 0.25
        progress.tick(_tick(step))
        progress._pending and progress._pending.result()
    progress.close()
    assert server.seen == [1.0, 41.0, 81.0, 100.0]


def test_a_server_that_does_not_answer_stops_nobody(server: FakeArtifacts) -> None:
    clock = Clock()
    server.answer.clear()
    progress = ProgressArtifact("key", server.create, server.update, clock)
    for step in range(1, 51):
        clock.now += 60
        progress.tick(_tick(step))
    server.answer.set()
    progress.close()
    assert server.seen == [1.0]


def test_a_server_that_refuses_stops_nobody(server: FakeArtifacts, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("refused")

    progress = ProgressArtifact("key", refuse, refuse, Clock())
    progress.tick(_tick(100))
    progress.close()
    assert "refused" in caplog.text


def test_the_log_gets_what_a_terminal_shows_in_whole_lines(caplog: pytest.LogCaptureFixture) -> None:
    listener = Together([log_lines(logging.getLogger("run"))])
    with caplog.at_level(logging.INFO, "run"):
        listener.say("x" * 300)
        listener.tick(_tick(100))
        listener.close()
    assert caplog.messages[0] == "x" * 300
    assert caplog.messages[1].startswith("train 100/100  loss")
