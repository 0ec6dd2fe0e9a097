"""One optimisation step, split into gradient shards that threads share and whose sum has one fixed order."""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from types import TracebackType
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from voiceflow_model.data.corpus import FRAME_SAMPLES, SAMPLE_RATE_HZ
from voiceflow_model.data.keyed import keyed
from voiceflow_model.data.stream import Batch
from voiceflow_model.errors import Diverged
from voiceflow_model.training import schedule
from voiceflow_model.training.losses import aligned_classes, likeness_loss, segmentation_loss
from voiceflow_model.training.schedule import Cycle
from voiceflow_model.training.settings import TrainingConfig
from voiceflow_model.training.state import TrainState
from voiceflow_model.training.stretches import stretches

_FRAMES_PER_S = SAMPLE_RATE_HZ // FRAME_SAMPLES
_SWITCH_S = 2e-4  # those who make data hold the interpreter for Python's 5 ms, and a shard waits after each operation


class StepReport(NamedTuple):
    """What one step measured, averaged over the batch; of crops only what concerns voices."""

    loss: float
    speaker: float
    segmentation: float | None = None
    frame_accuracy: float | None = None


class _Shard(NamedTuple):
    """What differentiating one shard of a batch gives."""

    gradients: list[Tensor]
    measured: tuple[float, ...]  # the fields of a StepReport
    moments: Tensor
    seconds: dict[str, float]


class Stepper:
    """Takes steps on a state.

    Each shard of the batch is differentiated by itself and the gradients are added in shard order: one thread or
    several give the same bits (ADR 0004). On CPU every shard runs single-threaded, which is also the fastest way to use
    few cores on small layers.
    """

    def __init__(
        self, state: TrainState, config: TrainingConfig, cycles: Sequence[Cycle], *, threads: int, dtype: torch.dtype
    ) -> None:
        self.state, self.config, self.cycles, self.dtype = state, config, cycles, dtype
        self.device = next(state.model.parameters()).device
        self.seconds = {"forward": 0.0, "backward": 0.0, "update": 0.0}  # spent; the first two by all threads together
        self._workers = ThreadPoolExecutor(threads, "step", initializer=torch.set_num_threads, initargs=(1,))

    def __call__(self, batches: Sequence[Batch], *, crops: bool = False) -> StepReport:
        """One step on the shards of a batch. Raises Diverged when the loss is not a number.

        `crops` teach trunk and embeddings alone: segmentation would learn that one person speaks, ever.
        """
        state = self.state
        results = list(self._workers.map(partial(self._differentiate, crops=crops), batches, range(len(batches))))
        measured = zip(*(r.measured for r in results), strict=True)
        report = StepReport(*(sum(parts) / len(results) for parts in measured))
        if not torch.isfinite(torch.tensor(report.loss)):
            raise Diverged(
                f"the loss became {report.loss} at step {state.step}: lower training.learning_rate, or look at the "
                "data with `voiceflow peek`"
            )
        for part in ("forward", "backward"):
            self.seconds[part] += sum(r.seconds[part] for r in results)
        began = time.perf_counter()
        self._workers.submit(self._update, results).result()  # one thread there, however many here: the same bits
        self.seconds["update"] += time.perf_counter() - began
        return report

    def __enter__(self) -> "Stepper":
        self._switched_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.shutdown()
        sys.setswitchinterval(self._switched_s)

    def _update(self, results: Sequence[_Shard]) -> None:
        """Add the gradients in the shards' order, move the weights, fold them into their average."""
        state, config = self.state, self.config
        for i, parameter in enumerate(state.parameters):
            parameter.grad = reduce(torch.add, [r.gradients[i] for r in results]) / len(results)
        moments = reduce(torch.add, [r.moments for r in results]) / len(results)
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = schedule.learning_rate(config, state.step, self.cycles)
            state.scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(state.parameters, config.clip_norm)
        for optimizer in state.optimizers:
            state.scaler.step(optimizer)
        state.scaler.update()
        state.model.embedding.norm.remember(moments, state.step)
        cycle = schedule.current(self.cycles, state.step)
        state.step += 1
        self._average(state.step - cycle.start)
        if len(self.cycles) > 1 and state.step == cycle.end:
            state.average_cycles(self.cycles.index(cycle))

    def _differentiate(self, batch: Batch, shard: int, *, crops: bool) -> _Shard:
        state, config = self.state, self.config
        began = time.perf_counter()
        waveform, activity, speakers = (self._tensor(x) for x in (batch.waveform, batch.activity, batch.speakers))
        wanted = activity
        if config.voice_stretches:
            wanted = stretches(activity, config.voice_stretches, keyed("stretches", state.step, shard))
            speakers = speakers.repeat(1, config.voice_stretches)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            output = None if crops else state.model(waveform, activity, wanted)
            voices = (output.embeddings, output.moments) if output else state.model.voices(waveform, activity, wanted)
        embeddings, moments = voices
        spoken = wanted.sum(1) >= config.min_speaker_s * _FRAMES_PER_S  # (batch, voices)
        margin = schedule.margin(config, state.step, self.cycles)
        speaker = state.speakers(embeddings[spoken], speakers[spoken], margin)
        loss = config.speaker_weight * speaker
        if output:
            segmentation = segmentation_loss(output.logits, activity, state.model.powerset)
            loss = loss + segmentation + config.likeness_weight * likeness_loss(output.likeness, activity)
        if batch.sources is not None and spoken.any():
            distance = self._distillation(embeddings, self._tensor(batch.sources), wanted, spoken)
            loss = loss + config.distillation_weight * distance
        measured: tuple[float, ...] = (loss.item(), speaker.item())  # which waits for a GPU
        midway = time.perf_counter()
        gradients = torch.autograd.grad(state.scaler.scale(loss), state.parameters, materialize_grads=True)
        if output:
            with torch.no_grad():
                hit = output.logits.argmax(-1) == aligned_classes(output.logits, activity, state.model.powerset)
            measured += (segmentation.item(), hit.float().mean().item())
        seconds = {"forward": midway - began, "backward": time.perf_counter() - midway}
        return _Shard(list(gradients), measured, moments, seconds)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)

    def _distillation(self, embeddings: Tensor, sources: Tensor, wanted: Tensor, spoken: Tensor) -> Tensor:
        """How far voices in a mixture are from what the same network makes of each alone, a mean of 1 - cosine.

        embeddings (batch, n, dim), sources (batch, K, samples), wanted (batch, frames, n), n a multiple of K, spoken
        (batch, n).
        """
        sources = sources.repeat(1, wanted.shape[-1] // sources.shape[1], 1)  # (batch, n, samples)
        alone = wanted.transpose(1, 2).flatten(0, 1)[..., None]  # (batch * n, frames, 1)
        with torch.no_grad(), torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            chosen = spoken.flatten()
            teacher = self.state.model.voices(sources.flatten(0, 1)[chosen], alone[chosen])[0][:, 0]
        return 1 - (embeddings[spoken] * teacher).sum(-1).mean()

    @torch.no_grad()
    def _average(self, steps: int) -> None:
        """Fold the weights into those averaged over the `steps` of this cycle."""
        state = self.state
        decay = min(self.config.ema_decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(list(state.ema.values()), list(state.model.state_dict().values()), 1 - decay)
