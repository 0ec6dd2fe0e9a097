import contextlib
import threading

import pytest

from voiceflow_model.errors import ConfigError, LeaseLost, StoreUnavailable
from voiceflow_model.runs.checkpoints import newest
from voiceflow_model.store.faults import Fault, FaultyStore


def test_a_commit_is_in_the_record_with_metrics_and_a_point(world) -> None:
    with world.lease() as session:
        entry = session.commit("train", 100, 5000, b"weights", {"accuracy": 0.5}, {"loss": 2.0}, metric=0.5, best=True)
        session.commit("train", 200, 5000, b"weights2", {"der": 0.2}, {"loss": 1.0})
    phase = world.run().record.phases["train"]
    assert (phase.status, phase.step, phase.total_steps) == ("running", 200, 5000)
    assert phase.metrics == {"accuracy": 0.5, "der": 0.2}
    assert phase.history == ({"loss": 2.0, "step": 100.0}, {"loss": 1.0, "step": 200.0})
    assert (entry.bytes, entry.metric, entry.best) == (7, 0.5, True)
    assert world.run().record.sessions[-1].to_step == 200


def test_a_finished_stage_counts_only_under_its_key(world) -> None:
    with world.lease() as session:
        session.finish_stage("evaluate", "key-1", {"der": 0.12, "files": ["a", "b"]})
        assert session.stage_result("evaluate", "key-1") == {"der": 0.12, "files": ["a", "b"]}
    with world.lease() as session:
        assert session.stage_result("evaluate", "key-1") == {"der": 0.12, "files": ["a", "b"]}
        assert session.stage_result("evaluate", "key-2") is None
        assert session.stage_result("export", "key-1") is None


def test_a_finished_phase_keeps_its_checkpoints(world) -> None:
    with world.lease() as session:
        session.commit("train", 100, 100, b"weights", {"loss": 1.0}, {})
        session.finish_phase("train", {"accuracy": 0.9})
        session.finish_phase("validate", status="failed")
    phases = world.run().record.phases
    assert phases["train"].status == "done"
    assert phases["train"].metrics == {"loss": 1.0, "accuracy": 0.9}
    assert len(phases["train"].checkpoints) == 1
    assert phases["validate"].status == "failed"


def test_an_impossible_phase_name_is_refused(world) -> None:
    with world.lease() as session, pytest.raises(ConfigError, match=r"phase '\.\./x' is refused"):
        session.commit("../x", 1, 1, b"x", {}, {})


def test_a_worker_paused_beyond_its_lease_writes_nothing_after_a_takeover(world) -> None:
    watched = FaultyStore(world.store)
    paused = world.take(watched, owner="first")
    paused.commit("train", 100, 1000, b"first", {}, {})
    world.clock.now += 61
    second = world.take(owner="second")
    second.commit("train", 200, 1000, b"second", {}, {})
    before = [(info, world.store.read(info.path)) for info in world.store.list()]
    with pytest.raises(LeaseLost, match="second"):
        paused.commit("train", 300, 1000, b"late", {}, {})
    for call in (paused.beat, lambda: paused.finish_stage("train", "key", {}), lambda: paused.finish_phase("train")):
        with pytest.raises(LeaseLost):
            call()
    paused.release("failed", "late")
    paused.leave(ValueError("late"))
    assert [(info, world.store.read(info.path)) for info in world.store.list()] == before
    assert not any(path.endswith("step-00000300-f1.safetensors") for _, path in watched.calls)


def test_leaving_after_an_unnoticed_takeover_says_so(world) -> None:
    first = world.lease(owner="first")
    first.__enter__()
    world.clock.now += 61
    world.take(owner="second")
    with pytest.raises(LeaseLost, match="second"):
        first.__exit__(None, None, None)
    assert world.run().record.lease.owner == "second"


def test_a_takeover_between_payload_and_record_stops_the_commit(world) -> None:
    """The clock check cannot see this one; only the swap can."""

    class TakenOver(FaultyStore):
        def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
            generation = super().write(path, data, if_generation=if_generation)
            if path.endswith("step-00000200-f1.safetensors"):
                world.clock.now += 61
                world.take(owner="second").commit("train", 150, 1000, b"second", {}, {})
            return generation

    first = world.take(TakenOver(world.store), owner="first")
    first.commit("train", 100, 1000, b"first", {}, {})
    with pytest.raises(LeaseLost):
        first.commit("train", 200, 1000, b"late", {}, {})
    record = world.run().record
    assert (record.fence, record.lease.owner, record.state) == (2, "second", "running")
    assert newest(world.store, record, "train")[1] == b"second"


def test_a_loss_met_by_the_uploading_thread_reaches_the_next_beat(world) -> None:
    first = world.take(owner="first")
    world.run().amend(lambda record: record.model_copy(update={"lease": None}))
    first.beat()  # not due, and nobody has looked at the store yet

    def upload() -> None:
        with contextlib.suppress(LeaseLost):
            first.finish_phase("train")

    uploader = threading.Thread(target=upload)
    uploader.start()
    uploader.join()
    with pytest.raises(LeaseLost):
        first.beat()


def test_a_worker_paused_but_not_replaced_goes_on(world) -> None:
    with world.lease() as session:
        world.clock.now += 10_000
        session.commit("train", 100, 1000, b"late but alone", {}, {})
    assert world.run().record.phases["train"].step == 100


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_repeated_after_a_failure_is_one_commit(world, when: str) -> None:
    for call in (1, 2):  # the payload, the record
        store = FaultyStore(world.store)
        with world.lease(store) as session:
            session.commit("train", 90 + call, 1000, b"before", {}, {"loss": 2.0})
            made = sum(name == "write" for name, _ in store.calls)
            store._plan = (Fault(made + call, when, methods=("write",)),)
            with pytest.raises(StoreUnavailable):
                session.commit("train", 100, 1000, b"weights", {}, {"loss": 1.0})
            world.clock.now += 5
            session.commit("train", 100, 1000, b"weights", {}, {"loss": 1.0})
        phase = world.run().record.phases["train"]
        assert [entry.step for entry in phase.checkpoints] == [90 + call, 100]
        assert newest(world.store, world.run().record, "train")[1] == b"weights"
        assert len(world.store.list("runs/demo/train/")) == 2


def test_beats_and_commits_of_two_threads_do_not_lose_each_other(world) -> None:
    with world.lease() as session:

        def upload() -> None:
            for step in range(1, 40):
                session.commit("train", step, 40, b"%d" % step, {}, {})

        uploader = threading.Thread(target=upload)
        uploader.start()
        while uploader.is_alive():
            world.clock.now += 21
            session.beat()
        uploader.join()
    assert world.run().record.phases["train"].step == 39


def test_a_run_that_is_swapped_all_the_time_gives_up_with_a_reason(world) -> None:
    other = world.run()

    class Contended(FaultyStore):
        def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
            other.amend(lambda record: record.model_copy(update={"why": f"{record.why}."}))
            return super().write(path, data, if_generation=if_generation)

    with pytest.raises(StoreUnavailable, match="overtaken"), world.lease(Contended(world.store)):
        pass
