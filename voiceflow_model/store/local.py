"""A store in a folder: one file per object, replaced in one step, conditional writes atomic between processes."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from voiceflow_model.errors import ObjectNotFound, PreconditionFailed, StoreUnavailable
from voiceflow_model.store.paths import checked, checked_prefix
from voiceflow_model.store.protocol import ABSENT, Blob, ObjectInfo

_LOCK, _TEMPORARY = ".lock", ".tmp"


class LocalStore:
    """`file:///folder`, or a plain path. The folder appears with the first write.

    A generation is derived from the content, so there is no second file to keep in step: compare-and-swap compares
    what the caller has read. Every folder has one lock file, which serialises its writers on this machine
    (network file systems may not honour it: use a bucket between machines), and one temporary file, which the next
    writer overwrites, so killed writers leave at most one behind.
    """

    def __init__(self, folder: str) -> None:
        self._root = os.path.abspath(os.path.expanduser(folder))
        self.url = f"file://{self._root}"

    def read(self, path: str) -> Blob:
        """See Store.read."""
        with self._refusals(path):
            try:
                with open(self._file(path), "rb") as file:
                    data = file.read()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
                raise ObjectNotFound(f"no object {self.uri(path)}") from error
        return Blob(data, _generation(data))

    def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
        """See Store.write."""
        target = self._file(path)
        folder = os.path.dirname(target)
        temporary = os.path.join(folder, _TEMPORARY)
        with self._refusals(path), _locked(folder):
            if if_generation is not None and (found := self._found(path)) != if_generation:
                raise PreconditionFailed(f"{self.uri(path)} is at generation {found}, not {if_generation}")
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        return _generation(data)

    def list(self, prefix: str = "") -> list[ObjectInfo]:
        """See Store.list."""
        top = os.path.join(self._root, os.path.dirname(checked_prefix(prefix)))
        found: list[ObjectInfo] = []
        with self._refusals(prefix):
            for folder, folders, names in os.walk(top):
                folders[:] = [name for name in folders if not name.startswith(".")]
                inside = os.path.relpath(folder, self._root)
                for name in names:
                    path = name if inside == "." else f"{inside}/{name}"
                    if not name.startswith(".") and path.startswith(prefix):
                        found.extend(self._info(path))
        return sorted(found, key=lambda info: info.path)

    def delete(self, path: str) -> None:
        """See Store.delete."""
        target = self._file(path)
        with self._refusals(path):
            if os.path.isfile(target):
                with _locked(os.path.dirname(target)):
                    try:
                        os.remove(target)
                    except FileNotFoundError:
                        return

    def uri(self, path: str) -> str:
        """See Store.uri."""
        return f"{self.url}/{path}"

    def _file(self, path: str) -> str:
        return os.path.join(self._root, checked(path))

    def _found(self, path: str) -> int:
        try:
            return self.read(path).generation
        except ObjectNotFound:
            return ABSENT

    def _info(self, path: str) -> tuple[ObjectInfo, ...]:
        try:
            return (ObjectInfo(path, os.path.getsize(self._file(path))),)
        except FileNotFoundError:  # deleted by another process since the folder was read
            return ()

    @contextmanager
    def _refusals(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(
                f"{self.uri(path)}: {error.strerror or error}; check the disk and the permissions, then run again"
            ) from error


def _generation(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") | 1  # never ABSENT


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    os.makedirs(folder, exist_ok=True)
    descriptor = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing would not do: a child forked meanwhile shares the descriptor and would keep the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
