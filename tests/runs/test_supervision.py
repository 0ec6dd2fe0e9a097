"""When a run is continued, when it is left alone, and when it is given up."""

from hypothesis import given
from hypothesis import strategies as st

from voiceflow_model.runs.continuation import Continuation
from voiceflow_model.runs.record import Lease, RunRecord, SessionRecord, StageRecord, StopNote
from voiceflow_model.runs.supervision import Patience, Tried, decide

NOW = 1_000_000.0
PATIENCE = Patience()
PIPELINE = Continuation(deployment="f/d", parameters={}, until="export", flow_run="id", at=NOW - 5000)


def record(**fields: object) -> RunRecord:
    session = SessionRecord(owner="w", fence=1, started_at=NOW - 4000, ended_at=NOW - 1000, why="budget spent")
    known = {"state": "yielded", "why": "budget spent", "fence": 1, "attempts": 1, "sessions": (session,)}
    return RunRecord.model_validate({"run_id": "r", "config_hash": "h", "identity": {}, **known, **fields})


def lease(expires_at: float) -> Lease:
    return Lease(owner="w", host="h", pid=1, fence=1, token="t", ttl_s=60, expires_at=expires_at)


def running(expires_at: float) -> RunRecord:
    open_ended = SessionRecord(owner="w", fence=1, started_at=NOW - 4000)
    return record(state="running", why="", lease=lease(expires_at), sessions=(open_ended,))


def test_a_yielded_run_is_continued_with_the_reason() -> None:
    assert decide(record(), PIPELINE, NOW, PATIENCE) == ("continue", "budget spent")


def test_a_run_whose_lease_ran_out_is_continued() -> None:
    assert decide(running(NOW - 31), PIPELINE, NOW, PATIENCE) == ("continue", "w fell silent")


def test_between_two_stages_nothing_is_done() -> None:
    just = SessionRecord(owner="w", fence=1, started_at=NOW - 50, ended_at=NOW - 3)
    assert decide(record(state="idle", sessions=(just,)), PIPELINE, NOW, PATIENCE).kind == "nothing"
    assert decide(record(state="yielded", sessions=(just,)), PIPELINE, NOW, PATIENCE).kind == "continue"


@given(st.floats(NOW - 29, NOW + 1e6))
def test_a_lease_that_is_live_or_just_ran_out_is_left_alone(expires_at: float) -> None:
    assert decide(running(expires_at), PIPELINE, NOW, PATIENCE).kind == "nothing"


def test_what_a_person_decided_or_what_is_over_is_left_alone() -> None:
    cancelled = Tried("cat", "cancelled", NOW - 100, "")
    done = StageRecord(key="k", result={}, finished_at=NOW - 2000)
    for left, how, tried, why in (
        (record(stop=StopNote(by="ann", at=NOW)), PIPELINE, [], "ann asked it to stop"),
        (record(state="done"), PIPELINE, [], "it is done"),
        (record(state="failed"), PIPELINE, [], "it is failed"),
        (record(), None, [], "started by hand"),
        (record(stages={"export": done}), PIPELINE, [], "export is done"),
        (record(), PIPELINE, [cancelled], "cat was cancelled"),
    ):
        action = decide(left, how, NOW, PATIENCE, tried)
        assert action.kind == "nothing"
        assert why in action.why


def test_a_continuation_that_is_on_its_way_is_the_only_one() -> None:
    waiting = Tried("cat", "waiting", NOW - 10_000, "Scheduled")
    starting = Tried("cat", "working", NOW - 100, "Running")
    stuck = Tried("cat", "working", NOW - 400, "Running")
    assert decide(record(), PIPELINE, NOW, PATIENCE, [waiting]).kind == "nothing"
    assert decide(record(), PIPELINE, NOW, PATIENCE, [starting]).kind == "nothing"
    assert decide(record(), PIPELINE, NOW, PATIENCE, [stuck]).kind == "continue"


def test_each_vain_attempt_waits_twice_as_long_as_the_one_before_and_the_last_is_the_end() -> None:
    waits = [PATIENCE.backoff(n) for n in range(1, 7)]
    assert waits == [0, 30, 60, 120, 240, 480]
    for attempts in range(1, 5):
        vain = [Tried("cat", "ended", NOW - 50, "Crashed")] * (attempts - 1)
        expected = "continue" if waits[attempts - 1] <= 50 else "nothing"
        assert decide(record(), PIPELINE, NOW, PATIENCE, vain).kind == expected
    action = decide(record(), PIPELINE, NOW, PATIENCE, [Tried("cat", "ended", NOW - 50, "Crashed")] * 4)
    assert action == ("give up", "given up after 5 attempts without progress; the last one: Crashed")
    assert decide(record(attempts=5), PIPELINE, NOW, PATIENCE).kind == "give up"


def test_a_continuation_that_was_refused_waits_and_is_no_vain_attempt() -> None:
    refused = [Tried("cat", "refused", NOW - 2000, "limit")] * 20
    assert decide(record(), PIPELINE, NOW, PATIENCE, refused).kind == "nothing"
    assert decide(record(), PIPELINE, NOW + 3000, PATIENCE, refused).kind == "continue"


@given(st.integers(0, 8), st.lists(st.sampled_from(["ended", "refused"]), max_size=8))
def test_a_run_that_may_be_continued_is_continued_or_given_up_in_the_end(attempts: int, standings: list[str]) -> None:
    tried = [Tried("cat", standing, NOW, "") for standing in standings]  # type: ignore[arg-type]
    action = decide(record(attempts=attempts), PIPELINE, NOW + 2 * PATIENCE.longest_backoff_s, PATIENCE, tried)
    vain = attempts + standings.count("ended")
    assert action.kind == ("give up" if vain >= PATIENCE.max_attempts else "continue")
