"""The list of what a mirror holds, at its root: path -> [size, sha256], and where it came from.

Its invariant: what it lists is stored, whole and checked. So an entry goes before its file is replaced, and comes back
after. Mirrors of several corpora may share one place, even at the same time: writes are compare-and-swap.
"""

import json
import re
import time
from collections.abc import Iterable
from typing import Any

from voiceflow_model.data.sources import Entry
from voiceflow_model.data.sources.folder import MANIFEST
from voiceflow_model.errors import ConfigError, ObjectNotFound, PreconditionFailed
from voiceflow_model.store import ABSENT, Store

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LEAST_PAUSE_S = 1.0  # GCS takes one write a second of one object
_PAUSE_SHARE = 10  # of the time that a write took: it grows with the number of files

_Table = dict[str, Any]


class Manifest:
    """`voiceflow-mirror.json` in a store. For one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: list[tuple[str, str, Any]] = []  # table, key, value or None
        self._due_at = 0.0
        self._tables: dict[str, _Table] = {}
        self._generation = ABSENT
        self._load()

    def holds(self, url: str, path: str, entry: Entry, stored_bytes: int | None) -> bool:
        """Whether the file as listed at the source `url` is mirrored, and its object still has that size."""
        size, sha256 = self._tables["files"].get(path, (-1, ""))
        if not size == stored_bytes == entry.size:
            return False
        if _SHA256.fullmatch(entry.digest):
            return bool(sha256 == entry.digest)
        return bool(self._tables["versions"].get(path) == [url, entry.version])

    def prepare(self, url: str, revision: str, missing: Iterable[str]) -> None:
        """Take the files out that are about to be written. This first write also shows whether writing is allowed."""
        doomed, about = list(missing), {"revision": revision} if revision else {}
        if not doomed and self._tables["sources"].get(url) == about:
            return
        self._changes += [(table, path, None) for path in doomed for table in ("files", "versions")]
        self._changes.append(("sources", url, about))
        self.save()

    def add(self, url: str, path: str, entry: Entry, sha256: str) -> None:
        """Note a file that is stored and checked; `save` writes it."""
        version = None if _SHA256.fullmatch(entry.digest) else [url, entry.version]
        self._changes += [("files", path, [entry.size, sha256]), ("versions", path, version)]

    def save(self, only_if_due: bool = False) -> None:
        """Write what was noted since the last time. Raises StoreUnavailable or ConfigError; nothing is forgotten."""
        began = time.monotonic()
        if not self._changes or (only_if_due and began < self._due_at):
            return
        while True:
            self._apply()
            document = {"about": "written by `voiceflow mirror`; size and sha256 of each file", **self._tables}
            try:
                self._generation = self._store.write(
                    MANIFEST, json.dumps(document).encode(), if_generation=self._generation
                )
                break
            except PreconditionFailed:  # another mirror wrote: its entries are kept
                self._load()
        self._changes.clear()
        now = time.monotonic()
        self._due_at = now + max(_LEAST_PAUSE_S, _PAUSE_SHARE * (now - began))

    def _apply(self) -> None:
        for table, key, value in self._changes:
            if value is None:
                self._tables[table].pop(key, None)
            else:
                self._tables[table][key] = value

    def _load(self) -> None:
        try:
            blob = self._store.read(MANIFEST)
            data, self._generation = blob.data, blob.generation
        except ObjectNotFound:
            data, self._generation = b"{}", ABSENT
        try:
            document = json.loads(data)
            self._tables = {name: dict(document.get(name, {})) for name in ("sources", "versions", "files")}
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{self._store.uri(MANIFEST)} cannot be read ({error}): remove it, and everything is copied again"
            ) from error
