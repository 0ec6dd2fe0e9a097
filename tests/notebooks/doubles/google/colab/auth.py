"""Sign-in that leaves a note where a test can see it."""

import os
from pathlib import Path


def authenticate_user() -> None:
    Path(os.environ["COLAB_SIGNED_IN"]).write_text("yes")
