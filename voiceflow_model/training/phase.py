"""One training phase, from wherever the run's last worker left it to its end, or to a clean yield."""

import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

from voiceflow_model.config import Leg, Phase, RunConfig, without_places
from voiceflow_model.data.corpus import Corpus
from voiceflow_model.data.lanes import StreamConfig
from voiceflow_model.data.speakers import SpeakerClasses
from voiceflow_model.data.stream import ConversationStream
from voiceflow_model.data.walk import Walk
from voiceflow_model.errors import CheckpointCorrupt, ConfigError, ObjectNotFound, Yielded
from voiceflow_model.network.model import NetworkConfig, parameter_count
from voiceflow_model.runs.checkpoints import best, newest
from voiceflow_model.runs.record import CheckpointEntry, RunRecord
from voiceflow_model.runs.record_file import RecordFile
from voiceflow_model.runs.saver import Commit, Saver
from voiceflow_model.runs.session import Session
from voiceflow_model.section import Section
from voiceflow_model.training.hardware import Hardware, choose_hardware
from voiceflow_model.training.preemption import StopRequest
from voiceflow_model.training.progress import Listener, Pace
from voiceflow_model.training.state import TrainState
from voiceflow_model.training.step import Stepper, StepReport
from voiceflow_model.training.unseen import UnseenVoices
from voiceflow_model.training.validation import Accuracy, ValidationSet, validation_set

_CURVE_POINTS = 300


class PhaseResult(Section):
    """The record that a finished phase leaves."""

    phase: Phase
    steps: int
    windows: int
    speakers: int
    parameters: int
    accuracy: Accuracy
    checkpoint: str
    undecodable: dict[str, int]
    curve: tuple[dict[str, float], ...]


def train_phase(
    config: RunConfig, phase: Phase, corpus: Corpus, session: Session, *, stop: StopRequest, listener: Listener
) -> PhaseResult:
    """Train `phase` on `corpus` under a held lease until it is done.

    Raises Yielded after a commit when `stop` asks for it, LeaseLost when another worker took the run over, Diverged,
    and whatever the corpus or the store raise. Whatever happens, the last committed checkpoint stands.
    """
    hardware = choose_hardware(config.session, config.training)
    names = SpeakerClasses(corpus.speakers("train"), config.stream.speeds)
    with ThreadPoolExecutor(1) as meanwhile:
        preparing = meanwhile.submit(_held_out, config, corpus, names)
        state = _restore(config, phase, session, names, hardware, listener)
        held_out = preparing.result()
    legs = config.legs(phase)
    cycles = config.cycles(phase)
    with (
        Stepper(state, config.training, cycles, threads=hardware.threads, dtype=hardware.dtype) as step,
        Saver(config.session.store_patience_s, listener.say) as saver,
    ):
        loop = _Loop(config, phase, session, saver, state, held_out, listener)
        for leg in (leg for leg in legs if state.step < leg.end or leg is legs[-1]):
            loop.begin(leg)
            with open_stream(config, phase, leg, corpus, names, state.stream) as stream:
                _take_steps(leg, loop, step, stream, stop)
        if not state.accuracy:
            loop.validate()
        loop.finish()
    return PhaseResult(
        phase=phase,
        steps=state.step,
        windows=sum(leg.windows(state.step) for leg in legs),
        speakers=len(names.names),
        parameters=parameter_count(state.model),
        accuracy=Accuracy.model_validate(state.accuracy),
        checkpoint=loop.checkpoint(),
        undecodable=dict(stream.broken),
        curve=tuple(state.history),
    )


def _take_steps(leg: Leg, loop: "_Loop", step: Stepper, stream: ConversationStream, stop: StopRequest) -> None:
    """The training loop, to the end of a leg. Raises Yielded."""
    state = loop.state
    while state.step < leg.end:
        batches = stream.take(lambda: stop.at_once)
        if batches is not None:
            report = step(batches, crops=leg.crops)
            # after crops, conversations are read from their beginning
            state.stream = {} if leg.crops and state.step == leg.end else stream.state
            loop.after(report)
        if stop.reason and state.step < loop.total:  # after a step: even the shortest session makes progress
            loop.finish()
            raise Yielded(
                f"{loop.phase} stopped at step {state.step} of {loop.total}: {stop.reason}; the same command continues"
            )


class _Loop:
    """What happens around steps: curve, validation at epoch ends, saving when due."""

    def __init__(
        self,
        config: RunConfig,
        phase: Phase,
        session: Session,
        saver: Saver,
        state: TrainState,
        held_out: ValidationSet,
        listener: Listener,
    ) -> None:
        self.config, self.phase, self.session, self.state = config, phase, session, state
        self.saver, self.held_out, self.listener = saver, held_out, listener
        self.unseen = UnseenVoices(config)
        self.first = next(leg.start for leg in config.legs(phase) if not leg.crops)  # epochs are of conversations alone
        self.per_epoch = config.steps_per_epoch(phase)
        self.cycle_ends = [cycle.end for cycle in config.cycles(phase)]
        self.total = self.cycle_ends[-1]
        self.began = self.saved_at = time.monotonic()
        self.saved_step = state.step if self.checkpoint() else -1
        self.kept_step = state.step  # what the store has; saved_step may still be on its way
        session.at(phase, state.step)

    def begin(self, leg: Leg) -> None:
        """A stretch with another batch size has another pace."""
        self.pace = Pace(leg.batch_size)

    @property
    def epoch(self) -> int:
        """The current one, from 1; 0 while crops are trained on."""
        return max(0, -(-(self.state.step - self.first) // self.per_epoch))

    def after(self, report: StepReport) -> None:
        """Book a step that was taken."""
        state, epoch = self.state, self.epoch
        state.smooth(report._asdict())
        if state.step % max(1, self.total // _CURVE_POINTS) == 0 or state.step == self.total:
            state.history.append({"step": state.step, **state.smoothed})
        tick = self.pace.tick(self.phase, state.step, self.total, epoch, report)
        self.listener.tick(tick)
        steps_per_s = tick.examples_per_s / self.pace.batch_size
        self.session.at(self.phase, state.step, steps_per_s)
        epoch_ends = state.step > self.first and (state.step - self.first) % self.per_epoch == 0
        settings = self.config.phase(self.phase)
        if epoch_ends and (epoch % settings.validate_every_epochs == 0 or state.step in self.cycle_ends):
            self.validate()
        if epoch_ends or self._save_is_due(steps_per_s):
            self.save()
        self.saver.check()
        if state.step - self.kept_step >= self.config.session.save_every_steps:
            self.saver.settle()

    def _save_is_due(self, steps_per_s: float) -> bool:
        """A save begins early enough to be over before `save_every_steps` could be lost, if the store is not too slow.

        How early, in whole steps, the last one tells. At most half of the steps: saves do not overlap.
        """
        session = self.config.session
        ahead = min(max(1.0, self.saver.took_s * steps_per_s), session.save_every_steps / 2)
        late = time.monotonic() - self.saved_at >= session.save_every_s
        return late or self.state.step - self.saved_step >= math.floor(session.save_every_steps - ahead)

    def validate(self) -> None:
        """Measure the averaged model on what it never saw."""
        state = self.state
        model = state.averaged_model()
        accuracy = self.held_out.measure(model, state.speakers, len(self.config.stream.speeds))
        if limits := self.unseen.measure(model):
            accuracy = accuracy.model_copy(update={f"unseen_{truth}": rate for truth, rate in limits})
        state.accuracy = accuracy.model_dump(exclude_none=True)
        state.validated_step = state.step
        if state.history:
            state.history[-1] = {**state.history[-1], **{f"held_out_{k}": v for k, v in state.accuracy.items()}}
        self.listener.validated(self.phase, self.epoch, accuracy)
        self.pace.skip()

    def save(self) -> None:
        """Begin to save what was not saved yet; when the saver has settled, any worker resumes here or later."""
        state = self.state
        if self.saved_step != state.step:
            judged = state.validated_step == state.step
            score = Accuracy.model_validate(state.accuracy).score if judged else None
            # what is learned in restarts, validation need not hear: the mean at their ends is what they are for
            leads = score is not None and (score >= state.best or state.step in self.cycle_ends[1:])
            if leads and score is not None:
                state.best = score
            self.saver.save(lambda: self._commit(score, leads))
            self.saved_step = state.step
        self.saved_at = time.monotonic()

    def finish(self) -> None:
        """Save what was not saved yet, wait until the store has it, and tell what saving has cost."""
        held_up, lasted = self.saver.waited_s, time.monotonic() - self.began
        self.save()
        self.saver.settle()
        last = self.saver.waited_s - held_up
        self.listener.say(
            f"{self.phase}: saving held training up for {held_up:.2f} s of {lasted:.1f} s, and {last:.1f} s at its end"
        )

    def _commit(self, score: float | None, leads: bool) -> Commit:
        """What takes the store's time: all of it from a copy of the state."""
        step, copied = self.state.step, self.state.snapshot()
        smoothed, accuracy = dict(self.state.smoothed), dict(self.state.accuracy)

        @cache  # a second try writes the same bytes
        def payloads() -> tuple[bytes, bytes | None]:
            return copied.to_bytes(), copied.weights_to_bytes() if leads else None

        def commit() -> None:
            payload, best_weights = payloads()
            self.session.commit(
                self.phase,
                step,
                self.total,
                payload,
                metrics={**smoothed, **accuracy},
                history_entry={"step": step, **smoothed},
                metric=score,
                best_weights=best_weights,
            )
            self.kept_step = step

        return commit

    def checkpoint(self) -> str:
        """Address of what was saved of this very step, or ""."""
        phase = self.session.record.phases.get(self.phase)
        entries = [e for e in phase.checkpoints if e.step == self.state.step] if phase else []
        return self.session.store.uri(entries[-1].path) if entries else ""


def _restore(
    config: RunConfig, phase: Phase, session: Session, names: SpeakerClasses, hardware: Hardware, listener: Listener
) -> TrainState:
    """The state to go on from: the newest good checkpoint, another phase's weights, or a fresh start."""
    state = TrainState.fresh(
        config.network,
        config.training,
        len(names),
        seed=config.seed,
        config_hash=config.hash(),
        device=hardware.device,
        fp16=hardware.dtype == torch.float16,
    )
    found = newest(session.store, session.record, phase, listener.say)
    if found is not None:
        entry, data = found
        state.load_bytes(data)
        listener.say(f"{phase}: continuing from step {entry.step} ({session.store.uri(entry.path)})")
    elif config.phase(phase).continue_from_validate and phase == "train":
        earlier = best(session.store, session.record, "validate", listener.say)
        if earlier is None:
            raise CheckpointCorrupt(
                "phases.train.continue_from_validate is set, but this run has no validate checkpoint: "
                "run that phase first (`voiceflow train --phase validate`)"
            )
        same = _classes(session.record, "validate") == _classes(session.record, "train")
        state.start_from(earlier[1], same_speakers=same)
        listener.say(f"{phase}: starting from the weights of validate, step {earlier[0].step}")
    elif run_id := config.phase(phase).start_from:
        theirs, (entry, data) = _finished(config, session, run_id, phase, listener)
        same = _classes(theirs, "train") == _classes(session.record, phase)
        state.start_from(data, same_speakers=same)
        whose = "and for the same speakers" if same else "but for other speakers"
        listener.say(f"{phase}: starting from the weights of run {run_id}, step {entry.step}, {whose}")
    return state


def _finished(
    config: RunConfig, session: Session, run_id: str, phase: Phase, listener: Listener
) -> tuple[RunRecord, tuple[CheckpointEntry, bytes]]:
    """Another run of this store and its best weights. Raises ConfigError when it has none, or another network."""
    try:
        record = RecordFile(session.store, run_id).read()
        found = best(session.store, record, "train", listener.say)
    except ObjectNotFound:
        found = None
    if found is None:
        raise ConfigError(
            f"phases.{phase}.start_from = {run_id!r}: {session.store.uri('runs')} has no such run that trained; name "
            "one that `voiceflow status` lists"
        )
    theirs, ours = NetworkConfig.model_validate(record.identity["network"]).model_dump(), config.network.model_dump()
    if differing := [f"{key} = {theirs[key]} and not {ours[key]}" for key in ours if theirs[key] != ours[key]]:
        raise ConfigError(
            f"phases.{phase}.start_from = {run_id!r}: that run's network has {', '.join(differing)}; give this one "
            "the same [network] section"
        )
    return record, found


def _classes(record: RunRecord, phase: Phase) -> tuple[Any, ...]:
    """What decides which classes of the speaker loss are whose: equal for a mirror, unequal where in doubt."""
    run = record.identity
    corpus = without_places(run["phases"][phase].get("corpus") or run["corpus"])
    held = run.get("corpus_fingerprints", {}).get(phase)
    return corpus, held, run["stream"].get("speeds"), run["training"].get("speaker_centres")


def open_stream(
    config: RunConfig, phase: Phase, leg: Leg, corpus: Corpus, names: SpeakerClasses, position: Mapping[str, Any]
) -> ConversationStream:
    """The leg's training conversations, from `position` on."""
    seed = 2 * config.seed + (phase == "train")  # the phases see different conversations of one corpus
    return ConversationStream(
        Walk(
            corpus,
            "train",
            names,
            seed,
            config.stream.lanes,
            config.stream.max_utterance_s,
            config.stream.microphone,
        ),
        config.stream,
        leg.conversation,
        num_speakers=config.network.num_speakers,
        batch_size=leg.batch_size,
        shards=config.training.gradient_shards,
        sources=config.training.distillation_weight > 0 and not leg.crops,
        state=dict(position),
    )


def _held_out(config: RunConfig, corpus: Corpus, names: SpeakerClasses) -> ValidationSet:
    """The same held-out conversations and utterances in every session of a run."""
    settings = config.evaluation
    lanes = StreamConfig(lanes=1, max_utterance_s=config.stream.max_utterance_s)
    plain = SpeakerClasses(names.names)
    walk = Walk(corpus, "validation", plain, settings.seed, 1, lanes.max_utterance_s)
    with ConversationStream(
        walk, lanes, config.conversation, num_speakers=config.network.num_speakers, batch_size=16
    ) as stream:
        return validation_set(corpus, plain, stream, settings.validation_conversations, settings.validation_utterances)
