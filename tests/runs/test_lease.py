import contextlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from voiceflow_model.errors import Diverged, LeaseLost, RunBusy, StoreUnavailable, Yielded
from voiceflow_model.runs.lease import this_host
from voiceflow_model.runs.run import Run
from voiceflow_model.store import open_store
from voiceflow_model.store.faults import Fault, FaultyStore


def held_by(world, **fields):
    """Write a lease as another process or machine would hold it."""
    lease = world.take().record.lease.model_copy(update=fields)
    world.run().amend(lambda record: record.model_copy(update={"lease": lease}))
    return lease


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_fences_grow_and_sessions_are_told(world) -> None:
    for fence in (1, 2, 3):
        with world.lease(owner=f"w{fence}") as session:
            assert session.fence == fence
            assert world.run().record.state == "running"
    record = world.run().record
    assert record.lease is None
    assert [(session.owner, session.fence) for session in record.sessions] == [("w1", 1), ("w2", 2), ("w3", 3)]


def test_a_live_holder_is_busy_and_named(world) -> None:
    world.take(owner="colab")
    with pytest.raises(RunBusy, match=r"held by colab \(pid \d+ on .*until 1970-01-12T13:47:40"), world.lease():
        pass


def test_waits_for_a_live_holder_and_says_so_once(world) -> None:
    lease = held_by(world, owner="colab", expires_at=world.clock.now + 100, ttl_s=1000.0)
    with world.lease(wait=True) as session:
        assert session.fence == lease.fence + 1
        assert world.clock.now >= lease.expires_at
    assert len(world.said) == 1
    assert "held by colab" in world.said[0]
    assert max(world.clock.sleeps) <= 6


def test_goes_on_as_soon_as_the_holder_releases(world) -> None:
    session = world.take(owner="first")
    polls = []

    def sleep(seconds: float) -> None:
        polls.append(seconds)
        world.clock.now += seconds
        session.beat()
        if len(polls) == 40:  # far longer than the time to live: the beats kept the lease
            session.release("yielded", "enough")

    with world.run().lease(owner="second", ttl_s=60, sleep=sleep, say=world.said.append) as second:
        assert second.fence == 2
    assert len(polls) == 40


def test_a_holder_whose_clock_runs_ahead_is_taken_over_when_silent(world) -> None:
    held_by(world, host="elsewhere", expires_at=world.clock.now + 10**9)
    begun = world.clock.now
    with world.lease(wait=True) as session:
        assert 60 <= world.clock.now - begun <= 70
        assert session.record.sessions[-2].why == "worker fell silent"


def test_an_expired_lease_is_taken_over(world) -> None:
    world.take(owner="first")
    world.clock.now += 59
    with pytest.raises(RunBusy), world.lease():
        pass
    world.clock.now += 1
    with world.lease(owner="second") as second:
        assert second.fence == 2
        assert second.record.sessions[-2].why == "lease of first expired"


def test_a_dead_process_of_this_host_is_taken_over_at_once(world) -> None:
    held_by(world, pid=dead_pid())
    with world.lease() as session:
        assert session.fence == 2


def test_a_dead_pid_of_another_host_means_nothing(world) -> None:
    held_by(world, pid=dead_pid(), host="elsewhere")
    with pytest.raises(RunBusy), world.lease():
        pass


def test_this_host_is_the_same_for_another_process_of_this_machine() -> None:
    code = "from voiceflow_model.runs.lease import this_host; print(this_host())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == this_host()


def test_a_killed_worker_process_is_taken_over_without_waiting(tmp_path: Path) -> None:
    code = """
import os, sys
from voiceflow_model.runs.run import Run
from voiceflow_model.store import open_store
with Run.open(open_store(sys.argv[1]), "demo", "hash", {}).lease(ttl_s=10_000) as session:
    session.commit("train", 10, 100, b"ten", {}, {})
    os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert killed.returncode == -signal.SIGKILL
    with Run.load(open_store(str(tmp_path)), "demo").lease(wait=False) as session:
        assert session.fence == 2
        assert session.record.phases["train"].step == 10
        assert session.record.attempts == 1


def test_of_eight_workers_one_gets_the_lease(world) -> None:
    runs = [world.run() for _ in range(8)]
    won, barrier = [], threading.Barrier(8)

    def work(run: Run) -> None:
        barrier.wait()
        lease = run.lease(owner="same", wait=False, say=world.said.append)
        with contextlib.suppress(RunBusy):
            lease.__enter__()
            won.append(lease)

    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert world.run().record.fence == 1


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Yielded("asked to stop"), "yielded"),
        (StoreUnavailable("away"), "yielded"),
        (KeyboardInterrupt(), "yielded"),
        (SystemExit(1), "yielded"),
        (Diverged("loss is nan"), "failed"),
        (ValueError("a bug"), "failed"),
    ],
)
def test_how_a_session_ends_decides_who_may_go_on(world, error: BaseException, state: str) -> None:
    with pytest.raises(type(error)), world.lease():
        raise error
    record = world.run().record
    assert (record.state, record.lease) == (state, None)
    assert type(error).__name__ in record.why
    assert record.sessions[-1].why == record.why


def test_an_explicit_release_is_the_last_word(world) -> None:
    with contextlib.suppress(ValueError), world.lease() as session:
        session.release("done", "all stages finished")
        raise ValueError("later")
    assert world.run().record.state == "done"


def test_a_released_session_writes_nothing_more(world) -> None:
    with world.lease() as session:
        session.release("done")
        with pytest.raises(LeaseLost):
            session.commit("train", 1, 1, b"x", {}, {})


def test_a_failing_release_does_not_hide_the_error(world) -> None:
    store = FaultyStore(world.store, [Fault(3, methods=("write",), lasting=True)])
    with pytest.raises(Diverged), world.lease(store):
        raise Diverged("loss is nan")
    assert world.run().record.state == "running"
    store = FaultyStore(world.store, [Fault(2, methods=("write",), lasting=True)])
    world.clock.now += 60
    with pytest.raises(Diverged), world.lease(store):
        raise Diverged("loss is nan")
    assert "expire by itself" in world.said[-1]


def test_a_beat_costs_nothing_until_a_third_of_the_time_has_passed(world) -> None:
    store = FaultyStore(world.store)
    with world.lease(store) as session:
        calls = len(store.calls)
        for _ in range(1000):
            world.clock.now += 0.019
            session.beat()
        assert len(store.calls) == calls
        world.clock.now += 2
        session.beat()
        session.beat()
        assert len(store.calls) == calls + 1
        assert world.run().record.lease.expires_at == world.clock.now + 60


def test_taking_a_lease_survives_a_lost_answer_and_an_amendment(world) -> None:
    """The swap landed, the supervisor wrote in between, and only then the worker looked: the lease is its own."""

    class Landed(FaultyStore):
        def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
            generation = super().write(path, data, if_generation=if_generation)
            if len(self.calls) > 3:
                return generation
            Run.load(world.store, "demo").amend(lambda record: record.model_copy(update={"why": "noted"}))
            return super().write(path, data, if_generation=if_generation)

    world.run()
    with world.lease(Landed(world.store)) as session:
        assert session.fence == 1


def test_owners_default_to_host_and_pid(world) -> None:
    with world.run().lease(say=world.said.append) as session:
        assert session.record.lease.owner.endswith(f":{os.getpid()}")
        assert uuid.UUID(hex=session.record.lease.token * 2)
