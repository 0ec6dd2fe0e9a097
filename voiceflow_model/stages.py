"""The four stages of a run, each callable by itself, each finished once: validate, train, evaluate, export.

A stage that the run record already names as finished under the same configuration returns its stored result at once.
"""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from voiceflow_model.config import PHASES, Phase, RunConfig
from voiceflow_model.data.corpora import open_corpus
from voiceflow_model.errors import ConfigError, GateMissed, ObjectNotFound, Yielded
from voiceflow_model.runs.heartbeat import heartbeat
from voiceflow_model.runs.record import record_path
from voiceflow_model.runs.record_file import RecordFile
from voiceflow_model.runs.run import Run
from voiceflow_model.runs.session import Session
from voiceflow_model.section import Section
from voiceflow_model.store import Store
from voiceflow_model.training.gce import watched
from voiceflow_model.training.phase import PhaseResult, train_phase
from voiceflow_model.training.preemption import PROCESS_STARTED, StopRequest
from voiceflow_model.training.progress import Listener, Terminal, describe

if TYPE_CHECKING:  # a training worker starts a second sooner without what only the later stages need
    from voiceflow_model.evaluation.stage import EvaluationResult
    from voiceflow_model.export.stage import ExportResult

Result = TypeVar("Result", bound=Section)
STAGES = (*PHASES, "evaluate", "export")


_COMMAND = {"validate": "train --phase validate", "train": "train", "evaluate": "evaluate --model"}


class Corpora:
    """The corpora of a run, each opened once: what a stage reads is what the run's identity was taken of."""

    def __init__(self, config: RunConfig) -> None:
        configs = {phase: config.corpus_of(phase) for phase in PHASES}
        opened = {each: open_corpus(each) for each in {*configs.values(), config.test_corpus}}
        self.of_phase = {phase: opened[each] for phase, each in configs.items()}
        self.test = opened[config.test_corpus]

    def fingerprints(self) -> dict[str, str]:
        """Of the content of each."""
        prints = {phase: corpus.fingerprint() for phase, corpus in self.of_phase.items()}
        return prints | ({} if self.test in self.of_phase.values() else {"evaluate": self.test.fingerprint()})


def open_run(
    config: RunConfig, store: Store, run_id: str, *, corpora: Corpora | None = None, after: str | None = None
) -> Run:
    """The run of that name, created if new. Raises RunConflict when settings or a corpus itself have changed.

    Where a corpus lies may change: a run that began at the Hub goes on at a mirror of the same files.

    With `after`, ConfigError unless the run has finished that stage; then nothing is created or changed.
    """
    fingerprints = {"corpus_fingerprints": (corpora or Corpora(config)).fingerprints()}
    decisive = {**config.identity(places=False), **fingerprints}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    if after is not None:
        # Before any lease: a session that failed for this would mark a healthy run as failed.
        try:
            done = after in RecordFile(store, run_id).read().stages
        except ObjectNotFound:
            done = False
        if not done:
            raise ConfigError(
                f"run {run_id} has not finished its {after} stage: first `voiceflow {_COMMAND[after]} ...`"
            )
    return Run.open(store, run_id, digest, {**config.identity(), **fingerprints})


def run_phase(
    config: RunConfig,
    phase: Phase,
    store: Store,
    run_id: str,
    *,
    stop: StopRequest | None = None,
    listener: Listener | None = None,
) -> PhaseResult:
    """Train one phase to its end and check its gate.

    Raises GateMissed when the held-out accuracies stay under `gates.accuracy`; see `train_phase` for the rest.
    """
    stop = stop or StopRequest(config.session.session_minutes, since=PROCESS_STARTED)
    listener = listener or Terminal()
    needs_validate = phase == "train" and config.phases.train.continue_from_validate
    corpora = Corpora(config)
    run = open_run(config, store, run_id, corpora=corpora, after="validate" if needs_validate else None)
    told_by_gce = watched(stop.request, listener.say) if config.session.watch_preemption else nullcontext()
    with stop.on_signals(), told_by_gce:
        result = _once(
            config, run, phase, PhaseResult, listener, stop,
            lambda session: train_phase(config, phase, corpora.of_phase[phase], session, stop=stop, listener=listener),
        )  # fmt: skip
    check_accuracy(config, result, store.uri(f"runs/{run_id}"))
    return result


def run_evaluation(
    config: RunConfig, store: Store, run_id: str, *, listener: Listener | None = None
) -> "EvaluationResult":
    """Export a candidate, tune its decisions on dev speakers, measure it on test speakers, and check the DER gate.

    Raises GateMissed when DER is not under `gates.der`, ConfigError when the train phase is not done.
    """
    from voiceflow_model.evaluation.stage import EvaluationResult, check_der, evaluate_model

    told, corpora = listener or Terminal(), Corpora(config)
    run = open_run(config, store, run_id, corpora=corpora, after="train")
    result = _once(
        config, run, "evaluate", EvaluationResult, told, None,
        lambda session: evaluate_model(config, corpora.test, session, told),
    )  # fmt: skip
    check_der(config, result)
    return result


def run_export(config: RunConfig, store: Store, run_id: str, *, listener: Listener | None = None) -> "ExportResult":
    """Prove that the measured file computes what torch computes, then promote it to `latest`.

    Raises GateMissed when they differ by more than `gates.parity` or when any gate before was missed, ConfigError when
    the run is not evaluated.
    """
    from voiceflow_model.evaluation.stage import EvaluationResult, check_der
    from voiceflow_model.export.stage import ExportResult, export_model

    told, run = listener or Terminal(), open_run(config, store, run_id, after="evaluate")
    for phase in PHASES:
        if phase in run.record.stages:
            result = PhaseResult.model_validate(run.record.stages[phase].result)
            check_accuracy(config, result, store.uri(f"runs/{run_id}"))
    check_der(config, EvaluationResult.model_validate(run.record.stages["evaluate"].result))
    return _once(config, run, "export", ExportResult, told, None, lambda session: export_model(config, session))


def check_accuracy(config: RunConfig, result: PhaseResult, where: str) -> None:
    """Raises GateMissed unless both held-out accuracies of a phase exceed `gates.accuracy`."""
    accuracy = result.accuracy
    if not config.gates.accurate(min(accuracy.frame_accuracy, accuracy.speaker_accuracy)):
        raise GateMissed(
            f"{result.phase}: {describe(accuracy)}; both must exceed {config.gates.accuracy:.0%} (gates.accuracy). "
            f"The run is kept in {where}; train longer (phases.*.epochs) or look at the data with `voiceflow peek`, "
            "under another --run-id"
        )


def _once(
    config: RunConfig,
    run: Run,
    stage: str,
    kind: type[Result],
    listener: Listener,
    stop: StopRequest | None,
    work: Callable[[Session], Result],
) -> Result:
    """The stage's stored result, or its work under the run's lease."""
    key = config.hash()
    if (done := run.record.stages.get(stage)) and done.key == key:
        listener.say(f"{stage}: already done, skipped ({run.store.uri(record_path(run.run_id))})")
        return kind.model_validate(done.result)
    ttl = config.session.lease_ttl_s

    def pause(seconds: float) -> None:
        """Wait for another worker's lease, unless asked to stop meanwhile."""
        if stop and stop.reason:
            raise Yielded(f"{stage} was not started: {stop.reason} while another worker held the run")
        time.sleep(seconds)

    if note := run.record.stop:
        raise Yielded(f"{stage} was not started: {note.by} asked the run to stop; `voiceflow run` starts it again")
    with run.lease(ttl_s=ttl, say=listener.say, sleep=pause) as session:
        found = session.stage_result(stage, key)  # another worker may have finished it while we waited
        if found is None:
            with heartbeat(session, ttl / 4, stop.request if stop else listener.say, listener.say):
                try:
                    found = work(session).model_dump(mode="json")
                finally:
                    listener.close()
            session.finish_stage(stage, key, found)
        last = stage == STAGES[-1]
        session.release("done" if last else "idle", "" if last else f"{stage} is done")
        return kind.model_validate(found)
