"""Promotion by itself."""

from flows.stage_flow import stage_flow
from tasks import export_model
from voiceflow_model.config import RunConfig
from voiceflow_model.export.stage import ExportResult


@stage_flow("voiceflow-export", until="export")
def export(config: RunConfig, store_url: str, run_id: str) -> ExportResult:
    """Make an evaluated run's model the latest of its configuration."""
    return export_model(config, store_url, run_id)
