import contextlib
import threading

import pytest

from voiceflow_model.errors import ConfigError, LeaseLost, RunConflict, StoreUnavailable
from voiceflow_model.runs.checkpoints import newest
from voiceflow_model.store.faults import Fault, FaultyStore


def test_a_commit_is_in_the_record_with_metrics_and_a_point(world) -> None:
    with world.lease() as session:
        entry = session.commit("train", 100, 5000, b"weights", {"accuracy": 0.5}, {"loss": 2.0}, 0.5, b"w")
        session.commit("train", 200, 5000, b"weights2", {"der": 0.2}, {"loss": 1.0})
    phase = world.run().record.phases["train"]
    assert (phase.step, phase.total_steps) == (200, 5000)
    assert phase.metrics == {"accuracy": 0.5, "der": 0.2}
    assert phase.history == ({"loss": 2.0, "step": 100.0}, {"loss": 1.0, "step": 200.0})
    assert (entry.bytes, entry.metric) == (7, 0.5)
    assert (phase.best.step, phase.best.metric) == (100, 0.5)
    assert world.store.read(phase.best.path).data == b"w"
    assert world.run().record.sessions[-1].to_step == 200


def test_a_finished_stage_counts_only_under_its_key(world) -> None:
    with world.lease() as session:
        session.finish_stage("evaluate", "key-1", {"der": 0.12, "files": ["a", "b"]})
        assert session.stage_result("evaluate", "key-1") == {"der": 0.12, "files": ["a", "b"]}
    with world.lease() as session:
        assert session.stage_result("evaluate", "key-1") == {"der": 0.12, "files": ["a", "b"]}
        assert session.stage_result("evaluate", "key-2") is None
        assert session.stage_result("export", "key-1") is None


def test_of_a_finished_phase_the_next_one_keeps_only_the_best_weights(world) -> None:
    with world.lease() as session:
        session.commit("validate", 100, 100, b"state", {}, {}, 0.9, b"weights")
        session.finish_stage("validate", "key", {})
        assert len(world.store.list("runs/demo/validate/")) == 2
        session.commit("train", 1, 100, b"first", {}, {})
    assert [world.store.read(info.path).data for info in world.store.list("runs/demo/validate/")] == [b"weights"]


def test_a_phase_that_is_not_finished_keeps_its_checkpoints_beside_another(world) -> None:
    with world.lease() as session:
        session.commit("validate", 50, 100, b"state", {}, {}, 0.9, b"weights")
        session.commit("train", 1, 100, b"first", {}, {})
    assert newest(world.store, world.run().record, "validate")[1] == b"state"


def test_the_record_tells_where_a_session_began_and_how_far_it_is(world) -> None:
    with world.lease() as session:
        session.at("train", 10)
        session.at("train", 14, 2.5)
        session.renew()
        (seen,) = world.run().record.sessions
        assert (seen.phase, seen.from_step, seen.at_step, seen.to_step) == ("train", 10, 14, None)
        assert seen.steps_per_s == 2.5
        session.commit("train", 15, 100, b"w", {}, {})
    (seen,) = world.run().record.sessions
    assert (seen.from_step, seen.at_step, seen.to_step) == (10, 14, 15)


def test_a_record_that_was_deleted_stops_its_worker_and_is_not_begun_anew(world) -> None:
    session = world.take()
    session.commit("train", 1, 100, b"w", {}, {})
    world.store.delete("runs/demo/run.json")
    with pytest.raises(LeaseLost, match=r"run\.json was deleted.*restore the object"):
        session.commit("train", 2, 100, b"w", {}, {})
    with pytest.raises(RunConflict, match=r"run\.json is gone, and 2 checkpoints of that run are there"):
        world.run()


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
    for call in (paused.beat, lambda: paused.finish_stage("train", "key", {}), paused.renew):
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
            first.renew()

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
