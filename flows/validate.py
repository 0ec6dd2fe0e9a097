"""The little phase by itself."""

from flows.stage_flow import stage_flow
from tasks import validate_pipeline
from voiceflow_model.config import RunConfig
from voiceflow_model.training.phase import PhaseResult


@stage_flow("voiceflow-validate", until="validate")
def validate(config: RunConfig, store_url: str, run_id: str) -> PhaseResult:
    """Train a little and check that the pipeline learns at all."""
    return validate_pipeline(config, store_url, run_id)
