"""Everything a training run is, as tensors and JSON: what one worker saves and any other continues from."""

import copy
import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from voiceflow_model.errors import CheckpointCorrupt, RunConflict
from voiceflow_model.network.model import FastDiarizationModel, NetworkConfig, seeded_model
from voiceflow_model.training.losses import SpeakerLoss
from voiceflow_model.training.optimizer import optimizers
from voiceflow_model.training.settings import TrainingConfig

SCHEMA_VERSION = 4
_WEIGHTS = ("ema.", "speakers.")
_POSITION = ("step", "stream", "smoothed", "history", "accuracy", "validated_step", "best")


@dataclass
class TrainState:
    """Model, speaker head, averaged weights, optimizers and position. No generator: every draw is keyed by position."""

    model: FastDiarizationModel
    speakers: SpeakerLoss
    ema: dict[str, Tensor]
    optimizers: tuple[torch.optim.Optimizer, ...]
    scaler: torch.amp.GradScaler
    config_hash: str
    step: int = 0
    stream: dict[str, Any] = field(default_factory=dict)
    smoothed: dict[str, float] = field(default_factory=dict)  # loss and the like, averaged over recent steps
    history: list[dict[str, float]] = field(default_factory=list)  # points of the training curve
    accuracy: dict[str, float] = field(default_factory=dict)  # as last validated,
    validated_step: int = -1  # at this step
    best: float = -1.0
    mean: dict[str, Tensor] = field(default_factory=dict)  # of the averaged weights at the ends of cycles

    @classmethod
    def fresh(
        cls,
        network: NetworkConfig,
        training: TrainingConfig,
        classes: int,
        *,
        seed: int,
        config_hash: str,
        device: torch.device,
        fp16: bool = False,
    ) -> "TrainState":
        """The state before the first step, the same for the same seed."""
        model = seeded_model(network, seed).to(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            speakers = SpeakerLoss(network.embedding_dim, classes, training.scale, training.speaker_centres).to(device)
        ema = {name: value.clone() for name, value in model.state_dict().items()}
        movers = optimizers(model, speakers, training)
        return cls(model, speakers, ema, movers, torch.amp.GradScaler(device.type, enabled=fp16), config_hash)

    @property
    def parameters(self) -> list[Tensor]:
        """What is moved, always in one order."""
        return [*self.model.parameters(), *self.speakers.parameters()]

    def averaged_model(self) -> FastDiarizationModel:
        """A copy of the model with the averaged weights; for validation and export."""
        averaged = copy.deepcopy(self.model)
        averaged.load_state_dict(self.ema)
        return averaged.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor under a stable name, still on its device."""
        named: dict[str, Tensor] = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        named |= {f"speakers.{k}": v for k, v in self.speakers.state_dict().items()}
        named |= {f"ema.{k}": v for k, v in self.ema.items()}
        named |= {f"mean.{k}": v for k, v in self.mean.items()}
        for n, optimizer in enumerate(self.optimizers):
            for i, moments in optimizer.state_dict()["state"].items():
                named |= {f"optimizer.{n}.{i}.{k}": v for k, v in moments.items()}
        return named

    def snapshot(self) -> "Snapshot":
        """A copy in RAM, which training may leave behind."""
        facts = {
            "schema_version": SCHEMA_VERSION,
            "config_hash": self.config_hash,
            "scaler": self.scaler.state_dict(),
            **{name: getattr(self, name) for name in _POSITION},
        }
        tensors = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in self.tensors().items()}
        return Snapshot(tensors, json.dumps(facts))

    def to_bytes(self) -> bytes:
        """The checkpoint as of now."""
        return self.snapshot().to_bytes()

    def load_bytes(self, data: bytes) -> None:
        """Become the saved state. Raises CheckpointCorrupt or RunConflict; never unpickles anything."""
        tensors, facts = read_checkpoint(data)
        if facts["config_hash"] != self.config_hash:
            raise RunConflict("the checkpoint was written under another configuration; choose another --run-id")
        _load(self.model, tensors, "model.")
        _load(self.speakers, tensors, "speakers.")
        with torch.no_grad():
            for name, value in self.ema.items():
                value.copy_(tensors[f"ema.{name}"])
        self.mean = {k: tensors[f"mean.{k}"].to(v.device) for k, v in self.ema.items() if f"mean.{k}" in tensors}
        for n, optimizer in enumerate(self.optimizers):
            moments: dict[int, dict[str, Tensor]] = {}
            for name, value in tensors.items():
                if name.startswith(f"optimizer.{n}."):
                    _, _, number, key = name.split(".")
                    moments.setdefault(int(number), {})[key] = value
            optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
        self.scaler.load_state_dict(facts["scaler"])
        for name in _POSITION:
            setattr(self, name, facts[name])

    @torch.no_grad()
    def average_cycles(self, before: int) -> None:
        """At the end of a cycle: make model and averaged weights the mean of those at its end and at `before` others'.

        Izmailov et al. 2018 (arXiv:1803.05407), with each cycle begun from the mean so far.
        """
        if before:
            torch._foreach_lerp_(list(self.mean.values()), list(self.ema.values()), 1 / (before + 1))
            for name, value in self.mean.items():
                self.ema[name].copy_(value)
        else:
            self.mean = {name: value.clone() for name, value in self.ema.items()}
        self.model.load_state_dict(self.mean)

    def smooth(self, measured: dict[str, float | None]) -> None:
        """Fold one step's measurements into the running averages."""
        for name, value in measured.items():
            if value is not None:
                self.smoothed[name] = 0.95 * self.smoothed.get(name, value) + 0.05 * value

    def start_from(self, data: bytes, *, same_speakers: bool) -> None:
        """Take the averaged weights of another phase's checkpoint, and its speakers when they are the same people."""
        tensors, _ = read_checkpoint(data)
        _load(self.model, tensors, "ema.")
        self.ema = {name: value.clone() for name, value in self.model.state_dict().items()}
        if same_speakers:
            _load(self.speakers, tensors, "speakers.")


class Snapshot(NamedTuple):
    """What a `TrainState` was at some step: tensors under stable names, and the rest as JSON."""

    tensors: dict[str, Tensor]
    facts: str

    def to_bytes(self) -> bytes:
        """The checkpoint: safetensors, its JSON in the header. Bytes of equal states are equal."""
        data: bytes = safetensors.torch.save(self.tensors, {"voiceflow": self.facts})
        return data

    def weights_to_bytes(self) -> bytes:
        """The averaged weights and the speakers alone: what another phase, or an export, begins with."""
        return self._replace(tensors={k: v for k, v in self.tensors.items() if k.startswith(_WEIGHTS)}).to_bytes()


def read_checkpoint(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a checkpoint. safetensors holds no code, so nothing in a bucket can run here."""
    try:
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts: dict[str, Any] = json.loads(header["__metadata__"]["voiceflow"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointCorrupt(f"not a VoiceFlow checkpoint ({error}), so not loaded; see `voiceflow fsck`") from error
    if facts["schema_version"] != SCHEMA_VERSION:
        raise RunConflict(
            f"the checkpoint has schema {facts['schema_version']} and this VoiceFlow reads {SCHEMA_VERSION}: install "
            "the version that wrote it, or start a new run"
        )
    return tensors, facts


def _load(module: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
