"""Where a mirror writes: a bucket or a folder in which a file appears whole and checked, or not at all."""

import base64
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from typing import Any, Protocol

from voiceflow_model.errors import ConfigError, CorpusError, StoreUnavailable, VoiceFlowError

PIECE_BYTES = 4 << 20
"""What is in RAM of a file: this, a few times over. A multiple of 256 KiB, as Google's resumable uploads want it."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
_THEIRS = (OSError, ValueError, AssertionError)  # gcsfs asserts what a server answers
_BACKENDS = {"aiohttp", "gcsfs", "google", "requests"}


class Altered(CorpusError):  # noqa: N818
    """Bytes that came from the source, or back from the target, are not those that they should be."""


class Content(Protocol):
    """A file on its way through RAM: iterating starts it from its first byte, in pieces of PIECE_BYTES.

    Raises before the last piece when the whole is not what the source listed; after it the sums are those of all bytes.
    """

    size: int
    sha256: Any
    md5: Any

    def __iter__(self) -> Iterator[bytes | bytearray]: ...


class Target(Protocol):
    """A place for files."""

    def put(self, path: str, content: Content) -> None:
        """Write, or replace, one file in one step, and check what is stored; whatever is raised, no part is visible.

        Raises Altered, StoreUnavailable, ConfigError, and what the content raises. Safe to call from many threads.
        """


def open_target(url: str) -> Target:
    """The target at gs://bucket/prefix, or in a folder (file:///... too). Raises ConfigError for any other."""
    if url.startswith("gs://"):
        return Bucket(url)
    if "://" in url and not url.startswith("file://"):
        raise ConfigError(f"{url} cannot be mirrored to: write gs://bucket/prefix, or a folder")
    return LocalFolder(url)


class LocalFolder:
    """A file is written beside its place under a name of its own, read back, and renamed.

    That name is always the same, so whatever a killed mirror left is written over by the next; a lock keeps a second
    mirror, at work at the same time, off it.
    """

    def __init__(self, url: str) -> None:
        self._root = os.path.abspath(os.path.expanduser(url.removeprefix("file://")))

    def put(self, path: str, content: Content) -> None:
        """See Target.put."""
        final = os.path.join(self._root, path)
        folder, name = os.path.split(final)
        temporary = os.path.join(folder, f".{name}.part")
        with _explained(final):
            os.makedirs(folder, exist_ok=True)
            with _alone(temporary) as file:
                try:
                    for piece in content:
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                    file.seek(0)
                    if hashlib.file_digest(file, "sha256").digest() != content.sha256.digest():
                        raise Altered(f"{final} reads back with other bytes than were written: check the disk")
                    os.replace(temporary, final)
                except BaseException:
                    with suppress(FileNotFoundError):
                        os.unlink(temporary)
                    raise


class Bucket:
    """Google Cloud Storage: an object appears when its upload is finished, and GCS tells the md5 of what it has."""

    def __init__(self, url: str) -> None:
        # Read by gcsfs once, at import; see data/sources/folder.py.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        import fsspec

        with _explained(url):
            self._filesystem, root = fsspec.core.url_to_fs(url)
        self._root = str(root).rstrip("/")

    def put(self, path: str, content: Content) -> None:
        """See Target.put. What GCS stored otherwise than it was sent is removed again."""
        place = f"{self._root}/{path}"
        with _explained(f"gs://{place}"):
            if content.size <= PIECE_BYTES:
                self._filesystem.pipe_file(place, b"".join(content))
            else:
                self._upload(place, content)
            self._filesystem.invalidate_cache(place)
            stored = self._filesystem.info(place)
            md5 = base64.b64encode(content.md5.digest()).decode()
            if int(stored["size"]) != content.size or stored.get("md5Hash", md5) != md5:
                self._filesystem.rm_file(place)
                raise Altered(f"gs://{place} was stored with other bytes than were sent, and is removed again")

    def _upload(self, place: str, content: Content) -> None:
        file = self._filesystem.open(place, "wb", block_size=PIECE_BYTES)
        try:
            for piece in content:
                file.write(piece)
            file.close()
        except BaseException:
            # Leaving a `with`, closing, even being collected: each finishes the upload, and a truncated object appears.
            with suppress(Exception):
                file.discard()
            file.closed = True
            raise


@contextmanager
def _alone(path: str) -> Iterator[BufferedRandom]:
    """The file, empty, for this one writer. Its lock ends with the process, however that ends."""
    with open(path, "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.path.samestat(os.fstat(file.fileno()), os.stat(path))
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise StoreUnavailable(f"{path} is being written by another mirror: run again when it is done")
        file.truncate(0)
        yield file


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """What the libraries raise while they write to `url`, as ours; a TypeError stays one."""
    try:
        yield
    except VoiceFlowError:
        raise
    except Exception as error:
        if not isinstance(error, _THEIRS) and type(error).__module__.split(".")[0] not in _BACKENDS:
            raise
        what = f"{url} cannot be written ({type(error).__name__}: {error})"
        number, code = getattr(error, "errno", None), str(getattr(error, "code", ""))
        if number in _NO_SPACE:
            raise StoreUnavailable(f"{what}: make space, and run the same command again", passing=False) from error
        if "anonymous caller" in what.lower() or type(error).__name__ == "DefaultCredentialsError":
            raise ConfigError(f"{what}: run `gcloud auth application-default login`") from error
        if number in _NO_PERMISSION or code in ("401", "403") or str(error).startswith("Forbidden"):
            raise ConfigError(
                f"{what}: grant write access (on a bucket: roles/storage.objectUser), or choose another --to"
            ) from error
        if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            raise ConfigError(f"{what}: something else has that name; choose another --to") from error
        raise StoreUnavailable(f"{what}: the same command goes on from here") from error
