"""A store, a clock that only tests move, and workers that share them."""

import uuid
from dataclasses import dataclass, field

import pytest

from voiceflow_model.runs.run import Run
from voiceflow_model.runs.session import Session
from voiceflow_model.store import Store, open_store


@dataclass
class Clock:
    """Unix seconds; `sleep` moves them, and `sleeps` remembers how often."""

    now: float = 1_000_000.0
    sleeps: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert len(self.sleeps) < 1000, "waits for ever"
        self.sleeps.append(seconds)
        self.now += seconds


@dataclass
class World:
    """Opens the same run as different workers would, each with its own view of the record."""

    store: Store
    clock: Clock
    said: list[str] = field(default_factory=list)
    taken: list[object] = field(default_factory=list)

    def run(self, store: Store | None = None) -> Run:
        return Run.open(store or self.store, "demo", "hash", {"seed": 1}, clock=self.clock)

    def lease(self, store: Store | None = None, owner: str = "worker", wait: bool = False):  # type: ignore[no-untyped-def]
        return self.run(store).lease(owner=owner, ttl_s=60, wait=wait, sleep=self.clock.sleep, say=self.said.append)

    def take(self, store: Store | None = None, owner: str = "worker") -> Session:
        """A session that is never released, as of a worker that was killed or put to sleep."""
        lease = self.lease(store, owner)
        self.taken.append(lease)  # a forgotten context manager would be closed, and so released
        return lease.__enter__()


@pytest.fixture
def world() -> World:
    return World(open_store(f"memory://{uuid.uuid4().hex}"), Clock())
