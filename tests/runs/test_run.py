import pytest

from voiceflow_model.errors import ConfigError, PreconditionFailed, RunConflict
from voiceflow_model.runs.record import record_path
from voiceflow_model.runs.run import Run, list_runs
from voiceflow_model.store.faults import Fault, FaultyStore


def test_open_creates_once_and_then_loads(world) -> None:
    first, second = world.run(), world.run()
    assert first.record == second.record
    assert first.record.state == "new"
    assert list_runs(world.store) == ["demo"]


def test_a_conflict_shows_the_differing_settings_and_both_ways_out(world) -> None:
    old = {"training": {"lr": 0.001, "steps": (1, 2)}, "seed": 1, "gone": True}
    new = {"training": {"lr": 0.002, "steps": (1, 2)}, "seed": 1, "fresh": "x"}
    Run.open(world.store, "demo", "one", old)
    with pytest.raises(RunConflict) as caught:
        Run.open(world.store, "demo", "two", new)
    message = str(caught.value)
    assert "training.lr: 0.001 -> 0.002" in message
    assert "gone: True -> (not set)" in message
    assert "fresh: (not set) -> x" in message
    assert "seed" not in message
    assert "steps" not in message
    assert "another --run-id, or restore the setting" in message


def test_load_reads_any_configuration_and_writes_nothing(world) -> None:
    world.run()
    store = FaultyStore(world.store, [Fault(1, methods=("write", "delete"))])
    assert Run.load(store, "demo").record.config_hash == "hash"


def test_load_of_an_unknown_run_lists_the_known(world) -> None:
    world.run()
    with pytest.raises(ConfigError, match=r"no run 'other'.*demo"):
        Run.load(world.store, "other")


def test_an_impossible_run_id_is_refused(world) -> None:
    with pytest.raises(ConfigError, match="refused"):
        Run.open(world.store, "../x", "hash", {})
    assert world.store.list() == []


def test_list_runs_sees_records_only(world) -> None:
    for path in (record_path("b"), record_path("a"), "runs/a/train/run.json", "runs/c/train/x", "models/d/run.json"):
        world.store.write(path, b"{}")
    assert list_runs(world.store) == ["a", "b"]


def test_creating_survives_a_lost_answer(world) -> None:
    store = FaultyStore(world.store, [Fault(1, "after", methods=("write",))])
    with pytest.raises(type(Fault(1).error)):
        world.run(store)
    assert world.run(store).record.state == "new"


def test_an_amendment_whose_answer_was_lost_is_not_applied_twice(world) -> None:
    world.run()
    lost = Fault(1, "after", PreconditionFailed("the library tried again and met its own write"), methods=("write",))
    run = world.run(FaultyStore(world.store, [lost]))
    run.amend(lambda record: record.model_copy(update={"attempts": record.attempts + 1}))
    assert world.run().record.attempts == run.record.attempts == 1


def test_amendments_of_a_supervisor_and_a_session_both_hold(world) -> None:
    supervisor = world.run()
    with world.lease() as session:
        supervisor.amend(lambda record: record.model_copy(update={"why": "noted"}))
        session.commit("train", 10, 100, b"payload", {}, {})
        assert world.run().record.why == "noted"
        assert world.run().record.phases["train"].step == 10
        supervisor.amend(lambda record: record.model_copy(update={"attempts": record.attempts + 3}))
    assert world.run().record.attempts == 3
