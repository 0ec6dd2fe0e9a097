"""The supervisor under a real server: one continuation for each death, none for what is alive, and an end to trying."""

import json
import time
from collections.abc import Iterator
from uuid import UUID

import pytest
from conftest import Watcher  # type: ignore[attr-defined]

from flows import automations
from flows.automations import apply, heartbeat_lost, supervise_at_once
from flows.supervise import supervise

# isort: split
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.states import Failed, Running

from voiceflow_model.errors import ConfigError
from voiceflow_model.runs.continuation import Continuation, remember
from voiceflow_model.runs.run import Run
from voiceflow_model.runs.supervision import Patience
from voiceflow_model.store import Store, open_store

pytestmark = pytest.mark.xdist_group("prefect")
HASTY = Patience(grace_s=0, backoff_s=0, max_attempts=3)


@pytest.fixture
def client(server: Watcher) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def store(tmp_path) -> Store:  # type: ignore[no-untyped-def]
    return open_store(str(tmp_path))


@pytest.fixture
def deployment(client: SyncPrefectClient) -> UUID:
    """A deployment that no worker serves: what is started of it stays scheduled."""
    return client.create_deployment(client.create_flow_from_name("voiceflow-probe"), name="probe")


@pytest.fixture
def first(client: SyncPrefectClient, deployment: UUID, store: Store) -> FlowRun:
    """The flow run that began the run `r`, which it then gave back."""
    flow_run = client.create_flow_run_from_deployment(deployment)
    how = Continuation(
        deployment="voiceflow-probe/probe", parameters={}, until="export", flow_run=str(flow_run.id), at=time.time() - 9
    )
    remember(store, "r", how)
    with Run.open(store, "r", "hash", {}).lease("worker") as session:
        session.release("yielded", "the budget is spent")
    return flow_run


def continuations(client: SyncPrefectClient, store: Store) -> list[FlowRun]:
    tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=["voiceflow-continuation"]))
    found = client.read_flow_runs(flow_run_filter=tagged)
    return [each for each in found if (each.idempotency_key or "").startswith(store.url)]


def passed(store: Store) -> tuple[str, str]:
    (seen,) = supervise(store.url, HASTY)
    return seen.action, seen.why


def test_a_yielded_run_is_continued_once_and_that_is_shown(
    client: SyncPrefectClient, store: Store, first: FlowRun
) -> None:
    assert passed(store) == ("continue", "the budget is spent")
    (shown,) = [each for each in client.read_artifacts() if each.description == store.url]
    (row,) = json.loads(str(shown.data))
    (begun,) = continuations(client, store)
    assert (row["run"], row["action"], row["flow_run"]) == ("r", "continue", begun.name)
    action, why = passed(store)
    assert action == "nothing"
    assert f"{begun.name} is to continue it" in why
    assert len(continuations(client, store)) == 1


def test_continuations_that_fail_before_they_hold_the_run_are_counted_and_end(
    client: SyncPrefectClient, store: Store, first: FlowRun
) -> None:
    for number in (1, 2):
        assert passed(store)[0] == "continue"
        begun = continuations(client, store)
        assert len(begun) == number
        for each in begun:
            client.set_flow_run_state(each.id, Failed(message="no such module"), force=True)
    action, why = passed(store)
    assert action == "give up"
    assert why == "given up after 3 attempts without progress; the last one: Failed no such module"
    assert Run.load(store, "r").record.state == "failed"
    assert passed(store) == ("nothing", "it is failed")


def test_a_flow_run_whose_lease_ran_out_is_marked_dead_so_that_it_keeps_no_slot(
    client: SyncPrefectClient, store: Store, first: FlowRun
) -> None:
    client.set_flow_run_state(first.id, Running(), force=True)
    run = Run.load(store, "r")
    with run.lease("colab", ttl_s=60) as session:
        held = session.record
    assert held.lease is not None
    gone = held.lease.model_copy(update={"expires_at": time.time() - 1, "host": "elsewhere"})
    run.amend(lambda _: held.model_copy(update={"lease": gone}))
    assert passed(store) == ("continue", "colab fell silent")
    state = client.read_flow_run(first.id).state
    assert state is not None
    assert (state.name, state.message) == ("Crashed", "its lease on the run ran out")


def test_the_trouble_of_one_run_keeps_no_other_waiting(client: SyncPrefectClient, store: Store, first: FlowRun) -> None:
    store.write("runs/a/run.json", b"{")
    seen = supervise(store.url, HASTY)
    assert [(each.run, each.action) for each in seen] == [("a", "trouble"), ("r", "continue")]
    assert "not a readable run record" in seen[0].why


def test_automations_are_applied_once_however_often(client: SyncPrefectClient, server: Watcher) -> None:
    client.create_deployment(client.create_flow_from_name("voiceflow-supervise"), name="supervise")
    apply()
    apply()
    for wanted in (heartbeat_lost(), supervise_at_once(UUID(int=1))):
        (there,) = client.read_automations_by_name(wanted.name)
        assert there.trigger.model_dump(exclude={"id"}) == wanted.trigger.model_dump(exclude={"id"})
        assert [action.type for action in there.actions] == [action.type for action in wanted.actions]


def test_without_the_supervisor_there_is_nothing_to_automate(server: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automations, "SUPERVISOR", "voiceflow-supervise/nowhere")
    with pytest.raises(ConfigError, match="first `prefect deploy --all`"):
        apply()
