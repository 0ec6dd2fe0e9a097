"""What can go wrong between a client and the Hub's double, and plans of when it does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from voiceflow_model.data.keyed import keyed

Route = Literal["info", "tree", "paths", "resolve", "read", "unknown"]
"""resolve: HEAD, or the answer that redirects to the CDN. read: a GET that is answered with the file's bytes."""


@dataclass(frozen=True)
class Fault:
    """One answer gone wrong; made by the names below."""

    kind: Literal["reset", "hang", "status", "cut", "short", "slow"]
    seconds: float = 0.0
    code: int = 0
    retry_after_s: int | None = None
    bytes_per_s: int = 0


RESET = Fault("reset")  # the connection is reset before any answer
CUT = Fault("cut")  # the whole body is promised, the connection closed half-way
SHORT = Fault("short")  # a complete answer with half of the bytes that were asked for


def hang(seconds: float) -> Fault:
    """No answer for so long (or until the Hub is closed), then the connection is closed."""
    return Fault("hang", seconds=seconds)


def status(code: int, retry_after_s: int | None = None) -> Fault:
    """An error status, such as 429 or 503, with Retry-After when given."""
    return Fault("status", code=code, retry_after_s=retry_after_s)


def slow(bytes_per_s: int) -> Fault:
    """The body trickles."""
    return Fault("slow", bytes_per_s=bytes_per_s)


Plan = Callable[[int, str, str, Route], Fault | None]
"""(number, method, path, route) -> what goes wrong; number counts the requests of this route from 0."""

_BRIEF = (RESET, CUT, SHORT, status(429, 0), status(500), status(502), status(503))


@dataclass(frozen=True)
class Random:
    """A share of the requests goes wrong; which, and how, is a function of (seed, route, number)."""

    share: float
    kinds: Sequence[Fault] = _BRIEF
    seed: int = 0
    routes: Sequence[Route] = ("info", "tree", "paths", "resolve", "read")

    def __call__(self, number: int, method: str, path: str, route: Route) -> Fault | None:
        rng = keyed(self.seed, "fault", route, number)
        if route not in self.routes or rng.random() >= self.share:
            return None
        return self.kinds[rng.integers(len(self.kinds))]


@dataclass(frozen=True)
class OneIn:
    """Every n-th request of a route goes wrong; as it stands, one read in n is cut half-way."""

    n: int
    fault: Fault = CUT
    route: Route = "read"

    def __call__(self, number: int, method: str, path: str, route: Route) -> Fault | None:
        return self.fault if route == self.route and number % self.n == self.n - 1 else None


@dataclass
class Next:
    """The next requests of the routes meet these in turn (None: all goes well); after them nothing goes wrong."""

    faults: Iterable[Fault | None]
    routes: Sequence[Route] = ("info", "tree", "paths", "resolve", "read")
    _left: list[Fault | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._left = list(self.faults)[::-1]

    def __call__(self, number: int, method: str, path: str, route: Route) -> Fault | None:
        return self._left.pop() if route in self.routes and self._left else None
