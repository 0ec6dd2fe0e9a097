"""Training by itself."""

from flows.stage_flow import stage_flow
from tasks import train_model
from voiceflow_model.config import RunConfig
from voiceflow_model.training.phase import PhaseResult


@stage_flow("voiceflow-train", until="train")
def train(config: RunConfig, store_url: str, run_id: str) -> PhaseResult:
    """Train, from wherever the run's last worker left it."""
    return train_model(config, store_url, run_id)
