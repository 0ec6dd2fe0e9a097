"""A team of lanes in a process of its own: mixing is many short numpy calls, and threads of one process share a GIL.

The process gets its orders and gives its news through a pair of sockets, and puts examples into memory that it shares
with whoever ordered them. It holds nothing that would be lost with it, and ends when the other end of the pair is gone,
however that came about. It never imports torch where nothing is resampled.
"""

import mmap
import os
import signal
import subprocess
import sys
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle

import numpy as np

from voiceflow_model.data.batch import Batch, Layout, Slot
from voiceflow_model.data.team import LaneNews, Team, Work
from voiceflow_model.errors import VoiceFlowError, WorkerDied


class Worker:
    """The near end: starts the process, and has batches filled by it."""

    def __init__(self, work: Work, layout: Layout, rows: tuple[int, int]) -> None:
        self._near, far = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(far.fileno())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=(far.fileno(),),
            start_new_session=True,  # Ctrl-C is for the one who trains, and saves
        )
        far.close()
        self._known: set[int] = set()  # slots whose memory it has
        self._asking = ThreadPoolExecutor(1, "ask")
        self._started = self._asking.submit(self._near.send, (work, layout, rows))

    def fill(self, slot: Slot) -> Future[dict[int, LaneNews]]:
        """Have the team's rows of a batch filled; one order at a time is carried out."""
        return self._asking.submit(self._fill, slot)

    def close(self) -> None:
        """End the process, at once."""
        self._process.kill()
        self._process.wait()
        self._asking.shutdown(cancel_futures=True)
        self._near.close()

    def _fill(self, slot: Slot) -> dict[int, LaneNews]:
        try:
            self._started.result()
            fresh = slot.number not in self._known
            self._near.send((slot.number, fresh))
            if fresh:
                send_handle(self._near, slot.descriptor, self._process.pid)
                self._known.add(slot.number)
            news: dict[int, LaneNews] | Exception = self._near.recv()
        except (OSError, EOFError) as error:
            raise WorkerDied(
                f"a process that makes conversations ended unexpectedly ({self._process.wait()}): out of memory? The "
                "same command continues; a smaller stream.worker_processes takes less"
            ) from error
        if isinstance(news, Exception):
            raise news
        return news


def main(descriptor: int) -> None:
    """The far end. Its main thread only listens, so that it notices at once when nobody is there any more."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ctrl-C: whoever trains decides
    near = Connection(descriptor)
    carry_out = ThreadPoolExecutor(1, "fill")
    with suppress(EOFError, OSError):
        work, layout, (first, last) = near.recv()
        team = Team(work)
        slots: dict[int, Batch] = {}
        while True:
            number, fresh = near.recv()
            if fresh:
                memory = mmap.mmap(recv_handle(near), layout.bytes)
                slots[number] = layout.within(np.frombuffer(memory, np.uint8)).rows(first, last)
            carry_out.submit(_answer, near, team, slots[number])
    os._exit(0)  # whatever its threads are waiting for


def _answer(near: Connection, team: Team, batch: Batch) -> None:
    answer: dict[int, LaneNews] | Exception
    try:
        answer = team.fill(batch)
    except VoiceFlowError as error:
        answer = error
    except Exception:
        answer = RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
    near.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
