"""Log lines say what happened and where, and quote nothing that a client or a server said."""

import json

import pytest
import structlog

from app import log


@pytest.fixture(autouse=True)
def _configured():
    log.configure("INFO", "json")
    yield
    log.configure("CRITICAL")


def last_line(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().err.splitlines()[-1])


def test_an_exception_is_told_by_type_and_place_and_not_by_its_words(capsys):
    log.configure("INFO", "json")
    try:
        int("canary prompt")
    except ValueError:
        structlog.get_logger("test").exception("crashed")
    line = last_line(capsys)
    assert line["error"] == "ValueError"
    assert any("test_log.py" in place for place in line["at"])
    assert "canary" not in json.dumps(line)


@pytest.mark.parametrize("name", ["prompt", "token", "password", "authorization", "api_key", "secret"])
def test_what_may_be_secret_is_dropped_by_its_name(capsys, name):
    log.configure("INFO", "json")
    structlog.get_logger("test").info("said", **{name: "canary", "user": "alice"})
    line = last_line(capsys)
    assert line[name] == "***"
    assert line["user"] == "alice"
