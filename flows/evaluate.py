"""Evaluation by itself."""

from flows.stage_flow import stage_flow
from tasks import evaluate_model
from voiceflow_model.config import RunConfig
from voiceflow_model.evaluation.stage import EvaluationResult


@stage_flow("voiceflow-evaluate", until="evaluate")
def evaluate(config: RunConfig, store_url: str, run_id: str) -> EvaluationResult:
    """Measure a trained run on speakers it never heard."""
    return evaluate_model(config, store_url, run_id)
