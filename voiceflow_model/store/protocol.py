"""Objects with preconditions: all that a run needs from a bucket, a folder or RAM.

A *generation* is an opaque number that changes whenever an object's content is replaced. Writing "only if the
generation is still g" is the compare-and-swap on which the run record rests (ADR 0002). Paths are strings with "/",
relative to the store's URL, never pathlib.
"""

from dataclasses import dataclass
from typing import Protocol

ABSENT = 0
"""The generation of an object that does not exist: `if_generation=ABSENT` means create-if-absent."""


@dataclass(frozen=True)
class Blob:
    """An object's bytes and the generation they were read at."""

    data: bytes
    generation: int


@dataclass(frozen=True)
class ObjectInfo:
    """What a listing tells: path relative to the store, size in bytes."""

    path: str
    size: int


class Store(Protocol):
    """Five methods. Every one raises StoreUnavailable when the store cannot be reached or refuses."""

    url: str

    def read(self, path: str) -> Blob:
        """The object's bytes and generation. Raises ObjectNotFound."""

    def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Replace the object in one step and return its new generation; readers see all of it or none.

        With `if_generation`, only when the object's generation is that (ABSENT: when there is none), else
        PreconditionFailed.
        """

    def list(self, prefix: str = "") -> list[ObjectInfo]:
        """Every object whose path starts with `prefix`, sorted by path."""

    def delete(self, path: str) -> None:
        """Remove the object; one that is already gone is no error."""

    def uri(self, path: str) -> str:
        """The full address of an object, for people to read."""
