"""The calls of the videos' document [A48]-[A55] as docs/pet-roast.md prints them, looked at and filmed by real code.

The detector is the real one, with a small model that takes what is red for a cat; the film is a real MP4.
"""

from dataclasses import replace

import pytest
import requests

from app.detect.local import LocalDetector
from app.egress.sender import Egress
from app.providers.kenburns.provider import Kenburns
from tests.detect.pictures import colour_model, placed, saved, spots
from tests.documents.lines import Page, served
from tests.egress.lines import answer, says, serving
from tests.services.acts import go_on

CAT = saved(spots(red=(30, 30)))
CAR = saved(spots(blue=(30, 30)))


@pytest.fixture
def fake():
    """Who films here."""
    made = Kenburns()
    yield made
    made.close()


@pytest.fixture
def detector(rt, tmp_path):
    rt.__dict__["detector"] = made = LocalDetector(placed(tmp_path, colour_model()))
    yield made
    made.close()


@pytest.fixture
def page(rt, client, as_, alice, operator, tmp_path, detector):
    rt.__dict__["providers"] = {"kenburns": rt.providers["fake"]}
    rt.__dict__["egress"] = Egress(("127.0.0.1",))
    (tmp_path / "dog.png").write_bytes(CAR)
    tokens = [as_(who)["Authorization"].removeprefix("Bearer ") for who in (alice, operator)]
    with served(client.application) as address, serving(says(answer(CAT))) as pictures:
        rt.settings = replace(rt.settings, providers=("kenburns",), public_url=address)
        words = {"TOKEN": tokens[0], "OPERATOR": tokens[1], "PICTURE": f"{pictures.url}/dog.jpg"}
        yield Page("pet-roast.md", tmp_path, ATELIER=address, **words)


def test_the_lines_of_the_page_work_as_they_stand_there(page, rt, board):
    begun = page.run("image_url")
    assert (begun["status"], begun["pet_check"]) == ("queued", "passed")
    go_on(rt, board)

    page.words["JOB"] = begun["job_id"]
    video = page.run("/api/video-status/$JOB")
    assert (video["status"], video["progress"], video["provider"]) == ("completed", 100, "kenburns")
    assert (video["pet"], video["translated"]) == ("cat", False)
    file = requests.get(video["video_url"], timeout=5)
    assert (file.status_code, file.headers["Content-Type"], file.content[4:8]) == (200, "video/mp4", b"ftyp")
    assert video["duration"] > 0
    assert requests.get(video["thumbnail_url"], timeout=5).ok

    refused = page.run("image=@dog.png")
    assert (refused["status"], refused["error"]) == (400, "no_pets_detected")
    assert refused["suggestion"]

    figures = page.run("/api/video-stats")
    assert figures["videos"]["success_rate"] == 1.0
    assert figures["pet_checks"]["rejection_rate"] == 0.5
    assert page.lines == []
