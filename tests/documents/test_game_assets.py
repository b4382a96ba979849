"""The calls of the games' document [A24]-[A28] as docs/game-assets.md prints them, drawn by the real sketch."""

import io
from dataclasses import replace

import pytest
import requests
from PIL import Image

from app.domain.vocabulary import ImageFormat
from app.providers.sketch.provider import Sketch
from tests.documents.lines import Page, served
from tests.fakes.scripted import picture
from tests.services.acts import go_on


@pytest.fixture
def fake():
    """Who draws here."""
    return Sketch()


@pytest.fixture
def page(rt, client, as_, alice, tmp_path):
    rt.__dict__["providers"] = {"sketch": rt.providers["fake"]}
    for n in range(1, 6):
        (tmp_path / f"{n}.png").write_bytes(picture((n * 40, 0, 0)))
    with served(client.application) as address:
        rt.settings = replace(rt.settings, providers=("sketch",), public_url=address)
        token = as_(alice)["Authorization"].removeprefix("Bearer ")
        yield Page("game-assets.md", tmp_path, ATELIER=address, TOKEN=token)


def test_the_lines_of_the_page_work_as_they_stand_there(page, rt, board):
    begun = page.run('POST "$ATELIER/api/ai/assets"')
    assert (begun["success"], begun["status"], begun["provider"]) == (True, "pending", "sketch")
    go_on(rt, board)

    page.words["JOB"] = begun["jobId"]
    job = page.run("/api/ai/jobs/$JOB")
    assert (job["status"], job["progress"]["percentage"], job["provider"]) == ("completed", 100, "sketch")
    assert len(job["results"]) == 2
    for result in job["results"]:
        with Image.open(io.BytesIO(requests.get(result["url"], timeout=5).content)) as drawn:
            assert (drawn.size, drawn.get_format_mimetype()) == ((512, 512), ImageFormat.PNG.mime)

    assert page.run("/api/ai/providers") == {"providers": [{"name": "sketch", "state": "up", "reason": ""}]}
    pack = page.run("/api/ai/style-packs")
    assert (pack["name"], pack["style"], pack["total"]) == ("Ink and water", "hand-drawn", 5)
    assert requests.get(pack["references"][4]["url"], timeout=5).ok
    assert page.lines == []
