"""A Drive that is a folder, and outlives the machines that mount it."""

import os
from pathlib import Path


def mount(mountpoint: str) -> None:
    Path(os.environ["COLAB_DRIVE"], "MyDrive").mkdir(parents=True, exist_ok=True)
    os.symlink(os.environ["COLAB_DRIVE"], mountpoint)
