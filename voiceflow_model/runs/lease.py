"""Who may advance a run: a lease taken by compare-and-swap, given up, or lost by silence."""

import os
import secrets
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from voiceflow_model.errors import RunBusy
from voiceflow_model.runs.record import Lease, RunRecord
from voiceflow_model.runs.record_file import RecordFile
from voiceflow_model.runs.transitions import taken

_LONGEST_POLL_S = 5.0


def this_host() -> str:
    """Name of this machine since its boot, as seen from this container: where a pid means the same process."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = f"{file.read().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux: the network address tells machines apart, though not boots
        boot = f"{uuid.getnode():x}"
    return f"{socket.gethostname()}/{boot}"


def why_free(lease: Lease | None, now: float) -> str | None:
    """Why anyone may take the lease at `now` (unix s), or None while its holder may be alive."""
    if lease is None:
        return "released"
    if now >= lease.expires_at:
        return f"lease of {lease.owner} expired"
    if lease.host == this_host() and not _is_alive(lease.pid):
        return f"process {lease.pid} of {lease.owner} died"
    return None


def acquire(
    file: RecordFile,
    owner: str,
    ttl_s: float,
    wait: bool,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], object],
) -> Lease:
    """Take the run's lease, fence + 1, waiting for a live holder unless `wait` is False (then RunBusy).

    A holder whose clock runs ahead cannot keep the run for ever: its lease is also free when the record has not
    changed for the holder's own time to live, by our clock.
    """
    token = secrets.token_hex(8)
    seen, seen_at, told = file.read(), clock(), 0

    def take(record: RunRecord) -> RunRecord:
        nonlocal seen, seen_at
        now = clock()
        if record != seen:
            seen, seen_at = record, now
        held = record.lease
        if held and held.token == token:  # our swap succeeded, its answer was lost, and someone amended the record
            return record
        reason = why_free(held, now)
        if reason is None and held and now - seen_at >= held.ttl_s:
            reason = f"{held.owner} fell silent"
        if reason is None:
            raise RunBusy(_busy(record))
        return taken(record, _granted(record, owner, token, now, ttl_s), now, reason)

    while True:
        try:
            lease = file.change(take).lease
            assert lease is not None
            return lease
        except RunBusy as busy:
            if not wait:
                raise
            if told != seen.fence:
                say(f"waiting: {busy}")
                told = seen.fence
        sleep(min(ttl_s / 10, _LONGEST_POLL_S))
        file.read()


def _granted(record: RunRecord, owner: str, token: str, now: float, ttl_s: float) -> Lease:
    return Lease(
        owner=owner,
        host=this_host(),
        pid=os.getpid(),
        fence=record.fence + 1,
        token=token,
        ttl_s=ttl_s,
        expires_at=now + ttl_s,
    )


def _busy(record: RunRecord) -> str:
    held = record.lease
    assert held is not None
    until = datetime.fromtimestamp(held.expires_at, UTC).isoformat(timespec="seconds")
    return (
        f"run {record.run_id} is held by {held.owner} (pid {held.pid} on {held.host}) until {until}, renewed while it "
        "lives; wait for it, stop that worker, or choose another --run-id"
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
