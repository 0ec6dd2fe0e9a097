"""Evaluation as a task."""

from tasks.artifacts import publish_evaluation
from tasks.listeners import listener_for
from tasks.stage_task import stage_task
from voiceflow_model.config import RunConfig
from voiceflow_model.evaluation.stage import EvaluationResult
from voiceflow_model.stages import run_evaluation
from voiceflow_model.store import open_store


@stage_task("evaluate", EvaluationResult, publish_evaluation)
def evaluate_model(config: RunConfig, store_url: str, run_id: str) -> EvaluationResult:
    """Measure DER through the exported candidate and check its gate. Raises what `stages.run_evaluation` does."""
    return run_evaluation(config, open_store(store_url), run_id, listener=listener_for(config, "evaluate"))
