import base64
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts import artifact_key, attempt, browsable, harmless, picture
from voiceflow_model.config import RunConfig


def test_a_picture_needs_no_server() -> None:
    found = re.fullmatch(r"!\[curves\]\(data:image/png;base64,(.*)\)", picture("curves", b"\x89PNG"))
    assert found
    assert base64.b64decode(found[1]) == b"\x89PNG"


def test_a_picture_too_large_for_a_database_row_is_named_only() -> None:
    assert picture("huge", bytes(600_000)) == "*huge: 0.6 MB, too large to show here*"


def test_a_bucket_object_opens_in_a_signed_in_browser() -> None:
    assert browsable("gs://b/models/m.onnx") == "https://storage.cloud.google.com/b/models/m.onnx"
    assert browsable("file:///b/m.onnx") == "file:///b/m.onnx"


@given(name=st.text(max_size=30))
def test_every_configuration_name_makes_a_key_that_prefect_accepts(name: str, tiny_config: RunConfig) -> None:
    key = artifact_key(tiny_config.model_copy(update={"name": name}), "report")
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key)
    assert key.endswith("report")


def test_outside_a_run_nothing_is_published(caplog: pytest.LogCaptureFixture) -> None:
    published: list[int] = []
    with caplog.at_level(logging.DEBUG, "voiceflow"):
        attempt("report", lambda: published.append(1))
    assert not published
    assert "no Prefect run" in caplog.text


def test_a_failing_artifact_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ConnectionError("server gone")

    harmless("report", fail)
    assert "report: the artifact was not published: ConnectionError: server gone" in caplog.text
