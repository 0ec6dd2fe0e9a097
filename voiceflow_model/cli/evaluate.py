"""`voiceflow evaluate`: DER of a model, as a stage of its run or on recordings of your own."""

from typing import TYPE_CHECKING, Annotated

import typer

from voiceflow_model.cli.options import DEFAULT_STORE, Json, MaybeConfigName, Model, Settings, StoreUrl

if TYPE_CHECKING:
    from voiceflow_model.errors import GateMissed
    from voiceflow_model.evaluation.report import DerReport

Outcome = tuple["DerReport", "GateMissed | None"]


def evaluate(
    model: Model,
    config: MaybeConfigName = None,
    settings: Settings = None,
    data: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Recordings: NAME.rttm beside NAME.flac or .wav.")
    ] = None,
    store: StoreUrl = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Measure a model: a run (its evaluate stage), any model on --data, or an .onnx on --config's test speakers.

    Without --data the configuration's DER gate decides the exit code.
    """
    from voiceflow_model.cli.model import run_named
    from voiceflow_model.cli.output import show
    from voiceflow_model.errors import ConfigError

    place = run_named(model, store)
    missed: GateMissed | None = None
    if data is not None:
        report = _on_folder(model, store, data)
    elif place is not None:
        report, missed = _of_run(place.store, place.run_id, config, settings)
    elif config is not None:
        report, missed = _on_simulated(model, store, config, settings)
    else:
        raise ConfigError(f"what should {model} be measured on? --data FOLDER of audio and RTTM, or --config NAME")
    show(report, report.to_table, as_json=json)
    if missed is not None:
        raise missed


def _on_folder(model: str, store: str, folder: str) -> "DerReport":
    from voiceflow_model.cli.model import find_model
    from voiceflow_model.cli.output import say
    from voiceflow_model.diarization.onnx_runtime import Diarizer
    from voiceflow_model.evaluation.der import score
    from voiceflow_model.evaluation.recording import load_folder
    from voiceflow_model.evaluation.report import DerReport

    diarizer = Diarizer.load(find_model(model, store))
    scores = []
    for one in load_folder(folder):
        scores.append(score(one.name, one.reference, diarizer.diarize(one.samples), one.scored))
        say(f"{one.name}: DER {scores[-1].der:.1%}")
    return DerReport.from_scores(scores, folder)


def _of_run(store: str, run_id: str, config: str | None, settings: list[str] | None) -> Outcome:
    from voiceflow_model.cli.output import say
    from voiceflow_model.cli.record import require_stage
    from voiceflow_model.cli.settings import configured, of_run
    from voiceflow_model.errors import GateMissed
    from voiceflow_model.evaluation.stage import EvaluationResult
    from voiceflow_model.runs.run import Run, forget_stop
    from voiceflow_model.stages import run_evaluation
    from voiceflow_model.store import open_store

    place, missed = open_store(store), None
    run = Run.load(place, run_id)
    require_stage(run.record, "train", f"`voiceflow train --config ... --store {store} --run-id {run_id}`")
    forget_stop(place, run_id)
    try:
        run_evaluation(configured(config, settings) if config else of_run(run.record, settings), place, run_id)
    except GateMissed as error:
        missed = error  # the report is stored, and is worth reading most now
    result = EvaluationResult.model_validate(run.refresh().stages["evaluate"].result)
    say(f"report: {result.report_at}\nmodel: {result.model}\nverification EER: {result.eer:.1%}")
    return result.report, missed


def _on_simulated(model: str, store: str, name: str, settings: list[str] | None) -> Outcome:
    from voiceflow_model.cli.model import find_model
    from voiceflow_model.cli.output import say
    from voiceflow_model.cli.settings import configured
    from voiceflow_model.data.corpora import open_corpus
    from voiceflow_model.diarization.onnx_runtime import Diarizer
    from voiceflow_model.errors import GateMissed
    from voiceflow_model.evaluation.simulated import dataset_name, heldout_recordings
    from voiceflow_model.evaluation.stage import score_recordings

    config = configured(name, settings)
    diarizer = Diarizer.load(find_model(model, store))
    say(f"measuring on the test speakers of {name}")
    corpus = open_corpus(config.test_corpus)
    dataset = f"{name}: {dataset_name(config, corpus)}"
    report, _ = score_recordings(diarizer, heldout_recordings(config, corpus, "test"), dataset)
    if report.der < config.gates.der:
        return report, None
    return report, GateMissed(f"{model}: DER {report.der:.1%} is not under {config.gates.der:.0%} (gates.der)")
