"""The export stage: parity with torch proven, then promotion to `latest`."""

import hashlib
import json

from voiceflow_model.config import RunConfig
from voiceflow_model.errors import CheckpointCorrupt, GateMissed
from voiceflow_model.evaluation.stage import EvaluationResult
from voiceflow_model.export.onnx import parity
from voiceflow_model.runs.session import Session
from voiceflow_model.section import Section
from voiceflow_model.training.trained import trained_model


class ExportResult(Section):
    """The record that the export stage leaves."""

    model: str
    latest: str
    parity: float
    bytes: int
    der: float


def export_model(config: RunConfig, session: Session) -> ExportResult:
    """Compare the evaluated file with torch, then make it `models/<configuration>/latest.onnx`."""
    store, record = session.store, session.record
    evaluation = EvaluationResult.model_validate(record.stages["evaluate"].result)
    data = store.read(evaluation.model_path).data
    if hashlib.sha256(data).hexdigest() != evaluation.model_sha256:
        raise CheckpointCorrupt(f"{evaluation.model} is not the file that was evaluated; evaluate under a new --run-id")
    model, _ = trained_model(config, store, record)
    difference = parity(model, data)
    if not difference <= config.gates.parity:
        raise GateMissed(
            f"ONNX Runtime and torch differ by {difference:.1e}, more than gates.parity allows "
            f"({config.gates.parity:g}); the model is kept at {evaluation.model} and is not promoted"
        )
    latest = f"models/{config.name}/latest"
    facts = {"run_id": record.run_id, "sha256": evaluation.model_sha256, "der": evaluation.report.der}
    session.renew()
    # Model first, facts last: whoever finds the facts finds the file that they describe.
    store.write(f"{latest}.onnx", data)
    store.write(f"{latest}.json", json.dumps(facts).encode())
    return ExportResult(
        model=evaluation.model,
        latest=store.uri(f"{latest}.onnx"),
        parity=difference,
        bytes=len(data),
        der=evaluation.report.der,
    )
