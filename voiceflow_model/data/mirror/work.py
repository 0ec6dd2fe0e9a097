"""The copying itself: threads that move files piece by piece, each tried again until patience ends."""

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue

from voiceflow_model.data.mirror.manifest import Manifest
from voiceflow_model.data.mirror.target import PIECE_BYTES, Altered, Target
from voiceflow_model.data.sources import Entry, Source
from voiceflow_model.data.sources.range_file import Patience, read_range
from voiceflow_model.errors import ConfigError, CorpusError, StoreUnavailable, VoiceFlowError

_TICK_S = 0.2
_STOP_S = 5.0


class _Stopped(VoiceFlowError):  # noqa: N818
    """Somebody else failed, or the user wants to go."""

    @classmethod
    def after(cls, stop: threading.Event, seconds: float) -> None:
        """Wait; raises at once when told to stop."""
        if stop.wait(seconds):
            raise cls


class _File:
    """One file on its way. To `read_range` it is a Source that counts and can be stopped, to the target a Content."""

    def __init__(self, source: Source, path: str, entry: Entry, stop: threading.Event, patience: Patience) -> None:
        self.url, self.path, self.entry, self.size = source.url, path, entry, entry.size
        self.moved = self._furthest = 0  # bytes
        self._source, self._stop = source, stop
        self._patience = replace(patience, sleep=lambda seconds: _Stopped.after(stop, seconds))

    def copy(self, target: Target) -> None:
        """Into the target, whatever passing failures there are; what arrives altered is tried once more."""
        for again in (True, False):
            try:
                return self._patience.call(lambda: target.put(self.path, self), lambda: self._furthest)
            except Altered:
                if not again:
                    raise

    def __iter__(self) -> Iterator[bytearray]:
        """See Content."""
        self.moved, self.sha256, self.md5 = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for start in range(0, self.size or 1, PIECE_BYTES):
            try:
                end = min(start + PIECE_BYTES, self.size)
                piece = read_range(self, self.path, self.entry, start, end, self._patience)
            except StoreUnavailable as error:
                error.passing = False  # patience was had
                raise
            self.sha256.update(piece)
            self.md5.update(piece)
            if end == self.size:
                self._check()
            yield piece

    def fetch(self, path: str, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        """See Source.fetch."""
        for piece in self._source.fetch(path, entry, start, end):
            _Stopped.after(self._stop, 0)
            self.moved += len(piece)
            self._furthest = max(self._furthest, self.moved)
            yield piece

    def files(self, under: str = "") -> dict[str, Entry]:
        """See Source.files."""
        return self._source.files(under)

    def _check(self) -> None:
        listed = self.entry.digest
        found = self.sha256.hexdigest() if len(listed) == 64 else base64.b64encode(self.md5.digest()).decode()
        if listed and found != listed:
            raise Altered(
                f"{self.url}: {self.path} has the checksum {found} and was listed with {listed}, twice: it is damaged "
                "there; nothing was written. Name another revision or source in corpus.url"
            )


class Work:
    """Files copied by several threads, while the thread that calls `run` keeps the books."""

    def __init__(self, source: Source, target: Target, files: Mapping[str, Entry], patience: Patience) -> None:
        self.done = self._done_bytes = 0
        self._target, self._stop, self._left = target, threading.Event(), len(files)
        self._waiting: SimpleQueue[_File] = SimpleQueue()
        self._ended: SimpleQueue[tuple[_File, BaseException | None]] = SimpleQueue()
        self._active: set[_File] = set()
        for path, entry in files.items():
            self._waiting.put(_File(source, path, entry, self._stop, patience))

    @property
    def bytes(self) -> int:
        """Copied until now, of unfinished files too."""
        return self._done_bytes + sum(file.moved for file in tuple(self._active))

    def run(self, at_once: int, manifest: Manifest, tell: Callable[[], None]) -> None:
        """Until all are copied, or one failed: then the others stop, and what they finished is still noted."""
        # Daemons: a process that leaves does not wait for a read of a dead network.
        names = [f"mirror-{number}" for number in range(min(max(1, at_once), self._left))]
        threads = [threading.Thread(target=self._copy_waiting, name=name, daemon=True) for name in names]
        try:
            for thread in threads:
                thread.start()
            told = time.monotonic()
            while self._left:
                self._note_next(manifest, _TICK_S)
                if time.monotonic() - told > _TICK_S:
                    told = time.monotonic()
                    tell()
                with suppress(StoreUnavailable):  # written by a later turn
                    manifest.save(only_if_due=True)
            manifest.save()
        except BaseException:
            self._stop.set()
            until = time.monotonic() + _STOP_S
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            while not self._ended.empty():
                with suppress(Exception):  # the first error is the one to tell
                    self._note_next(manifest, 0)
            with suppress(VoiceFlowError):
                manifest.save()
            raise

    def _copy_waiting(self) -> None:
        with suppress(Empty):
            while not self._stop.is_set():
                file = self._waiting.get_nowait()
                self._active.add(file)
                try:
                    file.copy(self._target)
                except BaseException as error:
                    self._ended.put((file, error))
                else:
                    self._ended.put((file, None))

    def _note_next(self, manifest: Manifest, wait_s: float) -> None:
        """Write down how the next file ended, if one does so soon. Raises what it failed of, with its name."""
        try:
            file, error = self._ended.get(timeout=wait_s)
        except Empty:
            return
        self._active.discard(file)
        self._left -= 1
        if error is not None:
            raise _with_name(error, file.path)
        self.done += 1
        self._done_bytes += file.size
        manifest.add(file.url, file.path, file.entry, file.sha256.hexdigest())


def _with_name(error: BaseException, path: str) -> BaseException:
    if path in str(error):
        return error
    if not isinstance(error, CorpusError | ConfigError | StoreUnavailable):
        error.add_note(f"while copying {path}")
        return error
    named = type(error)(f"{path}: {error}")
    named.__cause__ = error
    return named
