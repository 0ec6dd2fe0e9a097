import pytest

from voiceflow_model.errors import CheckpointCorrupt, StoreUnavailable
from voiceflow_model.runs.checkpoints import best, named, newest
from voiceflow_model.store.faults import Fault, FaultyStore


def commit(session, step: int, is_best: bool = False):
    payload = f"weights of step {step}".encode()
    best = payload if is_best else None
    return session.commit("train", step, 1000, payload, {"loss": 1 / step}, {"loss": 1 / step}, float(step), best)


@pytest.fixture
def trained(world):
    """Checkpoints 200 (best), 300 and 400 are kept."""
    with world.lease() as session:
        for step in (100, 200, 300, 400):
            commit(session, step, is_best=step == 200)
    return world


def damage(world, step: int, how: str) -> None:
    entry = next(entry for entry in named(world.run().record, "train") if entry.step == step)
    data = world.store.read(entry.path).data
    if how == "missing":
        world.store.delete(entry.path)
    else:
        world.store.write(entry.path, {"torn": data[:5], "flipped": data[:-1] + bytes([data[-1] ^ 1])}[how])


def found(world, choose=newest):
    entry, data = choose(world.store, world.run().record, "train", world.said.append)
    assert data == f"weights of step {entry.step}".encode()
    return entry.step


def test_newest_and_best(trained) -> None:
    assert (found(trained), found(trained, best)) == (400, 200)
    assert trained.said == []


def test_a_phase_without_checkpoints_has_none(world) -> None:
    assert newest(world.store, world.run().record, "train", world.said.append) is None
    assert best(world.store, world.run().record, "train", world.said.append) is None


@pytest.mark.parametrize("how", ["flipped", "torn", "missing"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_loudly(trained, how: str) -> None:
    damage(trained, 400, how)
    assert found(trained) == 300
    assert "WARNING" in trained.said[0]
    assert "step 400" in trained.said[0]


def test_a_damaged_best_falls_back_to_the_newest_loudly(trained) -> None:
    damage(trained, 200, "flipped")
    assert found(trained, best) == 400
    assert "step 200" in trained.said[0]


def test_nothing_good_left_names_the_objects_and_the_command(trained) -> None:
    for step, how in ((300, "torn"), (400, "missing")):
        damage(trained, step, how)
    with pytest.raises(CheckpointCorrupt, match=r"step-00000400-f1.*missing.*voiceflow status"):
        newest(trained.store, trained.run().record, "train", trained.said.append)


def test_an_unreachable_store_is_no_corrupt_checkpoint(trained) -> None:
    store = FaultyStore(trained.store, [Fault(1)])
    with pytest.raises(StoreUnavailable):
        newest(store, trained.run().record, "train", trained.said.append)


def test_after_a_fallback_the_damaged_time_line_is_left(trained) -> None:
    damage(trained, 400, "flipped")
    with trained.lease() as session:
        commit(session, 350)
        assert found(trained) == 350
    assert [entry.step for entry in trained.run().record.phases["train"].checkpoints] == [300, 350]


def test_the_store_holds_what_the_record_names_and_nothing_else(trained) -> None:
    there = {info.path for info in trained.store.list("runs/demo/train/")}
    assert there == {entry.path for entry in named(trained.run().record, "train")}
    assert there == {
        f"runs/demo/train/step-{name}.safetensors" for name in ("00000200-f1-weights", "00000300-f1", "00000400-f1")
    }


def test_payloads_that_a_killed_worker_never_recorded_are_swept(trained) -> None:
    trained.store.write("runs/demo/train/step-00000500-f1.safetensors", b"orphan")
    trained.store.write("runs/demo/train/notes.txt", b"not ours")
    with trained.lease() as session:
        commit(session, 450)
    names = [info.path.rsplit("/")[-1] for info in trained.store.list("runs/demo/train/")]
    assert names == [
        "notes.txt",
        "step-00000200-f1-weights.safetensors",
        "step-00000400-f1.safetensors",
        "step-00000450-f2.safetensors",
    ]


def test_a_payload_on_its_way_is_not_swept(trained) -> None:
    with trained.lease() as session:
        trained.store.write("runs/demo/train/step-00000500-f2.safetensors", b"being committed next")
        trained.store.write("runs/demo/train/step-00000410-f3.safetensors", b"of a worker that took over")
        commit(session, 450)
    names = {info.path.rsplit("/")[-1] for info in trained.store.list("runs/demo/train/")}
    assert {"step-00000500-f2.safetensors", "step-00000410-f3.safetensors"} <= names


def test_a_deletion_that_fails_is_said_and_done_by_the_next_commit(world) -> None:
    store = FaultyStore(world.store, [Fault(1, methods=("delete",))])
    with world.lease(store) as session:
        for step in (1, 2, 3):
            commit(session, step)
        assert "the next commit tries again" in world.said[0]
        assert len(world.store.list("runs/demo/train/")) == 3
        commit(session, 4)
    assert len(world.store.list("runs/demo/train/")) == 2


def test_committing_a_step_again_never_overwrites_the_payload_that_the_record_names(world) -> None:
    with world.lease() as session:
        first = session.commit("train", 10, 100, b"one", {}, {})
        assert session.commit("train", 10, 100, b"one", {}, {}) == first
        second = session.commit("train", 10, 100, b"two", {}, {})
    assert second.path != first.path
    (entry,) = world.run().record.phases["train"].checkpoints
    assert newest(world.store, world.run().record, "train")[1] == b"two"
    assert [info.path for info in world.store.list("runs/demo/train/")] == [entry.path]
