"""`voiceflow score`: DER of RTTM files against reference RTTM files."""

from typing import Annotated

import typer

from voiceflow_model.cli.options import Json


def score(
    reference: Annotated[str, typer.Argument(metavar="REF_DIR", help="Reference RTTM files, and UEM files if any.")],
    hypothesis: Annotated[str, typer.Argument(metavar="HYP_DIR", help="RTTM files to score.")],
    missing_as_missed: Annotated[
        bool, typer.Option("--missing-as-missed", help="Count recordings without a hypothesis as missed speech.")
    ] = False,
    json: Json = False,
) -> None:
    """Score RTTM files: DER with collar 0 and overlap, its 95 % interval and parts, JER, speaker counts, per file."""
    from voiceflow_model.cli.output import show
    from voiceflow_model.evaluation.report import score_dirs

    report = score_dirs(reference, hypothesis, missing_as_missed=missing_as_missed)
    show(report, report.to_table, as_json=json)
