"""The whole chain."""

from flows.stage_flow import run_here, stage_flow
from tasks import evaluate_model, export_model, train_model, validate_pipeline
from voiceflow_model.config import RunConfig
from voiceflow_model.evaluation.stage import EvaluationResult
from voiceflow_model.export.stage import ExportResult
from voiceflow_model.section import Section
from voiceflow_model.training.phase import PhaseResult


class PipelineResult(Section):
    """The records of the four stages of a run."""

    run_id: str
    validated: PhaseResult
    trained: PhaseResult
    evaluated: EvaluationResult
    exported: ExportResult


@stage_flow("voiceflow-pipeline", until="export")
def pipeline(config: RunConfig, store_url: str, run_id: str) -> PipelineResult:
    """Validate the pipeline on little data, train, evaluate what users would get, export it if it is good enough."""
    return PipelineResult(
        run_id=run_id,
        validated=validate_pipeline(config, store_url, run_id),
        trained=train_model(config, store_url, run_id),
        evaluated=evaluate_model(config, store_url, run_id),
        exported=export_model(config, store_url, run_id),
    )


def run_pipeline(config: RunConfig, store_url: str, run_id: str | None = None) -> PipelineResult:
    """The whole chain, here and now. See `flows.stage_flow.run_here`."""
    return run_here(pipeline, config, store_url, run_id)
