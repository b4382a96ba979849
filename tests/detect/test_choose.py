from pathlib import Path

import pytest

from app.detect.choose import choose
from app.detect.local import LocalDetector
from app.detect.remote import RemoteDetector
from app.egress.sender import Egress
from tests.detect.pictures import colour_model, placed

URL = "https://detector.example/detr"


def chosen(model: Path | None, url: str | None):
    return choose(model=model, url=url, api_key=None, egress=Egress())


def test_without_settings_there_is_none():
    assert chosen(None, None) is None


def test_our_own_goes_before_somebodys(tmp_path):
    model = placed(tmp_path, colour_model())

    assert isinstance(chosen(model, None), LocalDetector)
    assert isinstance(chosen(model, URL), LocalDetector)


def test_somebodys_stands_in_for_one_that_can_not_be_run(tmp_path):
    assert isinstance(chosen(tmp_path / "absent.onnx", URL), RemoteDetector)
    assert isinstance(chosen(None, URL), RemoteDetector)


@pytest.mark.parametrize("url", [None, ""])
def test_one_that_can_not_be_run_says_so_itself(tmp_path, url):
    assert not chosen(tmp_path / "absent.onnx", url).available()
