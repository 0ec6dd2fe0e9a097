"""What benchmarks of a trained model share: arguments, harder conversations, and how they print a DER."""

import argparse

from voiceflow_model.evaluation.report import DerReport

# What no shipped configuration trains on.
AMIS_TURNS = ("conversation.turn_style=ami", "evaluation.overlap_probability=0.5")
LOUD = ("conversation.room_share=1.0", "conversation.snr_db=[0.0, 10.0]")
HARDER = (*AMIS_TURNS, *LOUD)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser for a model, and for the configuration whose recordings it is measured on."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a run, or an ONNX file that VoiceFlow exported")
    parser.add_argument("--store", default="voiceflow-store", help="where the run is")
    parser.add_argument("--config", default="demo", help="which corpus, and which recordings to simulate from it")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes to the configuration")
    return parser


def cells(report: DerReport) -> str:
    """DER and what it is made of, two cells of a Markdown table."""
    parts = (report.false_alarm, report.missed, report.confusion)
    return f"{report.der:.1%} | {' / '.join(f'{100 * part:.1f}' for part in parts)}"
