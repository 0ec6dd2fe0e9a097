"""What every configuration section shares: frozen, typed, and strict about unknown keys."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One table of a run configuration. Immutable; an unknown key is an error (`config.load` names the nearest)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
