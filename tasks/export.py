"""Promotion as a task."""

from tasks.artifacts import publish_export
from tasks.listeners import listener_for
from tasks.stage_task import stage_task
from voiceflow_model.config import RunConfig
from voiceflow_model.export.stage import ExportResult
from voiceflow_model.stages import run_export
from voiceflow_model.store import open_store


@stage_task("export", ExportResult, publish_export)
def export_model(config: RunConfig, store_url: str, run_id: str) -> ExportResult:
    """Prove parity of the measured file and promote it to `latest`. Raises what `stages.run_export` does."""
    return run_export(config, open_store(store_url), run_id, listener=listener_for(config, "export"))
