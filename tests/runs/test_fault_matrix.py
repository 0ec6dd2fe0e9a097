"""Every fault at every store call of a save and of a takeover: the run goes on rightly, or ends in one clear error.

What happened is written as the tables of docs/reliability.md; `make reliability` writes them, this test compares.
"""

import hashlib
import json
import os
import pickle
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch
from conftest import Clock, World

from voiceflow_model.errors import LeaseLost, PreconditionFailed, RunBusy, StoreUnavailable, VoiceFlowError
from voiceflow_model.runs import saver as saver_module
from voiceflow_model.runs.checkpoints import newest
from voiceflow_model.runs.saver import Saver
from voiceflow_model.store import Store, open_store
from voiceflow_model.store.faults import Fault, FaultyStore
from voiceflow_model.training.state import SCHEMA_VERSION, read_checkpoint

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
LAST, SAVE_EVERY, WATCHED = 8, 2, 6  # the save of step 6 is the one that goes wrong


class Killed(BaseException):
    """The process is gone: nothing it does afterwards reaches the store."""


def after(step: int, chain: str) -> str:
    """Training, for this purpose: a state that tells whether every step was taken once and in order."""
    return hashlib.sha256(f"{chain}{step}".encode()).hexdigest()


def undisturbed() -> str:
    chain = ""
    for step in range(1, LAST + 1):
        chain = after(step, chain)
    return chain


def payload(step: int, chain: str) -> bytes:
    facts = {"schema_version": SCHEMA_VERSION, "step": step, "chain": chain}
    return safetensors.torch.save({"weights": torch.tensor([step])}, {"voiceflow": json.dumps(facts)})


@dataclass
class Worker:
    """Trains to LAST from wherever the run is; `began_at` is where that was."""

    world: World
    store: Store
    owner: str = "worker"
    began_at: int | None = None
    marks: dict[str, int] = field(default_factory=dict)  # how many store calls had been made before ...

    def mark(self, name: str) -> None:
        self.marks[name] = len(getattr(self.store, "calls", ()))

    def work(self) -> None:
        with self.world.lease(self.store, self.owner) as session:
            with Saver(600, self.world.said.append, self.world.clock) as saver:
                found = newest(self.store, session.record, "train", self.world.said.append)
                facts = read_checkpoint(found[1])[1] if found else {"step": 0, "chain": ""}
                step, chain = facts["step"], facts["chain"]
                self.began_at = step
                self.mark("taken over")
                while step < LAST:
                    step += 1
                    chain = after(step, chain)
                    self.world.clock.now += 5
                    if step % SAVE_EVERY == 0:
                        self.mark(f"before {step}")
                        data, best = payload(step, chain), payload(step, chain) if step == WATCHED else None
                        commit = partial(session.commit, "train", step, LAST, data, {}, {}, 1.0, best)
                        saver.save(lambda commit=commit: commit)
                        saver.settle()
                        self.mark(f"after {step}")
            session.finish_stage("train", "key", {"chain": chain})
            session.release("done")


def fresh() -> World:
    return World(open_store(f"memory://{uuid.uuid4().hex}"), Clock())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saver_module, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(saver_module, "_LONGEST_PAUSE_S", 0.0)


def outcome(world: World, worker: Worker) -> str:
    """Let `worker` run into its fault, let another go on after it with a sound store, and tell how it ended."""
    committed = WATCHED - SAVE_EVERY
    try:
        worker.work()
    except Killed:
        how = "killed"
    except StoreUnavailable:
        how = "gave up"
    else:
        assert_rightly_done(world)
        return "goes on itself"
    world.clock.now += 61
    successor = Worker(world, world.store, "successor")
    successor.work()
    assert_rightly_done(world)
    assert successor.began_at is not None
    assert successor.began_at >= committed, "a commit that had returned was lost"
    return f"{how}; the next one goes on from {successor.began_at}"


def assert_rightly_done(world: World) -> None:
    record = world.run().record
    assert (record.state, record.stages["train"].result) == ("done", {"chain": undisturbed()})
    entries = record.phases["train"].checkpoints
    assert [entry.step for entry in entries] == [LAST - SAVE_EVERY, LAST]
    for entry in entries:
        assert hashlib.sha256(world.store.read(entry.path).data).hexdigest() == entry.sha256


def calls(begin: str, end: str, store: FaultyStore, marks: dict[str, int]) -> Iterator[tuple[int, str, str]]:
    """(number, method, what it is called in the table) of the calls between two marks."""
    for number in range(marks[begin] + 1, marks[end] + 1):
        method, path = store.calls[number - 1]
        what = "record" if path.endswith("run.json") else "best weights" if "-weights" in path else "checkpoint"
        yield number, method, "list old checkpoints" if method == "list" else f"{method} {what}"


Plan = Callable[[int], list[Fault]]
FAULTS: dict[str, Plan] = {
    "killed before": lambda call: [Fault(call, "before", Killed(), lasting=True)],
    "killed after": lambda call: [Fault(call, "after", Killed(), lasting=True)],
    "fails": lambda call: [Fault(call, "before")],
    "done, answer lost": lambda call: [Fault(call, "after")],
    "412": lambda call: [Fault(call, "after", PreconditionFailed("injected"))],  # a repeat met our own first write
}


def rows(begin: str, end: str, store_of: Callable[[World], FaultyStore]) -> list[str]:
    """One row for each store call, one cell for each fault."""
    world = fresh()
    store = store_of(world)
    probe = Worker(world, store)
    probe.mark("start")
    probe.work()
    lines = []
    for number, method, name in calls(begin, end, store, probe.marks):
        cells = []
        for fault, plan in FAULTS.items():
            conditional = method == "write" and name.endswith("record")
            if fault == "412" and not conditional:
                cells.append("")
                continue
            world = fresh()
            faulty = store_of(world)
            faulty._plan = tuple(plan(number))
            cells.append(outcome(world, Worker(world, faulty)))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def untouched(world: World) -> FaultyStore:
    return FaultyStore(world.store)


def left_by_a_killed_worker(world: World) -> FaultyStore:
    """The run as a worker left it that was killed right after it had saved step 4."""
    killed = FaultyStore(world.store)
    probe = Worker(fresh(), FaultyStore(fresh().store))
    probe.work()
    killed._plan = (Fault(probe.marks[f"before {WATCHED}"] + 1, "before", Killed(), lasting=True),)
    with pytest.raises(Killed):
        Worker(world, killed, "first").work()
    world.clock.now += 61
    return FaultyStore(world.store)


def damaged(change: Callable[[World], object]) -> str:
    """What a worker meets that takes over a run of which something was damaged."""
    world = fresh()
    left_by_a_killed_worker(world)
    change(world)
    worker = Worker(world, world.store)
    try:
        worker.work()
    except VoiceFlowError as error:
        assert len(world.said) <= 3
        return f"refused, {type(error).__name__}: {shortened(str(error))}"
    assert_rightly_done(world)
    told = "; said: " + shortened(world.said[0]) if world.said else ""
    return f"goes on from {worker.began_at}{told}"


def shortened(message: str) -> str:
    without_names = re.sub(r"memory://[0-9a-f]{32}/", "", message)
    return re.sub(r" +", " ", without_names.split(". See")[0].replace("|", "/").replace("\n", " "))


def change_entry(index: int, damage: Callable[[bytes], bytes | None], rehash: bool = False) -> Callable[[World], None]:
    """Damage a checkpoint, counted from the newest; `rehash`: the record is made to vouch for it."""

    def change(world: World) -> None:
        entry = world.run().record.phases["train"].checkpoints[-1 - index]
        data = damage(world.store.read(entry.path).data)
        if data is None:
            world.store.delete(entry.path)
            return
        world.store.write(entry.path, data)
        if rehash:
            text = world.store.read("runs/demo/run.json").data.decode()
            text = text.replace(entry.sha256, hashlib.sha256(data).hexdigest())
            world.store.write("runs/demo/run.json", text.encode())

    return change


def both(*changes: Callable[[World], object]) -> Callable[[World], None]:
    def change(world: World) -> None:
        for each in changes:
            each(world)

    return change


def on_record(damage: Callable[[bytes], bytes]) -> Callable[[World], object]:
    return lambda world: world.store.write("runs/demo/run.json", damage(world.store.read("runs/demo/run.json").data))


class Evil:
    """Unpickling it would leave a trace in the environment."""

    def __reduce__(self) -> tuple[Callable[[str, str], None], tuple[str, str]]:
        return os.putenv, ("VOICEFLOW_UNPICKLED", "1")


EVIL = pickle.dumps(Evil())
DAMAGE: dict[str, Callable[[World], object]] = {
    "newest checkpoint torn": change_entry(0, lambda data: data[: len(data) // 2]),
    "one byte of the newest checkpoint flipped": change_entry(0, lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "newest checkpoint missing": change_entry(0, lambda _: None),
    "both checkpoints damaged": both(change_entry(0, lambda _: None), change_entry(1, lambda data: data[:9])),
    "a pickle in place of the newest checkpoint": change_entry(0, lambda _: EVIL),
    "a pickle that the record vouches for": change_entry(0, lambda _: EVIL, rehash=True),
    "record deleted": lambda world: world.store.delete("runs/demo/run.json"),
    "record torn": on_record(lambda data: data[:40]),
    "record of a newer schema": on_record(lambda data: data.replace(b'"schema_version": 2', b'"schema_version": 99')),
}


class Away(FaultyStore):
    """A store that cannot be reached for so long, by the clock of the tests; each vain try takes five seconds."""

    def __init__(self, world: World, seconds: float) -> None:
        super().__init__(world.store)
        self.clock, self.seconds, self.since = world.clock, seconds, None

    def begin(self) -> None:
        self.since = self.clock.now

    def _call(self, method, path, action):  # type: ignore[no-untyped-def]
        if self.since is not None and self.clock.now < self.since + self.seconds:
            self.clock.now += 5
            raise StoreUnavailable("injected outage")
        return super()._call(method, path, action)


def outage(seconds: float) -> str:
    """The store goes away as the save of step 6 begins."""
    world = fresh()
    store = Away(world, seconds)

    class Unlucky(Worker):
        def mark(self, name: str) -> None:
            super().mark(name)
            if name == f"before {WATCHED}":
                store.begin()

    return outcome(world, Unlucky(world, store))


class Contested(FaultyStore):
    """As the record of step 6 is about to be written, `meanwhile` happens to it."""

    def __init__(self, world: World, meanwhile: Callable[[], object]) -> None:
        super().__init__(world.store)
        self.meanwhile, self.done = meanwhile, False

    def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
        if path.endswith("run.json") and b"step-00000006-f1.safetensors" in data and not self.done:
            self.done = True
            self.meanwhile()
        return super().write(path, data, if_generation=if_generation)


def amended_meanwhile() -> str:
    world = fresh()
    other = world.run
    store = Contested(world, lambda: other().amend(lambda record: record.model_copy(update={"why": "a note"})))
    return outcome(world, Worker(world, store))


def taken_over_meanwhile() -> str:
    """The worker slept for longer than its lease, just between checkpoint and record."""
    world = fresh()
    successor = Worker(world, world.store, "successor")

    def sleep() -> None:
        world.clock.now += 61
        successor.work()

    with pytest.raises(LeaseLost) as lost:
        Worker(world, Contested(world, sleep)).work()
    assert_rightly_done(world)
    return f"stops, LeaseLost: {shortened(str(lost.value))}; the other went on from {successor.began_at}"


def raced_for() -> str:
    """Two workers find a free run at once: the slower one's swap meets the other's lease."""
    world = fresh()
    other = world.run()

    class Raced(FaultyStore):
        def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
            if not other.record.sessions:
                world.taken.append(lease := other.lease("faster", 60, False, say=world.said.append))
                lease.__enter__()
            return super().write(path, data, if_generation=if_generation)

    with pytest.raises(RunBusy) as busy:
        Worker(world, Raced(world.store)).work()
    assert "held by faster" in str(busy.value)
    return "waits for the other, or refuses at once: RunBusy, which names its holder"


def tables() -> str:
    """The three tables, as they stand in the document."""
    header = ["| store call | " + " | ".join(FAULTS) + " |", "| --- " * (1 + len(FAULTS)) + "|"]
    save = rows(f"before {WATCHED}", f"after {WATCHED}", untouched)
    takeover = rows("start", "taken over", left_by_a_killed_worker)
    harm = [f"| {name} | {damaged(change)} |" for name, change in DAMAGE.items()]
    harm += [
        f"| 412 while saving: somebody changed the record | {amended_meanwhile()} |",
        f"| 412 while saving: somebody took over | {taken_over_meanwhile()} |",
        f"| 412 while taking over: somebody was faster | {raced_for()} |",
    ]
    harm += [f"| the store away for {s:.0f} s while saving | {outage(s)} |" for s in (60, 3600)]
    return "\n".join(
        [
            f"### Saving step {WATCHED}, when step {WATCHED - SAVE_EVERY} is saved\n", *header, *save,
            "\n### Taking over a run of which step 4 is saved\n", *header, *takeover,
            "\n### What else a worker may meet\n", "| met | what it does |", "| --- | --- |", *harm,
        ]
    )  # fmt: skip


def test_every_fault_ends_in_the_right_step_or_in_one_clear_error_as_the_document_says() -> None:
    found = tables()
    assert "VOICEFLOW_UNPICKLED" not in os.popen("env").read(), "a pickle was executed"
    begin, end = "<!-- made by `make reliability` -->\n", "\n<!-- end -->"
    before, _, rest = DOCUMENT.read_text().partition(begin)
    written, _, behind = rest.partition(end)
    if os.environ.get("VOICEFLOW_WRITE_DOCS"):
        DOCUMENT.write_text(before + begin + found + end + behind)
    else:
        assert written == found, "docs/reliability.md says something else: run `make reliability` and read what changed"
