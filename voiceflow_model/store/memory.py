"""A store in RAM, shared by everything in this process that opens the same name."""

import threading
from dataclasses import dataclass, field

from voiceflow_model.errors import ObjectNotFound, PreconditionFailed
from voiceflow_model.store.paths import checked, checked_prefix
from voiceflow_model.store.protocol import ABSENT, Blob, ObjectInfo


@dataclass
class _Shelf:
    objects: dict[str, Blob] = field(default_factory=dict)
    last_generation: int = ABSENT
    lock: threading.Lock = field(default_factory=threading.Lock)


_SHELVES: dict[str, _Shelf] = {}


class MemoryStore:
    """`memory://name`: for tests and dry runs; gone when the process ends. Thread-safe; generations count writes."""

    def __init__(self, name: str) -> None:
        self.url = f"memory://{name}"
        self._shelf = _SHELVES.setdefault(name, _Shelf())

    def read(self, path: str) -> Blob:
        """See Store.read."""
        blob = self._shelf.objects.get(checked(path))
        if blob is None:
            raise ObjectNotFound(f"no object {self.uri(path)}")
        return blob

    def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
        """See Store.write."""
        checked(path)
        shelf = self._shelf
        with shelf.lock:
            found = shelf.objects[path].generation if path in shelf.objects else ABSENT
            if if_generation not in (None, found):
                raise PreconditionFailed(f"{self.uri(path)} is at generation {found}, not {if_generation}")
            shelf.last_generation += 1
            shelf.objects[path] = Blob(bytes(data), shelf.last_generation)
            return shelf.last_generation

    def list(self, prefix: str = "") -> list[ObjectInfo]:
        """See Store.list."""
        checked_prefix(prefix)
        with self._shelf.lock:
            found = [(path, blob) for path, blob in self._shelf.objects.items() if path.startswith(prefix)]
        return [ObjectInfo(path, len(blob.data)) for path, blob in sorted(found, key=lambda pair: pair[0])]

    def delete(self, path: str) -> None:
        """See Store.delete."""
        checked(path)
        with self._shelf.lock:
            self._shelf.objects.pop(path, None)

    def uri(self, path: str) -> str:
        """See Store.uri."""
        return f"{self.url}/{path}"
