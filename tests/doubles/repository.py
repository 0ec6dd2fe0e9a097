"""What the Hub's double serves: commits of files whose content is bytes, a local file, or made when asked for."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

_CHUNK = 1 << 20
_LFS = re.compile(r"\.(parquet|tar|flac|wav|mp3|m4a|ogg|bin|gz|zip)$")
_EXPANDED = {"lastCommit": {"id": "0" * 40, "title": "double", "date": "2026-01-01T00:00:00.000Z"}}


class Virtual(Protocol):
    """A file that is larger than RAM, or made up."""

    def __len__(self) -> int:
        """Its size in bytes."""

    def slice(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`."""


Content = bytes | Path | Virtual


@dataclass(frozen=True)
class Blob:
    """Content and the name it is known by."""

    size: int
    sha: str
    content: Content = field(repr=False)

    @classmethod
    def of(cls, content: Content, place: str) -> "Blob":
        """Known by its SHA-256; virtual content, which is not read through, by that of its place, size and ends."""
        if isinstance(content, bytes):
            return cls(len(content), hashlib.sha256(content).hexdigest(), content)
        if isinstance(content, Path):
            with content.open("rb") as file:
                return cls(content.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest(), content)
        size = len(content)
        ends = content.slice(0, min(size, 4096)) + content.slice(max(0, size - 4096), size)
        return cls(size, hashlib.sha256(f"{place} {size} ".encode() + ends).hexdigest(), content)

    def chunks(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        """The bytes from `start` up to `end`, at most 1 MiB at a time, without copies where there are bytes."""
        spans = ((at, min(at + _CHUNK, end)) for at in range(start, end, _CHUNK))
        if isinstance(self.content, bytes):
            view = memoryview(self.content)
            yield from (view[a:b] for a, b in spans)
        elif isinstance(self.content, Path):
            with self.content.open("rb") as file:
                file.seek(start)
                yield from (file.read(b - a) for a, b in spans)
        else:
            yield from (self.content.slice(a, b) for a, b in spans)


class Commit:
    """Path -> blob; its sha is a function of the content and of the commit before."""

    def __init__(self, files: dict[str, Blob], parent: str) -> None:
        self.files = dict(sorted(files.items()))
        names = repr((parent, [(path, blob.sha) for path, blob in self.files.items()]))
        self.sha = hashlib.sha1(names.encode()).hexdigest()
        self.folders = {folder for path in files for folder in _parents(path)}
        self.listing = cache(self._listing)

    def entry(self, path: str, expand: bool = False) -> dict[str, Any] | None:
        """A file or folder as the Hub's tree lists it; None when there is none."""
        entry: dict[str, Any]
        if path in self.files:
            blob = self.files[path]
            entry = {"type": "file", "path": path, "size": blob.size, "oid": blob.sha[:40]}
            if in_lfs(path):
                entry["lfs"] = {"oid": blob.sha, "size": blob.size, "pointerSize": 134}
        elif path in self.folders:
            entry = {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}
        else:
            return None
        return entry | _EXPANDED if expand else entry

    def _listing(self, folder: str, recursive: bool, expand: bool) -> list[dict[str, Any] | None]:
        """Files and folders below a folder ("" is the root), sorted by path."""
        start = f"{folder}/" if folder else ""
        below = (path for path in (*self.files, *self.folders) if path.startswith(start))
        return [self.entry(path, expand) for path in sorted(below) if recursive or "/" not in path[len(start) :]]


def in_lfs(path: str) -> bool:
    """Whether the Hub would keep such a file in LFS."""
    return bool(_LFS.search(path))


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
