"""The run configuration: one TOML file, typed, frozen, and strict. Each section lives beside what it configures."""

import copy
import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from voiceflow_model.data.conversation import ConversationConfig
from voiceflow_model.data.corpora import CorpusConfig
from voiceflow_model.data.espeak import EspeakCorpusConfig
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.passages import PassagesConfig
from voiceflow_model.errors import ConfigError
from voiceflow_model.evaluation.settings import EvaluationConfig, GateConfig
from voiceflow_model.network.model import NetworkConfig
from voiceflow_model.section import Section
from voiceflow_model.training.schedule import Cycle
from voiceflow_model.training.settings import SessionConfig, TrainingConfig

Phase = Literal["validate", "train"]
PHASES: tuple[Phase, ...] = get_args(Phase)


class CropsConfig(Section):
    """How a phase begins: short windows with one voice each, many in a batch.

    A trunk learns voices from them several times sooner (docs/adr/0010-learning-on-small-data.md).
    """

    steps: int = Field(ge=1)
    batch_size: int = Field(64, ge=1)
    window_s: float = Field(2.0, gt=0.5, multiple_of=0.02)


class RestartsConfig(Section):
    """How a phase may end: short cosines after the long one; the weights at all ends are averaged.

    What only they have heard is learned and nothing before it unlearned (docs/adr/0015-the-mean-of-restarts.md).
    """

    count: int = Field(1, ge=1)
    epochs: int = Field(ge=1, description="of each")
    learning_rate_share: float = Field(0.25, gt=0, le=1, description="of training.learning_rate, to begin with")
    sounds_share: float | None = Field(None, ge=0, le=1, description="in place of conversation.sounds_share")


class PhaseConfig(Section):
    """One training phase. An epoch is a stated number of conversations, never a vague pass over the data."""

    epochs: int = Field(ge=1)
    windows_per_epoch: int = Field(ge=1)
    validate_every_epochs: int = Field(1, ge=1, description="the last epoch is always validated")
    crops: CropsConfig | None = Field(None, description="single voices to begin with, before the epochs")
    restarts: RestartsConfig | None = Field(None, description="short cosines to end with, after the epochs")
    corpus: CorpusConfig | None = Field(None, description="instead of the run's [corpus]")
    continue_from_validate: bool = Field(False, description="start from the weights of the validate phase")
    start_from: str | None = Field(None, min_length=1, description="a run of this store, to start from its weights")

    @model_validator(mode="after")
    def _one_start(self) -> "PhaseConfig":
        if self.continue_from_validate and self.start_from:
            raise ValueError("continue_from_validate and start_from are two places to start from: give one")
        return self


class RunConfig(Section):
    """Everything a run is made of."""

    name: str = "run"
    seed: int = Field(0, ge=0, lt=2**31)
    corpus: CorpusConfig = EspeakCorpusConfig()
    stream: StreamConfig = StreamConfig()
    conversation: ConversationConfig = ConversationConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    phases: "PhasesConfig"
    evaluation: EvaluationConfig = EvaluationConfig()
    gates: GateConfig = GateConfig()
    session: SessionConfig = SessionConfig()

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        most = len(self.conversation.speakers) - 1
        if most > self.network.num_speakers:
            raise ValueError(
                f"conversation.speakers allows {most} speakers in a window and network.num_speakers is "
                f"{self.network.num_speakers}"
            )
        for phase, corpus in ((phase, self.corpus_of(phase)) for phase in PHASES):
            if not isinstance(corpus, PassagesConfig):
                continue
            if self.phase(phase).crops:
                raise ValueError(f"phases.{phase}.crops: recordings of conversations have no windows of single voices")
            if self.training.distillation_weight:
                raise ValueError(
                    f"training.distillation_weight: nobody can be heard alone in the recordings of phases.{phase}"
                )
            if corpus.passage_s > self.stream.max_utterance_s:
                raise ValueError(
                    f"corpus.passage_s = {corpus.passage_s:g} is longer than stream.max_utterance_s = "
                    f"{self.stream.max_utterance_s:g}, by which RAM is counted"
                )
        training, lanes = self.training, self.stream.lanes
        sizes = {"training.batch_size": training.batch_size}
        sizes |= {f"phases.{p}.crops.batch_size": crops.batch_size for p in PHASES if (crops := self.phase(p).crops)}
        for key, size in sizes.items():
            if size % lanes or lanes % training.gradient_shards:
                raise ValueError(
                    f"{key} ({size}) must be a multiple of stream.lanes ({lanes}), that of "
                    f"training.gradient_shards ({training.gradient_shards})"
                )
        return self

    def phase(self, phase: Phase) -> PhaseConfig:
        """The section of a phase."""
        return self.phases.validate_ if phase == "validate" else self.phases.train

    def corpus_of(self, phase: Phase) -> CorpusConfig:
        """The corpus that a phase reads."""
        return self.phase(phase).corpus or self.corpus

    def steps_per_epoch(self, phase: Phase) -> int:
        """Optimisation steps in an epoch of a phase: its windows, in whole batches."""
        return max(1, self.phase(phase).windows_per_epoch // self.training.batch_size)

    def legs(self, phase: Phase) -> tuple["Leg", ...]:
        """The stretches of a phase, in order: crops if it has any, conversations, those of restarts if it has any."""
        settings, epoch = self.phase(phase), self.steps_per_epoch(phase)
        legs, crops, restarts = [], settings.crops, settings.restarts
        if crops:
            single = self.conversation.model_copy(update={"window_s": crops.window_s, "speakers": (0.0, 1.0)})
            legs.append(Leg(0, crops.steps, single, crops.batch_size, crops=True))
        start = crops.steps if crops else 0
        end = start + settings.epochs * epoch
        legs.append(Leg(start, end, self.conversation, self.training.batch_size))
        if restarts:
            share = self.conversation.sounds_share if restarts.sounds_share is None else restarts.sounds_share
            heard = self.conversation.model_copy(update={"sounds_share": share})
            legs.append(Leg(end, end + restarts.count * restarts.epochs * epoch, heard, self.training.batch_size))
        return tuple(legs)

    def cycles(self, phase: Phase) -> tuple[Cycle, ...]:
        """The schedule of a phase: one cosine over crops and epochs, then those of restarts, if it has any."""
        total, restarts = self.legs(phase)[-1].end, self.phase(phase).restarts
        if restarts is None:
            return (Cycle(0, total),)
        steps = restarts.epochs * self.steps_per_epoch(phase)
        ends = [total - n * steps for n in range(restarts.count, -1, -1)]
        short = (Cycle(start, end, restarts.learning_rate_share) for start, end in pairwise(ends))
        return (Cycle(0, ends[0]), *short)

    @property
    def test_corpus(self) -> CorpusConfig:
        """The corpus whose dev and test speakers the run is measured on."""
        return self.evaluation.corpus or self.corpus_of("train")

    def identity(self, *, places: bool = True) -> dict[str, Any]:
        """The part of the configuration that decides the result; resuming a run with another one is refused.

        Without `places`, where corpora lie is left out: what they hold is told by their fingerprints.
        """
        whole: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude={"session"})
        for key in ("decode_threads", "ram_mb", "worker_processes"):
            del whole["stream"][key]
        return whole if places else without_places(whole)

    def hash(self) -> str:
        """Of the identity without places: 12 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.identity(places=False), sort_keys=True).encode()).hexdigest()[:12]


class Leg(NamedTuple):
    """A stretch of a phase, from one step to another, on one kind of conversation."""

    start: int
    end: int
    conversation: ConversationConfig
    batch_size: int
    crops: bool = False

    def windows(self, step: int) -> int:
        """How many of its windows were trained on when the phase is at `step`."""
        return max(0, min(step, self.end) - self.start) * self.batch_size


class PhasesConfig(Section):
    """Validate the pipeline on little data first, then train."""

    validate_: PhaseConfig = Field(alias="validate")
    train: PhaseConfig


RunConfig.model_rebuild()


def load_config(name_or_file: str, settings: Iterable[str] = ()) -> RunConfig:
    """Read `configs/NAME.toml` or a file, then apply `section.key=value` settings. Raises ConfigError."""
    return parse_config(_read(name_or_file), settings)


def parse_config(table: Mapping[str, Any], settings: Iterable[str] = ()) -> RunConfig:
    """A table as read from TOML, with settings applied. Raises ConfigError naming the key and the nearest right one."""
    whole = copy.deepcopy(dict(table))
    for setting in settings:
        _apply(whole, setting)
    try:
        return RunConfig.model_validate(whole)
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(problem)}" for problem in error.errors())
        raise ConfigError(f"the configuration is not valid:\n{problems}") from error


def shipped() -> list[str]:
    """Names of the configurations that come with VoiceFlow."""
    return sorted(f.name.removesuffix(".toml") for f in files("configs").iterdir() if f.name.endswith(".toml"))


def _read(name_or_file: str) -> dict[str, Any]:
    if name_or_file in shipped():
        return tomllib.loads((files("configs") / f"{name_or_file}.toml").read_text())
    path = Path(name_or_file)
    if not path.is_file():
        near = difflib.get_close_matches(name_or_file, shipped(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no configuration {name_or_file!r}: give a TOML file or one of {', '.join(shipped())}{hint}")
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _apply(table: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {setting!r}: write section.key=value, for example --set training.batch_size=16")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word or path is a string
    *sections, last = key.strip().split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {setting!r}: {section!r} is a value, not a section")
    table[last] = value


def _explain(problem: Any) -> str:
    """One line: where, what, and for an unknown key the nearest key that exists there."""
    location = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
        return f"{_path(location)}: unknown key; {advice}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{_path(location) or 'configuration'}: {message}"


def _path(location: Sequence[str]) -> str:
    """Dotted, without the tags that a discriminated union adds."""
    tags = {kind.model_fields["kind"].default for kind in _members(CorpusConfig)}
    return ".".join(part for i, part in enumerate(location) if not (part in tags and i and location[i - 1] == "corpus"))


def _keys_at(location: Sequence[str]) -> list[str]:
    """The keys a section accepts, following the schema as pydantic reports it."""
    model: Any = RunConfig
    for part in location:
        fields = {f.alias or name: f for name, f in model.model_fields.items()} if _is_model(model) else {}
        if part in fields:
            model = fields[part].annotation
        else:  # the tag of a union member
            model = next((m for m in _members(model) if m.model_fields["kind"].default == part), model)
    return [f.alias or name for name, f in model.model_fields.items()] if _is_model(model) else []


def without_places(tree: dict[str, Any]) -> dict[str, Any]:
    """A part of an identity without where corpora lie."""
    kept = {key: value for key, value in tree.items() if key not in ("url", "heldout_url")}
    return {key: without_places(value) if isinstance(value, dict) else value for key, value in kept.items()}


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)


def _members(annotation: Any) -> list[Any]:
    if _is_model(annotation):
        return [annotation] if "kind" in annotation.model_fields else []
    return [m for part in get_args(annotation) for m in _members(part)]
