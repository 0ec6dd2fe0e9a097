"""What people see in the Prefect UI: tables, pictures and a link. It never fails, and never stops, what it shows.

Pictures travel inside their markdown artifact as data URIs: both of Prefect's user interfaces show these, and a
picture that lies in a private bucket, a folder or RAM has no address that a browser could open.
"""

import base64
import re
from collections.abc import Callable

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from tasks.run_context import in_run, logger
from voiceflow_model.config import RunConfig
from voiceflow_model.evaluation.pictures import curves_png
from voiceflow_model.evaluation.settings import GateConfig
from voiceflow_model.evaluation.stage import EvaluationResult
from voiceflow_model.export.stage import ExportResult
from voiceflow_model.store import Store
from voiceflow_model.training.phase import PhaseResult

_MOST_PICTURE_BYTES = 500_000


def attempt(what: str, publish: Callable[[], object]) -> None:
    """Publish when Prefect is watching; outside a run nothing happens."""
    if in_run():
        harmless(what, publish)
    else:
        logger().debug("%s: no Prefect run, so no artifact", what)


def harmless(what: str, publish: Callable[[], object]) -> None:
    """Publish; a failure is logged and forgotten, for no stage depends on being seen."""
    try:
        publish()
    except Exception as error:
        logger().warning("%s: the artifact was not published: %s: %s", what, type(error).__name__, error)


def artifact_key(config: RunConfig, what: str) -> str:
    """One key per configuration, so that Prefect shows an artifact's history over all runs of it."""
    return re.sub(r"[^a-z0-9]+", "-", f"{config.name}-{what}".lower()).strip("-")


def publish_phase(config: RunConfig, store: Store, result: PhaseResult) -> None:
    """Accuracies beside their baselines and gate, and the loss curve."""
    accuracy = result.accuracy
    create_table_artifact(
        [
            _judged("frames", accuracy.frame_accuracy, accuracy.frame_majority, config.gates),
            _judged("speakers", accuracy.speaker_accuracy, accuracy.speaker_majority, config.gates),
        ],
        key=artifact_key(config, f"{result.phase}-accuracy"),
        description=(
            f"Held-out accuracy after {result.windows:,} windows ({result.speakers} speakers, "
            f"{result.parameters:,} parameters); checkpoint {result.checkpoint}"
        ),
    )
    create_markdown_artifact(
        picture("training curves", curves_png({result.phase: result.curve})),
        key=artifact_key(config, f"{result.phase}-curves"),
    )


def publish_evaluation(config: RunConfig, store: Store, result: EvaluationResult) -> None:
    """The report as it lies in the store: DER table, curves and who-spoke-when timelines."""
    text = _read(store, result.report_at).decode()
    for address in result.pictures:
        name = address.rsplit("/", 1)[1]
        text = re.sub(rf"!\[[^\]]*\]\({re.escape(name)}\)", lambda _: picture(name, _read(store, address)), text)  # noqa: B023
    create_markdown_artifact(text, key=artifact_key(config, "report"), description=result.report.summary())


def publish_export(config: RunConfig, store: Store, result: ExportResult) -> None:
    """Where the promoted model is."""
    create_link_artifact(
        browsable(result.latest),
        link_text=result.latest,
        key=artifact_key(config, "model"),
        description=f"{result.bytes / 1e6:.1f} MB, DER {result.der:.1%}, parity with torch {result.parity:.0e}",
    )


def picture(title: str, png: bytes) -> str:
    """A PNG as a markdown image that needs no server; its name alone when it is too large to store with the run."""
    if len(png) > _MOST_PICTURE_BYTES:
        return f"*{title}: {len(png) / 1e6:.1f} MB, too large to show here*"
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def browsable(address: str) -> str:
    """The address under which a signed-in browser finds a gs:// object; others as they are."""
    return re.sub(r"^gs://", "https://storage.cloud.google.com/", address)


def _judged(what: str, accuracy: float, majority: float, gates: GateConfig) -> dict[str, str]:
    return {
        "accuracy of": what,
        "held out": f"{accuracy:.1%}",
        "majority class": f"{majority:.1%}",
        "gate": f"> {gates.accuracy:.0%}",
        "": "passed" if gates.accurate(accuracy) else "missed",
    }


def _read(store: Store, address: str) -> bytes:
    return store.read(address.removeprefix(f"{store.url}/")).data
