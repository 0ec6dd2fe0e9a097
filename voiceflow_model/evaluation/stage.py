"""The evaluate stage: what users would get from this run's model, measured through the file that they would run."""

import hashlib
import io
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import soundfile

from voiceflow_model.config import PHASES, RunConfig
from voiceflow_model.data.corpus import SAMPLE_RATE_HZ, Corpus, Samples
from voiceflow_model.diarization.card import ModelCard, Tuning
from voiceflow_model.diarization.onnx_runtime import Diarizer
from voiceflow_model.diarization.plot import timeline_png
from voiceflow_model.diarization.rttm import Turn
from voiceflow_model.errors import GateMissed
from voiceflow_model.evaluation.der import Score, score
from voiceflow_model.evaluation.oracle import OracleTable, oracle_table
from voiceflow_model.evaluation.pictures import curves_png
from voiceflow_model.evaluation.recording import Recording
from voiceflow_model.evaluation.report import DerReport
from voiceflow_model.evaluation.simulated import dataset_name, heldout_recordings, overlap_share
from voiceflow_model.evaluation.trials import verification_eer
from voiceflow_model.evaluation.tuning import tune
from voiceflow_model.export.onnx import export_onnx, with_card
from voiceflow_model.network.powerset import powerset_classes
from voiceflow_model.runs.session import Session
from voiceflow_model.section import Section
from voiceflow_model.training.phase import PhaseResult
from voiceflow_model.training.progress import Listener
from voiceflow_model.training.trained import trained_model

_SAMPLE_S = 120
_ORACLE_RECORDINGS = 24


class EvaluationResult(Section):
    """The record that the evaluate stage leaves."""

    report: DerReport
    overlap: float
    eer: float
    oracle: OracleTable
    tuning: Tuning
    model: str
    model_path: str
    model_sha256: str
    report_at: str
    sample: str
    pictures: tuple[str, ...]


def evaluate_model(config: RunConfig, corpus: Corpus, session: Session, listener: Listener) -> EvaluationResult:
    """Candidate export, tuning on dev speakers, DER and EER on test speakers, report with pictures."""
    listener.say("evaluate: exporting, and tuning on conversations of dev speakers")
    data, tuning = _tuned_candidate(config, session, corpus)
    listener.say("evaluate: scoring conversations of test speakers")
    diarizer = Diarizer.load(data, threads=2)
    report, judged = score_recordings(
        diarizer, heldout_recordings(config, corpus, "test"), dataset_name(config, corpus)
    )
    objects = {"model.onnx": data, **_illustrations(config, session, corpus, judged, report)}
    store, folder = session.store, f"runs/{session.record.run_id}"
    result = EvaluationResult(
        report=report,
        overlap=overlap_share(judged),
        eer=verification_eer(diarizer, corpus, config.evaluation.trials),
        oracle=oracle_table(diarizer, islice(heldout_recordings(config, corpus, "test"), _ORACLE_RECORDINGS)),
        tuning=tuning,
        model=store.uri(f"{folder}/model.onnx"),
        model_path=f"{folder}/model.onnx",
        model_sha256=hashlib.sha256(data).hexdigest(),
        report_at=store.uri(f"{folder}/report/report.md"),
        sample=store.uri(f"{folder}/report/sample.flac"),
        pictures=tuple(store.uri(f"{folder}/{path}") for path in objects if path.endswith(".png")),
    )
    objects["report/report.md"] = markdown(config, session, result).encode()
    session.renew()  # if the run was taken over meanwhile, these objects are the new holder's
    for path, content in objects.items():
        store.write(f"{folder}/{path}", content)
    return result


def _tuned_candidate(config: RunConfig, session: Session, corpus: Corpus) -> tuple[bytes, Tuning]:
    """The trained model as the ONNX file that users would run, and the decision parameters inside it."""
    model, step = trained_model(config, session.store, session.record)
    card = ModelCard(
        num_speakers=config.network.num_speakers,
        window_s=config.conversation.window_s,
        powerset=powerset_classes(config.network.num_speakers),
        spectrum_bands=config.network.mels,
        config_hash=config.hash(),
        run_id=session.record.run_id,
        step=step,
    )
    data = export_onnx(model, card)
    tuning = tune(Diarizer.load(data, threads=2), heldout_recordings(config, corpus, "dev"))
    return with_card(data, card.model_copy(update={"tuning": tuning})), tuning


def check_der(config: RunConfig, result: EvaluationResult) -> None:
    """Raises GateMissed when DER is not under `gates.der`."""
    if result.report.der >= config.gates.der:
        raise GateMissed(
            f"DER {result.report.der:.1%} is not under {config.gates.der:.0%} (gates.der): the model is kept at "
            f"{result.model} and is not promoted; the report is at {result.report_at}"
        )


class Judged(NamedTuple):
    """What is kept of a recording once it is scored."""

    name: str
    duration_s: float
    reference: list[Turn]
    found: list[Turn]


def score_recordings(
    diarizer: Diarizer, recordings: Iterable[Recording], dataset: str
) -> tuple[DerReport, list[Judged]]:
    """Diarize and score: collar 0, overlap scored, number of speakers unknown. One recording at a time is in RAM."""
    scores: list[Score] = []
    judged: list[Judged] = []
    for one in recordings:
        found = diarizer.diarize(one.samples)
        scores.append(score(one.name, one.reference, found, one.scored))
        judged.append(Judged(one.name, one.duration_s, one.reference, found))
    return DerReport.from_scores(scores, dataset), judged


def markdown(config: RunConfig, session: Session, result: EvaluationResult) -> str:
    """The report for people."""
    phases = [PhaseResult.model_validate(s.result) for name, s in session.record.stages.items() if name in PHASES]
    rows = [
        f"| {p.phase} | {p.accuracy.frame_accuracy:.1%} ({p.accuracy.frame_majority:.1%}) "
        f"| {p.accuracy.speaker_accuracy:.1%} ({p.accuracy.speaker_majority:.1%}) | {p.windows:,} |"
        for p in phases
    ]
    trials = config.evaluation.trials
    pairs = f"on the trials of {trials}" if trials else "over all pairs of some utterances"
    return "\n".join(
        [
            f"# VoiceFlow run `{session.record.run_id}`",
            "",
            f"Configuration `{config.name}` ({config.hash()}, seed {config.seed}), corpus {config.corpus.kind}.",
            "",
            "## Accuracy on held-out speech of training speakers",
            "",
            "| phase | frames (always one class) | speakers (always the most frequent) | windows |",
            "| --- | ---: | ---: | ---: |",
            *rows,
            "",
            "![training curves](curves.png)",
            "",
            "## Diarization of speakers never trained on",
            "",
            f"Overlap: {result.overlap:.1%} of speech time. Verification EER: {result.eer:.1%} {pairs}.",
            "",
            f"What limits, on the first {min(_ORACLE_RECORDINGS, result.report.recordings)} recordings: DER with one "
            "stage of the pipeline at a time replaced by the truth.",
            "",
            result.oracle.to_markdown(),
            "",
            result.report.to_markdown(),
            *(f"![{p}]({p})" for p in (path.rsplit("/", 1)[1] for path in result.pictures) if p != "curves.png"),
            "",
        ]
    )


def _flac(samples: Samples) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="FLAC")
    return file.getvalue()


def _illustrations(
    config: RunConfig, session: Session, corpus: Corpus, judged: list[Judged], report: DerReport
) -> dict[str, bytes]:
    """Training curves, the median and the worst recording as pictures, the median one as sound: path -> bytes."""
    curves = {p: s.result["curve"] for p, s in session.record.stages.items() if "curve" in s.result}
    objects = {"report/curves.png": curves_png(curves, config.gates.accuracy)}
    by_der = sorted(report.files, key=lambda one: one.der)
    named = {one.name: one for one in judged}
    median = by_der[len(by_der) // 2]
    sample = next(one for one in heldout_recordings(config, corpus, "test") if one.name == median.name)
    objects["report/sample.flac"] = _flac(sample.samples[: _SAMPLE_S * SAMPLE_RATE_HZ])
    for word, one in (("median", median), ("worst", by_der[-1])):
        recording = named[one.name]
        objects[f"report/timeline-{word}.png"] = timeline_png(
            recording.found,
            recording.duration_s,
            reference=recording.reference,
            title=f"{one.name}, the {word} of {len(by_der)}: DER {one.der:.1%}",
        )
    return objects
