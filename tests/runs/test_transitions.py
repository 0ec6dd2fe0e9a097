"""Laws of the record's changes, over any order of commits."""

from hypothesis import given
from hypothesis import strategies as st

from voiceflow_model.runs.record import CheckpointEntry, Lease, RunRecord
from voiceflow_model.runs.transitions import KEPT_POINTS, KEPT_SESSIONS, committed, released, taken

COMMITS = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=25)


def held(fence: int = 1) -> Lease:
    return Lease(owner="w", host="h", pid=1, fence=fence, token=f"t{fence}", ttl_s=60, expires_at=60)


def started() -> RunRecord:
    return taken(RunRecord(run_id="r", config_hash="h", identity={}), held(), 0.0, "released")


def with_commit(record: RunRecord, step: int, best: bool = False) -> RunRecord:
    entry = CheckpointEntry(step=step, path=f"{step}", bytes=1, sha256="", metric=float(step))
    return committed(record, "train", entry, 100, {"loss": 1.0}, {"loss": 1.0}, entry if best else None)


@given(COMMITS)
def test_what_is_kept_is_ordered_few_and_ends_with_the_last_commit(commits: list[tuple[int, bool]]) -> None:
    record = started()
    for step, best in commits:
        record = with_commit(record, step, best)
        phase = record.phases["train"]
        steps = [entry.step for entry in phase.checkpoints]
        assert steps == sorted(set(steps))
        assert steps[-1] == phase.step == step == record.sessions[-1].to_step
        assert len(steps) <= 2
        assert [point["step"] for point in phase.history] == sorted({point["step"] for point in phase.history})


@given(COMMITS)
def test_a_repeated_commit_changes_nothing(commits: list[tuple[int, bool]]) -> None:
    record = started()
    for step, best in commits:
        record = with_commit(record, step, best)
        assert with_commit(record, step, best) == record


def test_keeps_the_last_two_and_the_best() -> None:
    record = started()
    for step in range(1, 8):
        record = with_commit(record, step, best=step in (1, 3))
    phase = record.phases["train"]
    assert [entry.step for entry in phase.checkpoints] == [6, 7]
    assert phase.best is not None
    assert phase.best.step == 3


def test_the_best_stays_best_when_its_step_is_committed_again() -> None:
    best = with_commit(with_commit(started(), 5, best=True), 5).phases["train"].best
    assert best is not None
    assert best.step == 5


def test_going_back_leaves_the_later_time_line() -> None:
    record = started()
    for step in (10, 20, 30, 15):
        record = with_commit(record, step)
    assert [entry.step for entry in record.phases["train"].checkpoints] == [15]
    assert [point["step"] for point in record.phases["train"].history] == [10, 15]


def test_a_long_history_is_thinned_and_still_spans_the_run() -> None:
    record = started()
    for step in range(3000):
        record = with_commit(record, step)
    steps = [point["step"] for point in record.phases["train"].history]
    assert len(steps) <= KEPT_POINTS
    assert steps[0] < 30
    assert steps[-1] == 2999
    assert steps == sorted(steps)


def test_sessions_are_bounded_and_tell_who_ended_whom() -> None:
    record = started()
    for fence in range(2, 300):
        record = taken(record, held(fence), float(fence), "lease of w expired")
    record = released(record, "done", "finished", 400.0)
    assert len(record.sessions) == KEPT_SESSIONS
    assert {(session.why, session.ended_at) for session in record.sessions[-2:]} == {
        ("lease of w expired", 299.0),
        ("finished", 400.0),
    }


def test_attempts_count_sessions_since_the_last_progress() -> None:
    record = taken(taken(started(), held(2), 1.0, ""), held(3), 2.0, "")
    assert record.attempts == 3
    assert with_commit(record, 1).attempts == 0


def test_a_session_remembers_where_it_began() -> None:
    record = with_commit(with_commit(started(), 10), 20)
    record = with_commit(with_commit(taken(record, held(2), 1.0, ""), 30), 40)
    assert [(session.from_step, session.to_step) for session in record.sessions] == [(0, 20), (20, 40)]
