"""What a run reached, from its record: the lines that end `voiceflow run`."""

import os
import shlex
import shutil
import sys
from typing import Any

from voiceflow_model.runs.record import RunRecord
from voiceflow_model.store import Store


def summarise(record: RunRecord, store: Store, before: RunRecord | None) -> dict[str, Any]:
    """The run's figures and addresses, ready for JSON. Stages that `before` has finished alike were skipped."""
    done = before.stages if before is not None else {}
    results = {name: stage.result for name, stage in record.stages.items()}
    evaluation, export = results.get("evaluate"), results.get("export")
    figures = ("der", "ci_low", "ci_high", "false_alarm", "missed", "confusion", "jer", "recordings", "dataset")
    report = evaluation and {key: evaluation["report"][key] for key in figures} | {"eer": evaluation["eer"]}
    sample = _short(evaluation["sample"]) if evaluation else "meeting.wav"
    model = (export and export["latest"]) or (evaluation and evaluation["model"])
    return {
        "run_id": record.run_id,
        "store": store.url,
        "state": record.state,
        "why": record.why,
        "skipped": [name for name, stage in record.stages.items() if done.get(name) == stage],
        "accuracy": {name: result["accuracy"] for name, result in results.items() if "accuracy" in result},
        "evaluation": report,
        "parity": export and export["parity"],
        "model": model,
        "promoted": export is not None,
        "report": evaluation and evaluation["report_at"],
        "pictures": evaluation["pictures"] if evaluation else [],
        "try": model
        and f"{_program()} diarize {shlex.quote(sample)} --model {shlex.quote(_short(model))} --out diarized --plot",
    }


def readable(summary: dict[str, Any]) -> str:
    """The same for people, one line each."""
    lines = [("run", f"{summary['run_id']} in {summary['store']}: {summary['state']}")]
    for phase, found in summary["accuracy"].items():
        lines.append(
            (
                phase,
                f"frame accuracy {found['frame_accuracy']:.1%} (majority class {found['frame_majority']:.1%}), "
                f"speaker accuracy {found['speaker_accuracy']:.1%} (majority class {found['speaker_majority']:.1%})"
                + _said(summary, phase),
            )
        )
    if der := summary["evaluation"]:
        interval = "" if der["ci_low"] is None else f" [{der['ci_low']:.1%}, {der['ci_high']:.1%}]"
        lines.append(
            (
                "evaluate",
                f"DER {der['der']:.1%}{interval} (false alarm {der['false_alarm']:.1%}, missed {der['missed']:.1%}, "
                f"confusion {der['confusion']:.1%}), EER {der['eer']:.1%}; {der['recordings']} recordings: "
                f"{der['dataset']}{_said(summary, 'evaluate')}",
            )
        )
    if summary["parity"] is not None:
        lines.append(("export", f"equals torch within {summary['parity']:.1e}{_said(summary, 'export')}"))
    if summary["model"]:
        lines.append(("model", summary["model"] + ("" if summary["promoted"] else " (not promoted)")))
        lines.append(("report", summary["report"]))
        lines += [("picture", picture) for picture in summary["pictures"]]
        lines.append(("try", summary["try"]))
    return "\n".join(f"{name:<10}{text}" for name, text in lines)


def _said(summary: dict[str, Any], stage: str) -> str:
    return "; done before, skipped" if stage in summary["skipped"] else ""


def _short(address: str) -> str:
    return address.removeprefix("file://")


def _program() -> str:
    """How to call `voiceflow` from this shell: by name where it is on the PATH, else as it stands beside Python."""
    if shutil.which("voiceflow"):
        return "voiceflow"
    return shlex.quote(os.path.relpath(os.path.join(os.path.dirname(sys.executable), "voiceflow")))
