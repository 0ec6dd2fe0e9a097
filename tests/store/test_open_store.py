import subprocess
import sys
from pathlib import Path

import pytest

from voiceflow_model.errors import ConfigError
from voiceflow_model.store import open_store


@pytest.mark.parametrize("url", ["s3://bucket/x", "", "gs://", "memory://", "file://relative/x", "gs://bucket/../x"])
def test_an_impossible_url_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError):
        open_store(url)


def test_the_error_names_the_schemes_that_work() -> None:
    with pytest.raises(ConfigError, match=r"gs://.*file://.*memory://"):
        open_store("s3://bucket/x")


def test_a_plain_path_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("here").write("a/b", b"x")
    assert (tmp_path / "here" / "a" / "b").read_bytes() == b"x"


def test_opening_creates_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "later"))
    assert store.list() == []
    assert list(tmp_path.iterdir()) == []


def test_google_is_imported_only_for_a_bucket() -> None:
    code = (
        "import sys; from voiceflow_model.store import open_store; open_store('memory://x'); open_store('/tmp/x');"
        "assert not any(name.startswith('google') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
