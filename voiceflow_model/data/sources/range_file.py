"""A remote file that reads like a local one and outlives a bad network: what was cut off goes on at the byte."""

import io
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from voiceflow_model.data.sources import Entry, Source
from voiceflow_model.errors import StoreUnavailable

_LEAST_BYTES = 64 << 10
_MOST_BYTES = 2 << 20
_SILENT_S = 3.0
_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_thread = threading.local()


def call_off_by(event: threading.Event) -> None:
    """Let `event` end this thread's waiting for a bad network: whoever stops training must not wait for it too."""
    _thread.called_off = event


def _sleep(seconds: float) -> None:
    called_off: threading.Event | None = getattr(_thread, "called_off", None)
    if called_off is None:
        time.sleep(seconds)
    elif called_off.wait(seconds):
        raise StoreUnavailable("reading was called off", passing=False)


@dataclass(frozen=True)
class Patience:
    """How to go on with a source that fails: waits double up to a limit, and a server's own Retry-After is kept.

    Given up when nothing at all has come for `give_up_after_s`.
    """

    give_up_after_s: float = 600.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 10.0
    sleep: Callable[[float], None] = field(default_factory=lambda: _sleep)
    clock: Callable[[], float] = time.monotonic

    def call(self, request: Callable[[], _Result], progress: Callable[[], int] = lambda: 0) -> _Result:
        """Repeat a request until it succeeds; whenever `progress` has grown meanwhile, patience starts afresh."""
        reached, wait_s, since, told = progress(), self.first_wait_s, self.clock(), False
        while True:
            try:
                return request()
            except StoreUnavailable as error:
                if not error.passing:
                    raise
                if progress() > reached:
                    reached, wait_s, since, told = progress(), self.first_wait_s, self.clock(), False
                pause_s = max(wait_s, error.retry_after_s)
                if self.clock() + pause_s - since > self.give_up_after_s:
                    raise
                if not told and self.clock() + pause_s - since > _SILENT_S:
                    told = True
                    _log.warning("%s; trying again for %.0f s", error, self.give_up_after_s)
                self.sleep(pause_s)
                wait_s = min(2 * wait_s, self.longest_wait_s)


def read_range(
    source: Source,
    path: str,
    entry: Entry,
    start: int,
    end: int,
    patience: Patience | None = None,
    before: bytes | memoryview = b"",
) -> bytearray:
    """`before` and bytes [start, end) after it, all of them, whatever fails on the way, in one piece of memory.

    Raises StoreUnavailable when patience ends.
    """
    got, filled = bytearray(len(before) + end - start), len(before)
    got[:filled] = before
    origin = start - filled

    def go_on() -> None:
        nonlocal filled
        for piece in source.fetch(path, entry, origin + filled, end):
            if filled + len(piece) > len(got):
                raise StoreUnavailable(f"{source.url}: {path} answered with more bytes than asked for", passing=False)
            got[filled : filled + len(piece)] = piece
            filled += len(piece)
        if filled < len(got):
            raise StoreUnavailable(f"{source.url}: {path} ended after {origin + filled} of {end} bytes")

    if end > start:
        (patience or Patience()).call(go_on, lambda: filled)
    return got


class RangeFile(io.RawIOBase):
    """A read-only, seekable view of one file of a source. For one thread.

    Reads ahead twice as far each time they go on where the last one ended, up to 2 MiB, so a footer costs one small
    request and a shard few large ones. It keeps one such window; what a single `read` asks for beyond that is not kept.
    """

    def __init__(self, source: Source, path: str, entry: Entry, patience: Patience | None = None) -> None:
        super().__init__()
        self.source, self.path, self.entry, self.patience = source, path, entry, patience
        self._position, self._ahead = 0, _LEAST_BYTES
        self._window, self._window_start = memoryview(b""), 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.entry.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, fewer only at the end of the file."""
        return bytes(self.read_buffer(size))

    def read_buffer(self, size: int | None = -1) -> memoryview:
        """`read` without a copy; pyarrow looks for it."""
        wanted = self.entry.size if size is None or size < 0 else self._position + size
        taken = self._take(self._position, min(wanted, self.entry.size))
        self._position += len(taken)
        return taken

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase."""
        target = memoryview(buffer).cast("B")
        taken = self._take(self._position, min(self._position + len(target), self.entry.size))
        target[: len(taken)] = taken
        self._position += len(taken)
        return len(taken)

    def _take(self, start: int, end: int) -> memoryview:
        if end <= start:
            return memoryview(b"")
        held_until = self._window_start + len(self._window)
        if not self._window_start <= start <= end <= held_until:
            goes_on = len(self._window) > 0 and self._window_start <= start <= held_until
            self._ahead = min(2 * self._ahead, _MOST_BYTES) if goes_on else _LEAST_BYTES
            kept = self._window[start - self._window_start :] if goes_on else memoryview(b"")
            first = start + len(kept)
            until = min(max(end, first + self._ahead), self.entry.size)
            taken = memoryview(read_range(self.source, self.path, self.entry, first, until, self.patience, kept))
            self._window = taken if len(taken) <= 2 * _MOST_BYTES else memoryview(bytes(taken[-_MOST_BYTES:]))
            self._window_start = until - len(self._window)
            return taken[: end - start]
        return self._window[start - self._window_start : end - self._window_start]
