"""Training as tasks: the little phase that proves the pipeline, and the one that makes the model."""

from tasks.artifacts import publish_phase
from tasks.listeners import listener_for
from tasks.stage_task import stage_task
from voiceflow_model.config import Phase, RunConfig
from voiceflow_model.stages import run_phase
from voiceflow_model.store import open_store
from voiceflow_model.training.phase import PhaseResult


@stage_task("validate", PhaseResult, publish_phase)
def validate_pipeline(config: RunConfig, store_url: str, run_id: str) -> PhaseResult:
    """Train the validate phase to its end and check its gate. Raises what `voiceflow_model.stages.run_phase` does."""
    return _train(config, "validate", store_url, run_id)


@stage_task("train", PhaseResult, publish_phase)
def train_model(config: RunConfig, store_url: str, run_id: str) -> PhaseResult:
    """Train the train phase to its end and check its gate. Raises what `voiceflow_model.stages.run_phase` does."""
    return _train(config, "train", store_url, run_id)


def _train(config: RunConfig, phase: Phase, store_url: str, run_id: str) -> PhaseResult:
    return run_phase(config, phase, open_store(store_url), run_id, listener=listener_for(config, phase))
