"""The one map from a speaker's name to the class the network learns."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator


def _as_recorded_too(speeds: tuple[float, ...]) -> tuple[float, ...]:
    if 1.0 not in speeds:
        raise ValueError("speeds must contain 1.0, the voice as recorded")
    return speeds


Speeds = Annotated[tuple[float, ...], AfterValidator(_as_recorded_too)]


@dataclass(frozen=True)
class SpeakerClasses:
    """Class = index in the sorted names x number of speeds + index of the speed.

    A voice played at another speed is another speaker (Yamamoto et al. 2019), hence the speeds. The map depends on
    nothing but names and speeds, so it is the same in every session, rank and split; it is stored with the run.
    """

    names: tuple[str, ...]
    speeds: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if list(self.names) != sorted(set(self.names)):
            raise ValueError("speaker names must be sorted and unique")
        _as_recorded_too(self.speeds)

    def __len__(self) -> int:
        return len(self.names) * len(self.speeds)

    def of(self, name: str, speed: float = 1.0) -> int:
        """The class of a name at a speed; KeyError for a stranger."""
        index = bisect_left(self.names, name)
        if self.names[index : index + 1] != (name,):
            raise KeyError(name)
        return index * len(self.speeds) + self.speeds.index(speed)

    def speaker(self, class_number: int) -> str:
        """The name behind a class, whatever its speed."""
        return self.names[class_number // len(self.speeds)]
