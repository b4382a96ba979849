"""The calls of the 3D assets' document [A30]-[A44] as it prints them, with a token, worked on by real workers' code."""

import base64
import threading

import pytest

from app.domain.vocabulary import Kind
from tests.fakes.maker import UPRIGHT, Maker
from tests.fakes.scripted import picture
from tests.services.acts import attempt

PIPELINE = {
    "assetId": "goblin-warrior",
    "name": "Goblin Warrior",
    "description": "A fierce goblin warrior with leather armor",
    "type": "character",
    "subtype": "humanoid",
    "generationType": "avatar",
    "style": "low-poly",
    "quality": "high",
    "enableRigging": True,
    "enableRetexturing": True,
    "enableSprites": True,
    "materialPresets": [
        "steel",
        {
            "id": "mossy",
            "displayName": "Mossy",
            "stylePrompt": "stone overgrown with moss",
            "color": "#557744",
        },
    ],
    "metadata": {"useGPT4Enhancement": True, "characterHeight": 1.83},
    "customPrompts": {"gameStyle": "blocky shapes, flat colours"},
}
URL = f"data:image/png;base64,{base64.b64encode(picture(size=(200, 100))).decode()}"

pytestmark = pytest.mark.usefixtures("shipped")


@pytest.fixture
def fake():
    return Maker()


@pytest.fixture
def work(rt, board):
    def act(most=50):
        worker, n = board.worker(), 0
        while n < most and (claims := board.claim(worker, 1)):
            attempt(rt, claims[0])
            n += 1
        return n

    return act


@pytest.fixture
def at_work(rt, board):
    """Let a worker go on beside the test, for calls that wait."""
    over = threading.Event()

    def act():
        worker = board.worker()
        while not over.wait(0.02):
            for claim in board.claim(worker, 1):
                attempt(rt, claim)

    thread = threading.Thread(target=act)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.fixture
def ask(call, alice):
    def act(method, path, **given):
        answer = call(alice, method, path, **given)
        assert answer.status_code == 200, answer.text
        return answer

    return act


@pytest.fixture
def made(ask, work):
    """An asset that is made."""
    body = {"name": "Sword", "type": "weapon", "subtype": "sword", "description": "a plain sword"}
    begun = ask("POST", "/api/generation/pipeline", json=body).json
    work()
    return begun["assetId"]


def test_health_names_the_services(call):
    answer = call(None, "GET", "/api/health")
    assert answer.json.keys() >= {"status", "timestamp", "services"}
    assert answer.json["services"] == {"fake": True, "database": True, "redis": True}


def test_a_pipeline_from_words_to_sprites(ask, work, fake):
    begun = ask("POST", "/api/generation/pipeline", json=PIPELINE).json
    assert begun["status"] == "initializing"
    path = f"/api/generation/pipeline/{begun['pipelineId']}"
    first = ask("GET", path).json
    assert first["status"] == "initializing"
    assert first["stages"].keys() == {
        "textInput",
        "promptOptimization",
        "imageGeneration",
        "image3D",
        "textureGeneration",
        "rigging",
        "spriteGeneration",
    }
    assert first["stages"]["textInput"]["status"] == "completed"
    assert first["stages"]["image3D"]["status"] == "pending"

    work(2)
    halfway = ask("GET", path).json
    assert (halfway["status"], halfway["stages"]["promptOptimization"]["status"]) == (
        "processing",
        "completed",
    )
    assert 0 < halfway["progress"] < 100
    work()

    ended = ask("GET", path).json
    assert (ended["status"], ended["progress"], ended["error"]) == ("completed", 100, None)
    stages = ended["stages"]
    assert {one["status"] for one in stages.values()} == {"completed"}
    assert stages["promptOptimization"]["result"]["optimizedPrompt"].startswith("better: A fierce goblin")
    assert "/files/" in stages["imageGeneration"]["result"]["imageUrl"]
    variants = stages["textureGeneration"]["result"]["variants"]
    assert [(one["preset"], one["name"], one["success"]) for one in variants] == [
        ("steel", "Steel", True),
        ("mossy", "Mossy", True),
    ]
    assert stages["image3D"]["provider"] == "fake"
    assert stages["image3D"]["startedAt"] <= stages["image3D"]["completedAt"]
    assert ended["finalAsset"]["id"] == begun["assetId"]
    assert len(ended["finalAsset"]["variants"]) == 2

    [model] = fake.of(Kind.MODEL)
    assert dict(model.settings) == {"polycount": 12_000, "textureResolution": "2k", "pbr": True}
    [concept] = fake.of(Kind.GAME_ASSET)
    assert concept.prompt.startswith("better: ")
    assert "T-pose" in concept.prompt
    assert "blocky shapes" in concept.prompt
    assert fake.of(Kind.RIG)[0].settings["height"] == 1.83
    assert {task.settings["preset"] for task in fake.of(Kind.RETEXTURE)} == {"steel", "mossy"}

    listed = ask("GET", "/api/assets")
    assert "no-store" in listed.headers["Cache-Control"]
    assert {one["name"] for one in listed.json} == {
        "Goblin Warrior",
        "Goblin Warrior (Steel)",
        "Goblin Warrior (Mossy)",
    }
    base = next(one for one in listed.json if one["id"] == begun["assetId"])
    assert base["hasModel"]
    assert base["metadata"]["slug"] == "goblin-warrior"
    assert base["metadata"]["isRigged"]
    assert base["metadata"]["hasSpriteSheet"]
    assert sorted(base["metadata"]["variants"]) == sorted(one["id"] for one in variants)

    walking = ask("GET", f"/api/assets/{base['id']}/animations/walking.glb")
    assert b"walks" in walking.data
    assert b"rigged" in ask("GET", f"/api/assets/{base['id']}/model").data
    assert ask("GET", f"/api/assets/{base['id']}/sprites/90deg.png").mimetype == "image/png"


def test_a_pipeline_from_a_picture(ask, work, fake):
    body = {
        **PIPELINE,
        "referenceImage": {"dataUrl": URL},
        "enableSprites": False,
        "enableRetexturing": False,
    }
    begun = ask("POST", "/api/generation/pipeline", json=body).json
    work()
    ended = ask("GET", f"/api/generation/pipeline/{begun['pipelineId']}").json
    assert ended["status"] == "completed"
    words = {name: one["status"] for name, one in ended["stages"].items()}
    assert words["promptOptimization"] == words["imageGeneration"] == words["textureGeneration"] == "skipped"
    assert [one.mime for one in fake.of(Kind.MODEL)[0].references] == ["image/png"]
    assert ask("GET", f"/api/assets/{begun['assetId']}/concept-art.png").mimetype == "image/png"


def test_what_is_missing_is_told_in_the_documents_sentence(call, alice):
    answer = call(alice, "POST", "/api/generation/pipeline", json={"name": "Sword"})
    assert answer.status_code == 400
    assert answer.json["error"] == "name, type, and subtype are required"
    assert [one["field"] for one in answer.json["errors"]] == ["type", "subtype"]


def test_a_model_is_looked_for_and_got(ask, call, alice, made):
    head = ask("HEAD", f"/api/assets/{made}/model")
    got = ask("GET", f"/api/assets/{made}/model")
    assert got.mimetype == head.mimetype == "model/gltf-binary"
    assert int(head.headers["Content-Length"]) == len(got.data)
    assert got.data[:4] == b"glTF"
    part = call(alice, "GET", f"/api/assets/{made}/model", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.data) == (206, b"glTF")
    same = call(alice, "GET", f"/api/assets/{made}/model", headers={"If-None-Match": got.headers["ETag"]})
    assert same.status_code == 304
    assert "immutable" not in got.headers["Cache-Control"]


def test_metadata_is_changed_and_the_asset_deleted(ask, call, alice, made):
    body = {
        "type": "blade",
        "name": "sword-v2",
        "metadata": {"description": "a better sword", "tags": ["sharp", "steel"]},
    }
    changed = ask("PATCH", f"/api/assets/{made}", json=body).json
    assert (changed["name"], changed["type"]) == ("sword-v2", "blade")
    assert (changed["description"], changed["tags"]) == ("a better sword", ["sharp", "steel"])
    gone = ask("DELETE", f"/api/assets/{made}?includeVariants=true").json
    assert (gone["success"], gone["deleted"]) == (True, [made])
    assert call(alice, "GET", f"/api/assets/{made}/model").status_code == 404


def test_materials(ask):
    shipped = ask("GET", "/api/material-presets").json
    assert len(shipped) == 10
    assert shipped[0].keys() == {"id", "name", "displayName", "category", "tier", "color", "stylePrompt"}
    mythril = {
        "id": "mythril",
        "name": "mythril",
        "displayName": "Mythril",
        "category": "metal",
        "tier": 3,
        "color": "#E0E0E0",
        "stylePrompt": "mythril metal texture, brilliant silver-white finish",
    }
    saved = ask("POST", "/api/material-presets", json=[mythril]).json
    assert (saved["success"], saved["message"]) == (True, "Material presets saved successfully")
    assert mythril in ask("GET", "/api/material-presets").json


def test_a_variant(ask, work, made, fake):
    bronze = {
        "id": "bronze",
        "displayName": "Bronze",
        "category": "metal",
        "tier": 1,
        "color": "#CD7F32",
        "stylePrompt": "bronze metal texture with oxidized patina",
    }
    body = {"baseAssetId": made, "materialPreset": bronze, "outputName": "steel-sword-bronze"}
    answer = ask("POST", "/api/retexture", json=body).json
    assert answer["success"]
    assert "modelUrl" not in answer
    work()
    variant = ask("GET", f"/api/assets/{answer['variantId']}").json
    assert (variant["name"], variant["hasModel"]) == ("steel-sword-bronze", True)
    assert variant["metadata"]["parentBaseModel"] == made
    assert variant["metadata"]["materialPreset"]["id"] == "bronze"
    [task] = fake.of(Kind.RETEXTURE)
    assert b"model" in task.source.content
    assert "patina" in task.prompt


def test_a_variant_that_is_waited_for(ask, made, at_work):
    body = {"baseAssetId": made, "materialPreset": "gold"}
    answer = ask("POST", "/api/retexture?wait=30", json=body).json
    assert answer["status"] == "completed"
    assert answer["asset"]["name"] == "Sword (Gold)"
    assert "/files/" in answer["modelUrl"]


def test_a_model_is_made_anew_and_the_old_one_stays_until_then(ask, work, made, fake):
    before = ask("GET", f"/api/assets/{made}/model")
    fake.mark = "again "
    answer = ask("POST", f"/api/regenerate-base/{made}").json
    assert answer["assetId"] == made
    assert ask("GET", f"/api/assets/{made}/model").data == before.data
    work()
    after = ask("GET", f"/api/assets/{made}/model")
    assert b"again" in after.data
    assert after.headers["ETag"] != before.headers["ETag"]


def test_sprites_that_are_sent(ask, made):
    config = {
        "size": 128,
        "angles": [0, 45, 90, 135, 180, 225, 270, 315],
        "cameraDistance": 5,
        "backgroundColor": "transparent",
    }
    body = {"sprites": [{"angle": 0, "imageData": URL}, {"angle": 45, "imageData": URL}], "config": config}
    answer = ask("POST", f"/api/assets/{made}/sprites", json=body).json
    assert answer["message"] == "2 sprites saved successfully"
    assert answer["spriteFiles"] == ["0deg.png", "45deg.png"]
    assert ask("GET", f"/api/assets/{made}/sprites/45deg.png").mimetype == "image/png"
    listed = ask("GET", f"/api/assets/{made}/sprites").json["sprites"]
    assert [one["angle"] for one in listed] == [0, 45]
    about = ask("GET", f"/api/assets/{made}/sprite-metadata.json").json
    assert (about["config"], about["spriteCount"]) == (config, 2)


def test_sprites_that_are_drawn(ask, work, made, fake):
    body = {"config": {"angles": 4, "resolution": 128}}
    answer = ask("POST", f"/api/assets/{made}/sprites", json=body).json
    assert answer["requestId"].startswith("vga_")
    work()
    assert fake.of(Kind.SPRITES)[0].settings == {"angles": [0, 90, 180, 270], "size": 128}
    assert ask("GET", f"/api/assets/{made}/sprites/270deg.png").mimetype == "image/png"


def test_where_a_weapon_is_held(ask, at_work, fake):
    body = {"image": URL, "angle": "side", "promptHint": "This is a longsword with wrapped leather grip"}
    answer = ask("POST", "/api/weapon-handle-detect", json=body).json
    assert answer["success"]
    assert answer["gripBounds"] == {"minX": 80, "minY": 60, "maxX": 120, "maxY": 90}
    assert (answer["confidence"], answer["weaponType"]) == (0.92, "sword")
    assert answer["detectedParts"]["blade"] == "long"
    assert answer["gripData"]["gripBounds"] == answer["gripBounds"]
    [task] = fake.of(Kind.VISION)
    assert "longsword" in task.prompt
    assert task.settings["schema"]["properties"].keys() == {
        "gripBounds",
        "confidence",
        "weaponType",
        "gripDescription",
        "detectedParts",
    }


def test_which_way_up_a_weapon_is(ask, at_work, fake):
    fake.seen = UPRIGHT
    answer = ask("POST", "/api/weapon-orientation-detect", json={"image": URL}).json
    assert {name: answer[name] for name in UPRIGHT} == UPRIGHT


@pytest.mark.parametrize(
    "name", ["game-styles", "asset-types", "materials", "generation", "gpt4-enhancement", "weapon-detection"]
)
def test_every_set_of_prompts_is_shipped(ask, name):
    found = ask("GET", f"/api/prompts/{name}").json
    assert found["version"]
    assert found["default"]
    assert found["custom"] == {}


def test_prompts_of_ones_own(ask, call, alice):
    body = {
        "version": "1.0.0",
        "default": {"low-poly": {"base": "blocky, four colours", "description": "Blocky geometry"}},
        "custom": {"painted": {"base": "thick brush strokes", "description": "Painted"}},
    }
    assert (
        ask("POST", "/api/prompts/game-styles", json=body).json["message"] == "Prompts updated successfully"
    )
    found = ask("GET", "/api/prompts/game-styles").json
    assert found["custom"]["painted"]["base"] == "thick brush strokes"
    assert found["custom"]["low-poly"]["prompt"] == "blocky, four colours"
    assert ask("DELETE", "/api/prompts/game-styles/painted").json["success"]
    assert call(alice, "DELETE", "/api/prompts/game-styles/painted").status_code == 404


def test_a_pipeline_is_cancelled(ask, call, alice, work):
    begun = ask("POST", "/api/generation/pipeline", json=PIPELINE).json
    path = f"/api/generation/pipeline/{begun['pipelineId']}"
    assert ask("DELETE", path).json["cancelled"] == 7
    assert ask("GET", path).json["status"] == "cancelled"
    assert call(alice, "DELETE", path).status_code == 409
    assert work() == 0
