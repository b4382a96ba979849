"""The calls of the AI-DnD document [A57]-[A66] as docs/ai-dnd.md prints them, drawn by the real sketch."""

import base64
import io
import json
import threading
import time
from dataclasses import replace

import pytest
import requests
from PIL import Image

from app.providers.sketch.provider import Sketch
from tests.documents.lines import Page, served
from tests.fakes.scripted import picture
from tests.services.acts import attempt


@pytest.fixture
def fake():
    """Who draws here."""
    return Sketch()


@pytest.fixture
def address(rt, client):
    rt.__dict__["providers"] = {"sketch": rt.providers["fake"]}
    with served(client.application) as found:
        rt.settings = replace(rt.settings, providers=("sketch",), public_url=found)
        yield found


@pytest.fixture
def page(address, as_, alice, tmp_path):
    token = as_(alice)["Authorization"].removeprefix("Bearer ")
    return Page("ai-dnd.md", tmp_path, ATELIER=address, TOKEN=token)


@pytest.fixture
def _somebody_draws(rt, board):
    over = threading.Event()

    def draw():
        worker = board.worker()
        while not over.is_set():
            for claimed in board.claim(worker, 1):
                attempt(rt, claimed)
            time.sleep(0.02)

    thread = threading.Thread(target=draw)
    thread.start()
    yield
    over.set()
    thread.join(20)


def _size(address):
    with Image.open(io.BytesIO(requests.get(address, timeout=5).content)) as image:
        return image.size


@pytest.mark.usefixtures("_somebody_draws")
def test_the_lines_of_the_page_work_as_they_stand_there(page, board):
    sword = page.run("/images/generate")
    assert (sword["status"], sword["subject_name"], sword["component"]) == (
        "completed",
        "Iron Sword",
        "item-modal",
    )
    assert (_size(sword["image_url"]), _size(sword["thumbnail_url"])) == ((1024, 1024), (200, 200))
    _is_found_featured_and_deleted(page, sword["id"])

    drawn, again = page.run("scenes/generate?location=Emberpeak"), page.run('"location": "Emberpeak"')
    assert (drawn["cached"], again["cached"], again["id"]) == (False, True, drawn["id"])
    assert _size(drawn["image_url"]) == (1024, 576)
    stats = page.run("/cache/stats")
    assert (stats["hits"], stats["misses"], stats["cache_hit_rate"]) == (1, 1, 50.0)
    assert page.run("/cache/clear")["deleted"] == 1

    _bring_what_a_browser_kept(page)
    assert page.lines == []
    assert board.scalar("SELECT count(*) FROM generation_requests") == 2


def _is_found_featured_and_deleted(page, image):
    page.words["IMAGE"] = image
    assert page.run("include_data=true")["image_data"].startswith("data:image/webp;base64,")
    found = page.run("/images/search")
    assert ([one["id"] for one in found["items"]], found["total_items"]) == ([image], 1)
    assert page.run("/feature")["is_featured"] is True
    assert page.run('DELETE "$ATELIER/api/v1/images/')["status"] == "deleted"
    assert page.run("/restore")["id"] == image


def _bring_what_a_browser_kept(page):
    image = base64.b64encode(picture()).decode()
    kept = {
        "scene_cache": {"scene_cache_Emberpeak_dawn_clear": {"image": f"data:image/png;base64,{image}"}},
        "item_images": {"item_image_Iron Sword": {"images": [{"image": image, "is_featured": True}]}},
    }
    (page.folder / "saved.json").write_text(json.dumps(kept))
    brought = page.run("from-localstorage")
    assert (brought["status"], brought["scenes"], brought["items"], brought["failed"]) == ("success", 1, 1, 0)


def test_administrators_clean_up_and_the_service_tells_how_it_is(address, as_, admin):
    headers = as_(admin)
    for what in ("expired-cache", "orphaned-images"):
        answer = requests.post(f"{address}/api/v1/maintenance/cleanup/{what}", headers=headers, timeout=5)
        assert answer.json()["deleted"] == 0
    stats = requests.get(f"{address}/api/v1/maintenance/stats", headers=headers, timeout=5).json()
    assert stats["images"]["active"] == 0
    health = requests.get(f"{address}/health", timeout=5).json()
    assert set(health) == {"status", "timestamp", "checks"}
    assert set(health["checks"]) == {"database", "redis", "disk_space", "images", "workers", "providers"}
    assert {"status", "free_gb"} <= set(health["checks"]["disk_space"])
    assert "total" in health["checks"]["images"]
