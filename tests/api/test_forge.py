"""3D assets where things go wrong, or two want the same at once: names that lead elsewhere, stale changes, foreign things."""

import base64
import threading

import pytest
from sqlalchemy import text

from app.domain.vocabulary import Kind
from app.services.forge.prompts import filled
from tests.api.conftest import fields, kept_asset
from tests.conftest import until
from tests.fakes.maker import GRIP, Maker, glb
from tests.fakes.scripted import picture
from tests.services.acts import attempt

PIPELINE, ASSETS = "/api/generation/pipeline", "/api/assets"
SWORD = {"name": "Sword", "type": "weapon", "subtype": "sword"}
TIN = {"id": "tin", "displayName": "Tin", "stylePrompt": "dull grey tin"}
URL = f"data:image/png;base64,{base64.b64encode(picture(size=(200, 100))).decode()}"
HANDLE = "/api/weapon-handle-detect"
ELSEWHERE = ["../x", "..%2fx", "a/b", "/etc/passwd", "..", "a\\b", "a\x00b", "%2e%2e%2f", "."]

pytestmark = pytest.mark.usefixtures("shipped")


@pytest.fixture
def fake():
    return Maker()


@pytest.fixture
def asset(rt, studio, alice):
    return kept_asset(rt, studio, alice, model=glb("a sword"))


@pytest.fixture
def good(call, alice):
    def act(method, path, **given):
        answer = call(alice, method, path, **given)
        assert answer.status_code == 200, answer.text
        return answer.json

    return act


def on_disk(rt):
    return sorted(str(path) for path in rt.store.path("0" * 64).parents[2].rglob("*") if path.is_file())


def together(*acts):
    """Run these at the same moment; return what each answered."""
    gate, answers = threading.Barrier(len(acts)), [None] * len(acts)

    def one(n, act):
        gate.wait()
        answers[n] = act()

    threads = [threading.Thread(target=one, args=given) for given in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


class TestNamesThatLeadElsewhere:
    @pytest.mark.parametrize(
        "name",
        [
            "../../../etc/passwd",
            "..%2f..%2f..%2fetc%2fpasswd",
            "%2e%2e/%2e%2e/etc/passwd",
            "..%252f..%252fetc%252fpasswd",
            "%2fetc%2fpasswd",
            "/etc/passwd",
            "model.glb%00.png",
            "model%00",
            "sprites/..%2f..%2fmodel.glb",
            "sprites/0deg.png/../../model",
            "..\\..\\windows\\win.ini",
            "CON",
            "reference-source",
            "sprite-9999",
            "sprites/NaNdeg.png",
            "sprites/1e9deg.png",
            "MODEL.GLB",
        ],
    )
    def test_of_files(self, call, alice, asset, name):
        answer = call(alice, "GET", f"{ASSETS}/{asset}/{name}")
        assert answer.status_code in (404, 308), answer.text
        assert b"root:" not in answer.data
        assert b"glTF" not in answer.data

    @pytest.mark.parametrize("id_", ["..%2f..%2fetc", "%2e%2e", "a%00b", "%2fetc%2fpasswd", "vgl_1_..%2fx"])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ASSETS + "/{}/model"),
            ("GET", ASSETS + "/{}/model.glb"),
            ("HEAD", ASSETS + "/{}/model"),
            ("PATCH", ASSETS + "/{}"),
            ("DELETE", ASSETS + "/{}"),
            ("POST", ASSETS + "/{}/sprites"),
            ("POST", "/api/regenerate-base/{}"),
            ("GET", PIPELINE + "/{}"),
            ("DELETE", "/api/prompts/game-styles/{}"),
            ("DELETE", "/api/material-presets/{}"),
        ],
    )
    def test_of_things(self, call, alice, rt, method, path, id_):
        before = on_disk(rt)
        answer = call(alice, method, path.format(id_), json={"name": "x"} if method == "PATCH" else {})
        # A slash in an id makes it another path: there may be none, one for files only, or one without the empty part.
        assert answer.status_code in (404, 405, 308), answer.text
        assert on_disk(rt) == before

    @pytest.mark.parametrize("name", [one for one in ELSEWHERE if "\x00" not in one])
    def test_as_names_they_are_words(self, good, asset, work, board, name):
        begun = good("POST", PIPELINE, json={**SWORD, "assetId": name, "name": name})
        made = good(
            "POST", "/api/retexture", json={"baseAssetId": asset, "materialPreset": TIN, "outputName": name}
        )
        work()
        for id_ in (begun["assetId"], made["variantId"]):
            assert id_.startswith("vgl_")
            shown = good("GET", f"{ASSETS}/{id_}")
            assert (shown["name"], shown["modelFile"]) == (name, f"{id_}.glb")
        assert (
            board.scalar("SELECT metadata->>'slug' FROM library_assets WHERE id = :i", i=begun["assetId"])
            == name
        )

    @pytest.mark.parametrize("name", ELSEWHERE)
    def test_as_materials_they_are_refused(self, call, alice, asset, name):
        body = {**SWORD, "enableRetexturing": True, "materialPresets": [{**TIN, "id": name}]}
        assert fields(call(alice, "POST", PIPELINE, json=body)) == ["materialPresets.0.id"]
        body = {"baseAssetId": asset, "materialPreset": {**TIN, "id": name}}
        assert fields(call(alice, "POST", "/api/retexture", json=body)) == ["materialPreset.id"]
        assert fields(call(alice, "POST", "/api/material-presets", json=[{**TIN, "id": name}])) == ["0.id"]

    def test_a_nul_is_refused_by_its_field(self, call, alice, asset):
        body = {**SWORD, "assetId": "a\x00b", "name": "x\x00"}
        assert set(fields(call(alice, "POST", PIPELINE, json=body))) == {"assetId", "name"}
        body = {"baseAssetId": "a\x00", "materialPreset": "gold", "outputName": "\x00"}
        assert set(fields(call(alice, "POST", "/api/retexture", json=body))) == {"baseAssetId", "outputName"}

    @pytest.mark.parametrize("value", ["../true", "yes/no", "..", ""])
    def test_of_a_flag(self, call, alice, asset, value):
        answer = call(alice, "DELETE", f"{ASSETS}/{asset}", query_string={"includeVariants": value})
        assert fields(answer) == ["includeVariants"]


class TestPipelines:
    def test_all_that_is_wrong_is_named(self, call, alice):
        body = {
            **SWORD,
            "quality": "best",
            "generationType": "car",
            "referenceImage": {"url": "http://127.0.0.1/a.png", "dataUrl": URL},
            "materialPresets": ["gold"] * 13,
            "spriteConfig": {"angles": 65},
            "metadata": {"useGPT4Enhancement": "yes", "other": 1},
            "extra": 1,
        }
        assert set(fields(call(alice, "POST", PIPELINE, json=body))) == {
            "quality",
            "generationType",
            "referenceImage",
            "materialPresets",
            "spriteConfig.angles",
            "metadata.useGPT4Enhancement",
            "metadata.other",
            "extra",
        }

    @pytest.mark.parametrize(
        ("reference", "field"),
        [
            ({"url": "http://127.0.0.1/a.png"}, "referenceImage.url"),
            ({"dataUrl": "data:image/png;base64,aGVsbG8="}, "referenceImage.dataUrl"),
            ({"upload": "vgu_1"}, "referenceImage.upload"),
        ],
    )
    def test_a_picture_that_wont_do(self, call, alice, board, reference, field):
        answer = call(alice, "POST", PIPELINE, json={**SWORD, "referenceImage": reference})
        assert fields(answer) == [field]
        assert board.scalar("SELECT count(*) FROM library_assets") == 0

    def test_materials_that_are_unknown_or_named_twice(self, call, alice):
        body = {**SWORD, "enableRetexturing": True, "materialPresets": ["gold", "unknown", "gold"]}
        assert fields(call(alice, "POST", PIPELINE, json=body)) == ["materialPresets.1", "materialPresets.2"]

    def test_the_same_key_begins_one_pipeline(self, call, alice, board):
        key = {"Idempotency-Key": "once-and-no-more"}
        first, second = (call(alice, "POST", PIPELINE, json=SWORD, headers=key) for _ in range(2))
        assert first.json == second.json
        assert second.headers["Idempotency-Replayed"] == "true"
        assert board.scalar("SELECT count(*) FROM library_assets") == 1
        assert call(alice, "POST", PIPELINE, json={**SWORD, "name": "Axe"}, headers=key).status_code == 422

    def test_a_variant_that_fails_leaves_it_completed(self, good, work, fake):
        fake.broken = {Kind.RETEXTURE, Kind.RIG}
        body = {**SWORD, "enableRetexturing": True, "materialPresets": ["gold", TIN], "enableRigging": True}
        begun = good("POST", PIPELINE, json=body)
        work()
        found = good("GET", f"{PIPELINE}/{begun['pipelineId']}")
        assert found["status"] == "completed"
        textures = found["stages"]["textureGeneration"]
        assert (textures["status"], textures["error"]["code"]) == ("failed", "bad_request")
        assert [one["success"] for one in textures["result"]["variants"]] == [False, False]
        assert found["stages"]["rigging"]["status"] == "failed"
        assert good("GET", f"{ASSETS}/{begun['assetId']}")["hasModel"]

    def test_a_retry_makes_what_failed_for_the_same_assets(self, good, call, alice, work, fake):
        fake.broken = {Kind.MODEL}
        body = {**SWORD, "enableRetexturing": True, "materialPresets": ["gold"]}
        begun = good("POST", PIPELINE, json=body)
        path = f"{PIPELINE}/{begun['pipelineId']}"
        work()
        assert good("GET", path)["error"]["message"] == "Not this one."
        fake.broken = set()
        assert good("POST", f"{path}/retry")["status"] == "initializing"
        work()
        found = good("GET", path)
        assert found["status"] == "completed"
        assert len(fake.of(Kind.GAME_ASSET)) == 1
        [variant] = found["finalAsset"]["variants"]
        assert good("GET", f"{ASSETS}/{variant['id']}")["hasModel"]
        assert call(alice, "POST", f"{path}/retry").status_code == 409

    def test_a_stage_that_nobody_can_make_is_skipped_and_leaves_no_asset(self, good, work, fake):
        fake.kinds = frozenset({Kind.GAME_ASSET, Kind.MODEL})
        body = {**SWORD, "enableRetexturing": True, "materialPresets": ["gold"], "enableSprites": True}
        begun = good("POST", PIPELINE, json={**body, "metadata": {"useGPT4Enhancement": True}})
        work()
        found = good("GET", f"{PIPELINE}/{begun['pipelineId']}")
        assert found["status"] == "completed"
        for stage in ("promptOptimization", "textureGeneration", "rigging", "spriteGeneration"):
            assert found["stages"][stage]["status"] == "skipped", stage
        assert "retexture" in found["stages"]["textureGeneration"]["result"]["variants"][0]["reason"]
        assert [one["id"] for one in good("GET", ASSETS)] == [begun["assetId"]]

    def test_without_anybody_who_makes_models_nothing_begins(self, call, alice, fake, board):
        fake.kinds = frozenset({Kind.GAME_ASSET})
        answer = call(alice, "POST", PIPELINE, json=SWORD)
        assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
        assert board.scalar("SELECT count(*) FROM library_assets") == 0

    @pytest.mark.parametrize(
        ("quality", "asked"),
        [
            ("standard", {"polycount": 6_000, "textureResolution": "1k", "pbr": False}),
            ("high", {"polycount": 12_000, "textureResolution": "2k", "pbr": True}),
            ("ultra", {"polycount": 20_000, "textureResolution": "4k", "pbr": True}),
        ],
    )
    def test_tiers(self, good, work, fake, quality, asked):
        good("POST", PIPELINE, json={**SWORD, "quality": quality})
        work()
        assert fake.of(Kind.MODEL)[0].settings == asked

    def test_ones_own_words_come_before_those_that_are_shipped(self, good, work, fake):
        good("POST", "/api/prompts/game-styles", json={"id": "low-poly", "prompt": "made of paper"})
        good(
            "POST",
            "/api/prompts/generation",
            json={"id": "image", "prompt": "{description} / {style} / {0.x}"},
        )
        good("POST", PIPELINE, json={**SWORD, "style": "low-poly", "description": "A {style} blade"})
        work()
        assert fake.of(Kind.GAME_ASSET)[0].prompt == "A {style} blade / made of paper / {0.x}"


class TestAssets:
    def test_are_listed_by_pages_and_filters(self, rt, studio, alice, bob, call, good):
        swords = [kept_asset(rt, studio, alice, name=f"Sword {n}") for n in range(5)]
        shield = kept_asset(rt, studio, alice, type="armor", subtype="shield", name="Round shield")
        kept_asset(rt, studio, bob)
        assert len(good("GET", ASSETS)) == 6
        seen, path = [], f"{ASSETS}?limit=2&type=weapon"
        while path:
            answer = call(alice, "GET", path)
            seen += [one["id"] for one in answer.json]
            path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
        assert seen == sorted(swords, reverse=True)
        assert [one["id"] for one in good("GET", f"{ASSETS}?q=round shield")] == [shield]
        assert [one["id"] for one in good("GET", f"{ASSETS}?subtype=shield")] == [shield]
        assert good("GET", f"{ASSETS}?q=%22'):*<->!") == []

    def test_of_changes_at_once_from_the_same_version_one_is_made(self, call, alice, asset):
        etag = call(alice, "GET", f"{ASSETS}/{asset}").headers["ETag"]
        assert not etag.startswith("W/")

        def change(n):
            return lambda: call(
                alice, "PATCH", f"{ASSETS}/{asset}", json={"name": f"n{n}"}, headers={"If-Match": etag}
            )

        found = together(*(change(n) for n in range(6)))
        assert sorted(one.status_code for one in found) == [200, 412, 412, 412, 412, 412]
        [kept] = [one for one in found if one.status_code == 200]
        assert call(alice, "GET", f"{ASSETS}/{asset}").json["name"] == kept.json["name"]
        assert next(one for one in found if one.status_code == 412).json["code"] == "precondition_failed"

    def test_changes_of_other_fields_at_once_are_all_made(self, call, alice, asset):
        bodies = [{"name": "Axe"}, {"type": "tool"}, {"tags": ["old"]}, {"description": "worn"}]
        found = together(
            *(lambda body=body: call(alice, "PATCH", f"{ASSETS}/{asset}", json=body) for body in bodies)
        )
        assert {one.status_code for one in found} == {200}
        shown = call(alice, "GET", f"{ASSETS}/{asset}").json
        assert {name: shown[name] for body in bodies for name in body} == {
            k: v for b in bodies for k, v in b.items()
        }
        assert shown["version"] == 5

    @pytest.mark.parametrize(
        ("match", "status"),
        [("*", 200), ('"1"', 200), ('W/"1"', 412), ('"x"', 412), ('"2", "1"', 200), ('""', 412)],
    )
    def test_what_if_match_may_say(self, call, alice, asset, match, status):
        answer = call(alice, "PATCH", f"{ASSETS}/{asset}", json={"name": "Axe"}, headers={"If-Match": match})
        assert answer.status_code == status
        tag = answer.headers.get("ETag")
        assert tag.startswith('"2-') if status == 200 else tag is None

    @pytest.mark.parametrize(
        "body",
        [{"id": "x"}, {"ownerId": "x"}, {"version": 9}, {"featured": True}, {"metadata": {"slug": "x"}}, {}],
    )
    def test_what_else_there_is_cant_be_changed(self, call, alice, asset, body):
        before = call(alice, "GET", f"{ASSETS}/{asset}").json
        assert fields(call(alice, "PATCH", f"{ASSETS}/{asset}", json=body))
        assert call(alice, "GET", f"{ASSETS}/{asset}").json["version"] == before["version"]

    def test_an_asset_goes_and_its_variants_stay_on_their_own(self, good, call, alice, asset, work):
        variant = good("POST", "/api/retexture", json={"baseAssetId": asset, "materialPreset": "gold"})[
            "variantId"
        ]
        work()
        assert good("DELETE", f"{ASSETS}/{asset}")["deleted"] == [asset]
        left = good("GET", f"{ASSETS}/{variant}")
        assert (left["hasModel"], left["metadata"]["parentBaseModel"]) == (True, None)
        assert call(alice, "GET", f"{ASSETS}/{variant}/model").status_code == 200
        for path in ("", "/model", "/model.glb", "/sprites", "/metadata.json"):
            assert call(alice, "GET", f"{ASSETS}/{asset}{path}").status_code == 404
        assert call(alice, "DELETE", f"{ASSETS}/{asset}").status_code == 404
        body = {"baseAssetId": asset, "materialPreset": "gold"}
        assert call(alice, "POST", "/api/retexture", json=body).status_code == 404

    def test_an_asset_goes_with_its_variants(self, good, asset, work):
        body = {"baseAssetId": asset, "materialPreset": "gold"}
        variants = [good("POST", "/api/retexture", json=body)["variantId"] for _ in range(2)]
        work()
        assert good("DELETE", f"{ASSETS}/{asset}?includeVariants=true")["deleted"] == [asset, *variants]
        assert good("GET", ASSETS) == []

    def test_what_is_made_for_a_deleted_asset_is_stopped_and_brings_nothing_back(
        self, good, call, alice, asset, rt, board
    ):
        """The provider answers after the delete: its result meets the fence."""
        made = good("POST", "/api/retexture", json={"baseAssetId": asset, "materialPreset": "gold"})
        waiting = good("POST", f"{ASSETS}/{asset}/sprites")
        worker = board.worker()
        [claim] = board.claim(worker, 1)
        assert claim.request_id == made["requestId"]
        good("DELETE", f"{ASSETS}/{asset}?includeVariants=true")
        attempt(rt, claim)
        for request in (made, waiting):
            assert board.row(request["requestId"]).status == "cancelled"
        assert board.claim(worker, 5) == []
        assert call(alice, "GET", f"{ASSETS}/{made['variantId']}").status_code == 404
        assert (
            board.scalar("SELECT count(*) FROM library_files WHERE asset_id = :id", id=made["variantId"]) == 0
        )

    def test_a_retexture_goes_on_where_only_its_base_is_deleted(self, good, asset, rt, board):
        made = good("POST", "/api/retexture", json={"baseAssetId": asset, "materialPreset": "gold"})
        [claim] = board.claim(board.worker(), 1)
        good("DELETE", f"{ASSETS}/{asset}")
        attempt(rt, claim)
        assert good("GET", f"{ASSETS}/{made['variantId']}")["hasModel"]

    def test_deletes_and_ends_at_once_neither_lock_nor_lose(self, good, call, alice, rt, studio, board):
        for _ in range(8):
            asset = kept_asset(rt, studio, alice, model=glb("one"))
            for _ in range(2):
                good("POST", "/api/retexture", json={"baseAssetId": asset, "materialPreset": "gold"})
            claims = board.claim(board.worker(), 2)
            acts = [lambda claim=claim: attempt(rt, claim) for claim in claims]
            path = f"{ASSETS}/{asset}?includeVariants=true"
            acts += [lambda path=path: call(alice, "DELETE", path).status_code] * 2
            found = together(*acts)
            assert sorted(found[-2:]) == [200, 404]
        assert good("GET", ASSETS) == []
        assert board.scalar("SELECT count(*) FROM generation_requests WHERE completed_at IS NULL") == 0

    def test_retextures_while_the_base_is_deleted_have_it_or_are_refused(
        self, good, call, alice, asset, board
    ):
        body = {"baseAssetId": asset, "materialPreset": "gold"}
        retexture = lambda: call(alice, "POST", "/api/retexture", json=body)  # noqa: E731
        delete = lambda: call(alice, "DELETE", f"{ASSETS}/{asset}")  # noqa: E731
        *made, gone = together(retexture, retexture, retexture, delete)
        assert gone.status_code == 200
        assert {one.status_code for one in made} <= {200, 404}
        there = board.scalar("SELECT count(*) FROM library_assets WHERE deleted_at IS NULL")
        assert there == sum(one.status_code == 200 for one in made)
        assert board.scalar("SELECT count(*) FROM library_assets WHERE base_id = :id", id=asset) == 0
        assert board.scalar("SELECT count(*) FROM generation_requests") == there

    def test_what_isnt_there_yet_cant_be_worked_on(self, good, call, alice):
        bare = good("POST", PIPELINE, json=SWORD)["assetId"]
        for method, path in (
            ("POST", f"{ASSETS}/{bare}/sprites"),
            ("POST", f"/api/regenerate-base/{bare}"),
        ):
            assert call(alice, method, path).status_code == 409
        body = {"baseAssetId": bare, "materialPreset": "gold"}
        assert call(alice, "POST", "/api/retexture", json=body).status_code == 409
        assert call(alice, "HEAD", f"{ASSETS}/{bare}/model").status_code == 404

    def test_a_model_that_is_to_be_made_anew_from_an_address(self, good, work, board, fake):
        begun = good("POST", PIPELINE, json={**SWORD, "referenceImage": {"url": "https://a.example/x.png"}})
        made = good("POST", f"/api/regenerate-base/{begun['assetId']}")
        wanted = board.row(made["requestId"]).metadata["referenceImages"]
        assert wanted == [{"url": "https://a.example/x.png"}]

    def test_a_variant_isnt_made_anew_by_itself(self, good, call, alice, asset, work):
        variant = good("POST", "/api/retexture", json={"baseAssetId": asset, "materialPreset": "gold"})[
            "variantId"
        ]
        work()
        assert call(alice, "POST", f"/api/regenerate-base/{variant}").status_code == 409

    def test_a_foreign_asset_isnt_retextured_or_looked_at(self, call, bob, asset, board):
        body = {"baseAssetId": asset, "materialPreset": "gold"}
        assert call(bob, "POST", "/api/retexture", json=body).status_code == 404
        assert call(bob, "POST", HANDLE, json={"assetId": asset}).status_code == 404
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0


class TestSprites:
    def test_views_that_are_sent_take_the_place_of_those_that_were_drawn(
        self, good, call, alice, asset, work
    ):
        good("POST", f"{ASSETS}/{asset}/sprites", json={"config": {"angles": [0, 90, 180], "size": 64}})
        work()
        assert [one["angle"] for one in good("GET", f"{ASSETS}/{asset}/sprites")["sprites"]] == [0, 90, 180]
        good("POST", f"{ASSETS}/{asset}/sprites", json={"sprites": [{"angle": 22.5, "imageData": URL}]})
        assert [one["angle"] for one in good("GET", f"{ASSETS}/{asset}/sprites")["sprites"]] == [22.5]
        assert call(alice, "GET", f"{ASSETS}/{asset}/sprites/22.5deg.png").status_code == 200
        for gone in ("sprites/0deg.png", "sprites/90deg.png", "sheet", "sprite-2"):
            assert call(alice, "GET", f"{ASSETS}/{asset}/{gone}").status_code == 404

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"sprites": []}, "sprites"),
            (
                {"sprites": [{"angle": 0, "imageData": "data:image/png;base64,aGVsbG8="}]},
                "sprites.0.imageData",
            ),
            ({"sprites": [{"angle": 400, "imageData": URL}]}, "sprites.0.angle"),
            ({"sprites": [{"angle": 0, "imageData": URL}] * 2}, "sprites.1.angle"),
            ({"config": {"angles": []}}, "config.angles"),
            ({"config": {"angles": [0, 0]}}, "config.angles"),
            ({"config": {"angles": True}}, "config.angles"),
            ({"config": {"size": 4096}}, "config.size"),
        ],
    )
    def test_what_is_wrong_is_named(self, call, alice, asset, body, field):
        assert fields(call(alice, "POST", f"{ASSETS}/{asset}/sprites", json=body)) == [field]


class TestWeapons:
    @pytest.mark.parametrize(
        "seen",
        [
            {"other": 1},
            {**GRIP, "gripBounds": {"minX": 0.6, "minY": 0.6, "maxX": 0.4, "maxY": 0.9}},
            {**GRIP, "gripBounds": {"minX": 0.5, "minY": 0.6, "maxX": 0.5, "maxY": 0.9}},
            {**GRIP, "gripBounds": {"minX": 200, "minY": 350, "maxX": 300, "maxY": 450}},
            {**GRIP, "gripBounds": {"minX": True, "minY": 0.6, "maxX": 0.4, "maxY": 0.9}},
            {**GRIP, "gripBounds": [0, 0, 1, 1]},
            {**GRIP, "confidence": "high"},
            {**GRIP, "confidence": 92},
            {**GRIP, "weaponType": None},
            {**GRIP, "detectedParts": {"blade": "long"}},
        ],
    )
    def test_an_answer_that_makes_no_sense_is_a_bad_gateway(self, call, alice, fake, worker_beside, seen):
        fake.seen = seen
        answer = call(alice, "POST", HANDLE, json={"image": URL})
        assert answer.status_code == 502, answer.text
        assert answer.content_type == "application/problem+json"

    def test_what_is_a_little_outside_is_brought_in(self, good, fake, worker_beside):
        box = {"minX": -0.05, "minY": 0.5, "maxX": 1.02, "maxY": 1}
        fake.seen = {**GRIP, "gripBounds": box, "confidence": 1.05}
        answer = good("POST", HANDLE, json={"image": URL})
        assert answer["gripBounds"] == {"minX": 0, "minY": 50, "maxX": 200, "maxY": 100}
        assert answer["confidence"] == 1

    def test_a_provider_that_fails_is_a_bad_gateway(self, call, alice, fake, worker_beside):
        fake.broken = {Kind.VISION}
        answer = call(alice, "POST", HANDLE, json={"image": URL})
        assert (answer.status_code, answer.json["error"]) == (502, "Not this one.")

    def test_without_anybody_who_looks_it_is_unavailable(self, call, alice, fake, board):
        fake.kinds = frozenset({Kind.GAME_ASSET})
        answer = call(alice, "POST", HANDLE, json={"image": URL})
        assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
        assert board.scalar("SELECT count(*) FROM generation_requests") == 0

    def test_what_takes_longer_is_asked_again_with_the_same_key(self, call, alice, fake, work):
        key = {"Idempotency-Key": "look-at-this-one"}
        first = call(alice, "POST", f"{HANDLE}?wait=0.1", json={"image": URL}, headers=key)
        assert (first.status_code, first.json["status"]) == (202, "queued")
        assert first.headers["Location"].endswith(first.json["requestId"])
        work()
        second = call(alice, "POST", f"{HANDLE}?wait=0", json={"image": URL}, headers=key)
        assert second.status_code == 200
        assert second.json["requestId"] == first.json["requestId"]
        assert len(fake.of(Kind.VISION)) == 1

    def test_an_assets_picture_is_looked_at(self, good, fake, asset, worker_beside):
        assert good("POST", HANDLE, json={"assetId": asset})["weaponType"] == "sword"
        assert len(fake.of(Kind.VISION)[0].references) == 1

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "body"),
            ({"image": URL, "assetId": "vgl_1"}, "body"),
            ({"image": "https://a.example/x.png"}, "image"),
            ({"image": "data:image/png;base64,aGVsbG8="}, "image"),
        ],
    )
    def test_what_is_wrong_is_named(self, call, alice, body, field):
        assert fields(call(alice, "POST", HANDLE, json=body)) == [field]

    def test_a_request_that_is_cancelled_while_it_is_waited_for(self, call, alice, board):
        from tests.api.conftest import BASE

        def cancel():
            found = until(lambda: board.scalar("SELECT id FROM generation_requests"))
            return call(alice, "DELETE", f"{BASE}/cancel/{found}").status_code

        asked, stopped = together(lambda: call(alice, "POST", HANDLE, json={"image": URL}), cancel)
        assert (asked.status_code, stopped) == (409, 200)


class TestPresetsAndPrompts:
    def test_ones_own_material_stands_before_the_shipped_one_and_goes_again(self, good, call, alice, bob):
        pale = {"id": "gold", "displayName": "Pale gold", "stylePrompt": "pale gold"}
        assert good("POST", "/api/material-presets", json=pale)["saved"] == 1
        names = {one["id"]: one["displayName"] for one in good("GET", "/api/material-presets")}
        assert (names["gold"], len(names)) == ("Pale gold", 10)
        others = {one["id"]: one["displayName"] for one in call(bob, "GET", "/api/material-presets").json}
        assert others["gold"] == "Gold"
        good("DELETE", "/api/material-presets/gold")
        assert call(alice, "DELETE", "/api/material-presets/gold").status_code == 409
        assert call(alice, "DELETE", "/api/material-presets/none").status_code == 404

    def test_a_list_that_was_got_and_is_sent_back_changes_nothing(self, good, board):
        assert good("POST", "/api/material-presets", json=good("GET", "/api/material-presets"))["saved"] == 0
        for name in ("game-styles", "asset-types"):
            assert (
                good("POST", f"/api/prompts/{name}", json=good("GET", f"/api/prompts/{name}"))["saved"] == 0
            )
        assert board.scalar("SELECT count(*) FROM material_presets WHERE owner_id IS NOT NULL") == 0

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ([], "body"),
            ([TIN, TIN], "1.id"),
            ([{**TIN, "color": "red"}], "0.color"),
            ([{**TIN, "extra": 1}], "0.extra"),
            ([{"id": "x"}], "0.displayName"),
            ("gold", "0"),
        ],
    )
    def test_materials_that_are_wrong_are_named(self, call, alice, body, field):
        assert field in fields(call(alice, "POST", "/api/material-presets", json=body))

    def test_who_saves_the_same_at_once_saves_it_once(self, call, alice, board):
        materials = [{**TIN, "id": f"m{n}"} for n in range(20)]
        found = together(
            *(
                lambda some=some: call(alice, "POST", "/api/material-presets", json=some).status_code
                for some in (materials, materials[::-1], materials, materials[::-1])
            )
        )
        assert set(found) == {200}
        assert board.scalar("SELECT count(*) FROM material_presets WHERE owner_id IS NOT NULL") == 20

    def test_there_is_an_end_to_ones_own(self, call, alice, board):
        for start in (0, 200):
            body = [{**TIN, "id": f"m{n}"} for n in range(start, start + 200)]
            answer = call(alice, "POST", "/api/material-presets", json=body)
        assert answer.status_code == 409
        assert board.scalar("SELECT count(*) FROM material_presets WHERE owner_id IS NOT NULL") == 200

    def test_prompts_that_are_shipped_stay(self, good, call, alice):
        path = "/api/prompts/weapon-detection"
        assert call(alice, "DELETE", f"{path}/handle").status_code == 409
        good("POST", path, json={"id": "handle", "name": "Mine", "prompt": "look closely"})
        assert good("GET", path)["custom"]["handle"]["prompt"] == "look closely"
        good("DELETE", f"{path}/handle")
        assert "handle" in good("GET", path)["default"]

    def test_asset_types_by_category(self, good, call, alice):
        path = "/api/prompts/asset-types"
        good("POST", path, json={"version": "1.0.0", "item": {"ring": "one ring alone"}})
        assert good("GET", path)["item"]["ring"]["base"] == "one ring alone"
        assert "character" in good("GET", path)["avatar"]
        good("DELETE", f"{path}/ring?category=item")
        assert call(alice, "DELETE", f"{path}/ring?category=item").status_code == 404

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_there_are_six_sets(self, call, alice, method):
        path = "/api/prompts/others/x" if method == "DELETE" else "/api/prompts/others"
        assert call(alice, method, path, json={"id": "x", "prompt": "y"}).status_code == 404

    def test_own_prompts_are_ones_own(self, good, call, bob):
        good("POST", "/api/prompts/generation", json={"id": "mine", "prompt": "words"})
        assert call(bob, "GET", "/api/prompts/generation").json["custom"] == {}
        assert call(bob, "DELETE", "/api/prompts/generation/mine").status_code == 404

    def test_what_is_shipped_is_written_once(self, db, board):
        import importlib

        before = board.scalar("SELECT count(*) FROM prompt_templates")
        with db.begin() as tx:
            tx.execute(text("UPDATE material_presets SET color = '#000000' WHERE id = 'gold'"))
            importlib.import_module("migrations.versions.0009_shipped").seed(tx)
        assert board.scalar("SELECT count(*) FROM prompt_templates") == before
        assert board.scalar("SELECT color FROM material_presets WHERE id = 'gold'") == "#000000"

    def test_words_in_braces(self):
        assert filled("{a} {b} {a.b} {a!r} {0}", a="{b}", b="x") == "{b} x {a.b} {a!r} {0}"
