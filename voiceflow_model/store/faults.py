"""A store that fails on schedule, to prove what survives a failure at any moment."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from voiceflow_model.errors import StoreUnavailable
from voiceflow_model.store.protocol import Blob, ObjectInfo, Store

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Fault:
    """Raise `error` before or after the `call`-th call (from 1) of the named methods.

    "after" is the ambiguous failure: the object was written and the caller does not know. `lasting`: every later
    call fails too, as for a killed process (whose clean-up code never reaches the store) or an outage.
    """

    call: int
    when: Literal["before", "after"] = "before"
    error: BaseException = field(default_factory=lambda: StoreUnavailable("injected fault"))
    methods: tuple[str, ...] = ("read", "write", "list", "delete")
    lasting: bool = False


class FaultyStore:
    """A store in front of `inner` that carries out `plan`; `calls` logs (method, path) of every call made."""

    def __init__(self, inner: Store, plan: Sequence[Fault] = ()) -> None:
        self.url = inner.url
        self.calls: list[tuple[str, str]] = []
        self._inner, self._plan, self._lock = inner, tuple(plan), threading.Lock()

    def read(self, path: str) -> Blob:
        """See Store.read."""
        return self._call("read", path, lambda: self._inner.read(path))

    def write(self, path: str, data: bytes, *, if_generation: int | None = None) -> int:
        """See Store.write."""
        return self._call("write", path, lambda: self._inner.write(path, data, if_generation=if_generation))

    def list(self, prefix: str = "") -> list[ObjectInfo]:
        """See Store.list."""
        return self._call("list", prefix, lambda: self._inner.list(prefix))

    def delete(self, path: str) -> None:
        """See Store.delete."""
        return self._call("delete", path, lambda: self._inner.delete(path))

    def uri(self, path: str) -> str:
        """See Store.uri."""
        return self._inner.uri(path)

    def _call(self, method: str, path: str, action: Callable[[], _Result]) -> _Result:
        with self._lock:
            self.calls.append((method, path))
            numbers = [(fault, sum(name in fault.methods for name, _ in self.calls)) for fault in self._plan]
        due = [(fault, number) for fault, number in numbers if method in fault.methods]
        for fault, number in due:
            if (number == fault.call and fault.when == "before") or (fault.lasting and number > fault.call):
                raise fault.error
        result = action()
        for fault, number in due:
            if number == fault.call:
                raise fault.error
        return result
