"""Kill the worker before or after each store call, once or at every turn: the run goes on from a committed step."""

import uuid

import pytest

from voiceflow_model.runs.checkpoints import newest
from voiceflow_model.store import open_store
from voiceflow_model.store.faults import Fault, FaultyStore

LAST = 5
BEST = b"best weights"


class Killed(BaseException):
    """The process is gone: nothing it does afterwards reaches the store."""


def work(world, store, committed: list[int]) -> None:
    """Train to LAST from wherever the run is, noting every commit that returned."""
    with world.lease(store) as session:
        good = newest(store, session.record, "train", world.said.append)
        step = good[0].step if good else 0
        assert good is None or good[1] == b"weights %d" % step
        assert step >= max(committed, default=0), "a commit that had returned was lost"
        while step < LAST:
            step += 1
            session.commit(
                "train",
                step,
                LAST,
                b"weights %d" % step,
                {},
                {"loss": 1 / step},
                best_weights=BEST if step == 1 else None,
            )
            committed.append(step)
            world.clock.now += 25
            session.beat()
        session.release("done", "trained")


def assert_finished(world) -> None:
    record = world.run().record
    assert (record.state, record.lease) == ("done", None)
    entries, best = record.phases["train"].checkpoints, record.phases["train"].best
    assert [entry.step for entry in entries] == [LAST - 1, LAST]
    assert world.store.read(best.path).data == BEST
    assert [point["step"] for point in record.phases["train"].history] == list(range(1, LAST + 1))
    assert all(session.ended_at is not None for session in record.sessions)
    assert world.said == []
    for entry in entries:
        assert world.store.read(entry.path).data == b"weights %d" % entry.step


def calls_of_an_undisturbed_run(world) -> int:
    store = FaultyStore(open_store(f"memory://{uuid.uuid4().hex}"))
    work(world, store, [])
    return len(store.calls)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_once_at_any_call(world, when: str) -> None:
    calls = calls_of_an_undisturbed_run(world)
    assert calls > 20
    for call in range(1, calls + 1):
        world.store, committed = open_store(f"memory://{uuid.uuid4().hex}"), []
        with pytest.raises(Killed):
            work(world, FaultyStore(world.store, [Fault(call, when, Killed(), lasting=True)]), committed)
        world.clock.now += 61
        work(world, world.store, committed)
        assert_finished(world)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("life", [4, 6, 7, 9])
def test_killed_at_every_turn(world, when: str, life: int) -> None:
    """Each worker makes only so many calls; they still finish together (or, too short-lived, lose nothing)."""
    committed: list[int] = []
    for _ in range(60):
        try:
            work(world, FaultyStore(world.store, [Fault(life, when, Killed(), lasting=True)]), committed)
            break
        except Killed:
            world.clock.now += 61
    world.clock.now += 61
    work(world, world.store, committed)
    record = world.run().record
    assert record.state == "done"
    assert record.phases["train"].step == LAST
    assert world.said == []
