"""Fit the shipped turn-taking statistics from folders of reference RTTMs.

python benchmarks/fit_turns.py RTTM_FOLDER > voiceflow_model/data/turns_NAME.json
"""

import sys
from pathlib import Path

from voiceflow_model.data.turns import fit_turns


def read(path: Path) -> list[tuple[float, float, str]]:
    """The turns of one RTTM."""
    fields = [line.split() for line in path.read_text().splitlines() if line.startswith("SPEAKER")]
    return [(float(f[3]), float(f[3]) + float(f[4]), f[7]) for f in fields]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(fit_turns([read(p) for p in sorted(folder.glob("*.rttm"))], folder.name).model_dump_json(indent=1))
