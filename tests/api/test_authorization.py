"""Every route x everybody: who is let in, who is sent away how, and that nothing changes for those who are.

A route that is not in the table fails a test, so that none can be forgotten.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.domain import doorbell
from app.domain.reference import Inline
from app.domain.vocabulary import Kind
from app.runtime import Runtime
from app.services import access, upload, webhooks
from app.services.forge import standing
from app.services.forge.start import start
from app.services.forge.wish import Wish
from app.services.games import style_packs
from app.services.games.style_packs import NewPack
from app.services.identity import Who
from app.services.tally import Tally
from tests.api.conftest import BASE, ORDER, Studio, kept_asset, kept_picture, picture
from tests.conftest import SECRET
from tests.factories import Board
from tests.fakes.scripted import picture as drawn

GOOD = 200
# What each kind of route answers to nobody, another client, a viewer, an operator, an administrator, its owner.
POLICIES = {
    "public": (GOOD, GOOD, GOOD, GOOD, GOOD, GOOD),
    "anybody": (401, GOOD, GOOD, GOOD, GOOD, GOOD),
    "usual": (401, GOOD, 403, GOOD, GOOD, GOOD),
    "own": (401, 404, 403, GOOD, GOOD, GOOD),
    "own or admin": (401, 404, 403, 404, GOOD, GOOD),
    "figures": (401, 403, GOOD, GOOD, GOOD, 403),
    "admin": (401, 403, 403, 403, GOOD, 403),
    "refresh token": (401, 401, 401, 401, 401, 401),
}
PEOPLE = ("nobody", "other", "viewer", "operator", "admin", "owner")
V, A, W = BASE, "/api/auth", "/api/webhooks"
G, AI = "/api/v1", "/api/ai"
DRAWN = [base64.b64encode(drawn((n, 0, 0))).decode() for n in range(0, 250, 50)]
PACK = {"name": "Reds", "referenceImages": [{"dataUrl": f"data:;base64,{one}"} for one in DRAWN]}
WISH = {"subject_type": "item", "subject_name": "Sword", "prompt": "An old sword with a notched blade"}
PIPELINE, ASSETS = "/api/generation/pipeline", "/api/assets"
SWORD = {"name": "Sword", "type": "weapon", "subtype": "sword"}
TIN = {"id": "tin", "displayName": "Tin", "stylePrompt": "dull grey tin"}
LOOK = {"image": f"data:image/png;base64,{DRAWN[0]}"}
# Nobody listens there, which is told at once.
HOOK = "http://127.0.0.1:1/hook"
OWED = """SELECT max(id) FROM webhook_deliveries
WHERE endpoint_id = (SELECT id FROM webhook_endpoints ORDER BY created_at DESC LIMIT 1)"""


@dataclass(frozen=True)
class Route:
    policy: str
    body: Any = None
    good: int = GOOD
    values: dict[str, str] = field(default_factory=dict)
    sends_a_picture: bool = False
    query: str = ""

    @property
    def sent(self) -> dict[str, Any]:
        if self.sends_a_picture:
            return {"data": picture(), "content_type": "image/webp"}
        return {"json": self.body}


def _of(thing: str, policy: str = "own") -> Route:
    """A route of one of alice's things, which `World` makes."""
    return Route(policy, values={"request_id": thing, "batch_id": thing})


def _webhook(body: Any = None, good: int = GOOD) -> Route:
    """A route of one of alice's webhooks, or of something that failed to reach it."""
    return Route("own", body, good, values={"endpoint_id": "webhook", "delivery_id": "delivery"})


def _forged(thing: str, body: Any = None) -> Route:
    """A route of one of alice's 3D assets, or of a pipeline that makes one."""
    return Route("own", body, values={"pipeline_id": thing, "asset_id": thing, "file": "model file"})


def _prompts(body: Any = None, good: int = GOOD) -> Route:
    return Route("usual", body, good, values={"prompt_type": "prompt set", "prompt_id": "nothing"})


TABLE = {
    ("GET", "/"): Route("public"),
    ("GET", "/docs"): Route("public"),
    ("GET", "/docs/<name>"): Route("public", values={"name": "stylesheet"}),
    ("GET", "/openapi.json"): Route("public"),
    ("GET", "/healthz"): Route("public"),
    ("GET", "/readyz"): Route("public"),
    ("GET", "/health"): Route("public"),
    ("GET", "/api/health"): Route("public"),
    ("GET", "/files/<token>"): Route("public", values={"token": "signed"}),
    ("POST", f"{doorbell.PATH}/<name>/<token>"): Route(
        "public", body={}, good=202, values={"name": "provider", "token": "bell"}
    ),
    ("POST", f"{A}/token"): Route("public", body={"username": "Carol", "password": "correct horse battery"}),
    ("GET", "/metrics"): Route("figures"),
    ("GET", f"{V}/queue/status"): Route("anybody"),
    # What may be watched has rules of its own: tests/live.
    ("GET", f"{V}/events"): Route("anybody", good=400),
    ("POST", f"{A}/ws-ticket"): Route("anybody"),
    ("POST", f"{A}/revoke"): Route("anybody", body={}),
    ("POST", f"{A}/refresh"): Route("refresh token"),
    ("GET", f"{A}/users"): Route("admin"),
    ("POST", f"{A}/users"): Route("admin", body={"username": "dave", "password": "a new password"}, good=201),
    ("PATCH", f"{A}/users/<uuid:user_id>"): Route(
        "admin", body={"role": "client"}, values={"user_id": "bystander"}
    ),
    ("PUT", f"{A}/users/<uuid:user_id>/budget"): Route(
        "admin", body={"daily": 5}, values={"user_id": "bystander"}
    ),
    ("GET", f"{V}/costs"): Route("usual"),
    ("GET", f"{V}/budget"): Route("usual"),
    ("GET", f"{A}/keys"): Route("usual"),
    ("POST", f"{A}/keys"): Route("usual", body={"name": "k"}, good=201),
    ("DELETE", f"{A}/keys/<uuid:key_id>"): Route("own or admin", values={"key_id": "key"}),
    ("POST", f"{V}/submit"): Route("usual", body=ORDER),
    ("POST", f"{V}/batch"): Route("usual", body={"requests": [ORDER]}),
    ("POST", f"{V}/uploads"): Route("usual", good=201, sends_a_picture=True),
    ("GET", f"{V}/uploads/<upload_id>"): Route("own", values={"upload_id": "upload"}),
    ("GET", f"{V}/requests"): Route("usual"),
    ("GET", f"{V}/status/<request_id>"): _of("queued"),
    ("DELETE", f"{V}/cancel/<request_id>"): _of("queued"),
    ("POST", f"{V}/requests/<request_id>/retry"): _of("failed"),
    ("GET", f"{V}/requests/<request_id>/explain"): _of("queued"),
    ("GET", f"{V}/requests/<request_id>/events"): _of("queued"),
    ("GET", f"{V}/requests/<request_id>/files/<role>"): Route(
        "own", values={"request_id": "completed", "role": "picture"}
    ),
    ("GET", f"{V}/batch/<batch_id>"): _of("batch"),
    ("GET", f"{V}/batch/<batch_id>/requests"): _of("batch"),
    ("GET", f"{V}/batch/<batch_id>/archive"): _of("batch"),
    ("DELETE", f"{V}/batch/<batch_id>"): _of("batch"),
    ("POST", f"{V}/batch/<batch_id>/retry-failed"): _of("batch"),
    ("POST", W): Route("usual", body={"url": HOOK}, good=201),
    ("GET", W): Route("usual"),
    ("GET", f"{W}/<endpoint_id>"): _webhook(),
    ("PATCH", f"{W}/<endpoint_id>"): _webhook({"enabled": False}),
    ("DELETE", f"{W}/<endpoint_id>"): _webhook(),
    ("POST", f"{W}/<endpoint_id>/rotate"): _webhook({}),
    ("POST", f"{W}/<endpoint_id>/ping"): _webhook(),
    ("POST", f"{W}/<endpoint_id>/replay"): _webhook({"since": "2026-01-01T00:00:00Z"}, good=202),
    ("GET", f"{W}/<endpoint_id>/deliveries"): _webhook(),
    ("GET", f"{W}/<endpoint_id>/deliveries/<delivery_id>"): _webhook(),
    ("POST", f"{W}/<endpoint_id>/deliveries/<delivery_id>/replay"): _webhook(good=202),
    ("GET", "/api/test-backend-connection"): Route("usual", query=f"?url={HOOK}"),
    ("POST", f"{AI}/assets"): Route("usual", {"prompt": "a red boat", "assetType": "prop-design"}, good=202),
    ("GET", f"{AI}/providers"): Route("usual"),
    ("GET", f"{AI}/jobs/<job_id>"): Route("own", values={"job_id": "job"}),
    ("DELETE", f"{AI}/jobs/<job_id>"): Route("own", values={"job_id": "job"}),
    ("POST", f"{AI}/style-packs"): Route("usual", PACK, good=201),
    ("GET", f"{AI}/style-packs"): Route("usual"),
    ("GET", f"{AI}/style-packs/<pack_id>"): Route("own", values={"pack_id": "pack"}),
    ("DELETE", f"{AI}/style-packs/<pack_id>"): Route("own", good=204, values={"pack_id": "pack"}),
    ("POST", "/api/generate-video"): Route("usual", {"text": "Roast it", "image_data": DRAWN[0]}, good=202),
    ("GET", "/api/video-status/<job_id>"): Route("own", values={"job_id": "video"}),
    ("GET", "/api/video-result/<job_id>"): Route("own", values={"job_id": "film"}),
    ("POST", "/api/webhook/video-complete"): Route(
        "public", good=202, query=f"?token={doorbell.token(SECRET, 'fake')}"
    ),
    ("GET", "/api/video-stats"): Route("figures"),
    ("POST", f"{G}/images/generate"): Route("usual", WISH, good=202, query="?wait=0"),
    ("GET", f"{G}/images/search"): Route("usual"),
    ("GET", f"{G}/images/<image_id>"): Route("own", values={"image_id": "image"}),
    ("PUT", f"{G}/images/<image_id>/feature"): Route("own", {"featured": True}, values={"image_id": "image"}),
    ("DELETE", f"{G}/images/<image_id>"): Route("own", values={"image_id": "image"}),
    ("POST", f"{G}/images/<image_id>/restore"): Route("own", values={"image_id": "image"}),
    ("POST", f"{G}/scenes/generate"): Route("usual", {"location": "Keep"}, good=202, query="?wait=0"),
    ("GET", f"{G}/scenes/cache/stats"): Route("usual"),
    ("DELETE", f"{G}/scenes/cache/clear"): Route("usual"),
    ("POST", f"{G}/migrate/from-localstorage"): Route("usual", {}),
    ("POST", f"{G}/maintenance/cleanup/expired-cache"): Route("admin"),
    ("POST", f"{G}/maintenance/cleanup/orphaned-images"): Route("admin"),
    ("GET", f"{G}/maintenance/stats"): Route("admin"),
    ("POST", PIPELINE): Route("usual", SWORD),
    ("GET", f"{PIPELINE}/<pipeline_id>"): _forged("pipeline"),
    ("DELETE", f"{PIPELINE}/<pipeline_id>"): _forged("pipeline"),
    ("POST", f"{PIPELINE}/<pipeline_id>/retry"): _forged("stopped pipeline"),
    ("GET", ASSETS): Route("usual"),
    ("GET", f"{ASSETS}/<asset_id>"): _forged("asset"),
    ("PATCH", f"{ASSETS}/<asset_id>"): _forged("asset", {"name": "Axe"}),
    ("DELETE", f"{ASSETS}/<asset_id>"): _forged("asset"),
    ("GET", f"{ASSETS}/<asset_id>/model"): _forged("asset"),
    ("GET", f"{ASSETS}/<asset_id>/<path:file>"): _forged("asset"),
    ("GET", f"{ASSETS}/<asset_id>/sprites"): _forged("asset"),
    ("POST", f"{ASSETS}/<asset_id>/sprites"): _forged("asset", {}),
    ("POST", "/api/regenerate-base/<asset_id>"): _forged("asset"),
    # Whose asset it is made from stands in the body: tests/api/test_forge.py.
    ("POST", "/api/retexture"): Route("usual", {"baseAssetId": "vgl_1", "materialPreset": TIN}, good=404),
    ("GET", "/api/material-presets"): Route("usual"),
    ("POST", "/api/material-presets"): Route("usual", [TIN]),
    ("DELETE", "/api/material-presets/<preset_id>"): Route(
        "usual", good=404, values={"preset_id": "nothing"}
    ),
    ("GET", "/api/prompts/<prompt_type>"): _prompts(),
    ("POST", "/api/prompts/<prompt_type>"): _prompts({"id": "mine", "prompt": "as I like it"}),
    ("DELETE", "/api/prompts/<prompt_type>/<prompt_id>"): _prompts(good=404),
    ("POST", "/api/weapon-handle-detect"): Route("usual", LOOK, good=202, query="?wait=0"),
    ("POST", "/api/weapon-orientation-detect"): Route("usual", LOOK, good=202, query="?wait=0"),
}
ROUTES = [pytest.param(method, rule, route, id=f"{method} {rule}") for (method, rule), route in TABLE.items()]


@pytest.fixture(autouse=True)
def _nothing_is_counted_beside(monkeypatch):
    """What was counted is written by a thread, at any moment: also in one where nothing may change."""
    monkeypatch.setattr(Tally, "_begin", lambda _tally: None)


@pytest.fixture
def people(alice, bob, viewer, operator, admin) -> dict[str, Who | None]:
    return dict(zip(PEOPLE, (None, bob, viewer, operator, admin, alice), strict=True))


@pytest.fixture
def fill(rt, board, studio, person, call, alice) -> Callable[[Route, str], str]:
    """Return a function that makes alice's things and puts their names into a rule."""
    names = iter(range(100))
    rt.settings = replace(rt.settings, webhook_allow_private=True)
    rt.providers["fake"].kinds = frozenset(Kind)

    def _batch() -> str:
        batch, [request] = board.put_batch(alice, 1, 1)
        studio.fail(request)
        return batch

    def _failed() -> str:
        request = board.put_one(alice)
        studio.fail(request)
        return request

    def _completed() -> str:
        request = board.put_one(alice)
        studio.complete(request)
        return request

    def _signed() -> str:
        shown = call(alice, "GET", f"status/{_completed()}").json
        return str(shown["result"]["imageUrl"]).rpartition("/")[2]

    def _delivery() -> str:
        """Have something fail of which the newest webhook could not be told."""
        _failed()
        board.do(f"UPDATE webhook_deliveries SET state = 'failed', ended_at = now() WHERE id = ({OWED})")
        return str(board.scalar(OWED))

    makers: dict[str, Callable[[], str]] = {
        "queued": lambda: board.put_one(alice),
        "failed": _failed,
        "completed": _completed,
        "batch": _batch,
        "signed": _signed,
        "picture": lambda: "image",
        "stylesheet": lambda: "swagger-ui.css",
        "provider": lambda: "fake",
        "bell": lambda: doorbell.token(SECRET, "fake"),
        "bystander": lambda: str(person(f"bystander-{next(names)}").user_id),
        "upload": lambda: upload.receive(rt, alice, picture()).id,
        "webhook": lambda: webhooks.create(rt, alice, url=HOOK, events=None, description=None).id,
        "delivery": _delivery,
        "pipeline": lambda: _pipeline(rt, alice),
        "stopped pipeline": lambda: _stopped(rt, alice),
        "asset": lambda: kept_asset(rt, studio, alice),
        "model file": lambda: "model.glb",
        "prompt set": lambda: "game-styles",
        "nothing": lambda: "nothing",
        "image": lambda: kept_picture(rt, studio, alice),
        "job": lambda: board.put_batch(alice, 1, 1, type=Kind.GAME_ASSET)[0],
        "pack": lambda: _pack(rt, alice),
        "video": lambda: board.put_one(alice, type=Kind.VIDEO),
        "film": lambda: _film(board, studio, alice),
        "key": lambda: str(access.add_key(rt, "test", alice.user_id, "k")[0]),
    }

    def act(route: Route, rule: str) -> str:
        for name, thing in route.values.items():
            for placeholder in (f"<{name}>", f"<uuid:{name}>", f"<path:{name}>"):
                if placeholder in rule:
                    rule = rule.replace(placeholder, makers[thing]())
        assert "<" not in rule
        return rule + route.query

    return act


def _film(board: Board, studio: Studio, who: Who) -> str:
    request = board.put_one(who, type=Kind.VIDEO)
    studio.complete(request)
    return request


def _pipeline(rt: Runtime, who: Who) -> str:
    return str(start(rt, who, Wish(**SWORD), key=None, traceparent=None).body["pipelineId"])


def _stopped(rt: Runtime, who: Who) -> str:
    pipeline = _pipeline(rt, who)
    standing.cancel(rt, who, pipeline)
    return pipeline


def _pack(rt: Runtime, who: Who) -> str:
    pictures = [Inline(base64.b64decode(one)) for one in DRAWN]
    return style_packs.create(rt, who, NewPack("Reds", pictures)).id


def _rules(client: FlaskClient) -> set[tuple[str, str]]:
    return {
        (method, str(rule))
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.websocket
    }


def test_every_route_is_in_the_table(client):
    assert _rules(client) == TABLE.keys()


@pytest.mark.parametrize(("method", "rule", "route"), ROUTES)
def test_who_may_and_who_may_not(call, people, fill, everything, rt, method, rule, route):
    if rule == f"{A}/token":
        access.add_user(rt, "test", "Carol", "correct horse battery", access.Role.CLIENT)
    for name, expected in zip(PEOPLE, POLICIES[route.policy], strict=True):
        path = fill(route, rule)
        before = everything()
        answer = call(people[name], method, path, **route.sent)
        assert answer.status_code == (route.good if expected == GOOD else expected), (name, answer.text)
        if expected != GOOD:
            assert everything() == before, f"{name} changed something"
            assert (
                answer.json["code"] == {401: "access_denied", 403: "not_allowed", 404: "not_found"}[expected]
            )
        if method == "GET":
            assert call(people[name], "HEAD", path).status_code == answer.status_code
        _undo(name, rule, rt)


def _undo(name: str, rule: str, rt: Any) -> None:
    """What one of them did must not stand in the way of the next: a revoked token, a retry in line, a taken name."""
    with rt.db.once() as tx:
        tx.exec_driver_sql("DELETE FROM revoked_tokens")
        tx.exec_driver_sql("DELETE FROM generation_queue")
        if rule == f"{A}/users":
            tx.exec_driver_sql("DELETE FROM users WHERE username = 'dave'")


@pytest.mark.parametrize(("method", "rule", "route"), ROUTES)
def test_asking_for_the_options_needs_nobody_and_tells_nothing(call, fill, method, rule, route):
    answer = call(None, "OPTIONS", fill(route, rule))
    assert (answer.status_code, answer.data) == (200, b"")
    assert method in answer.headers["Allow"]


OWNED = [param for param in ROUTES if param.values[2].policy.startswith("own")]


@pytest.mark.parametrize(("method", "rule", "route"), OWNED)
def test_a_foreign_thing_looks_like_one_that_is_not_there(call, fill, bob, method, rule, route):
    unknown = rule
    for part in (
        "<request_id>",
        "<batch_id>",
        "<upload_id>",
        "<endpoint_id>",
        "<delivery_id>",
        "<image_id>",
        "<job_id>",
        "<pack_id>",
    ):
        unknown = unknown.replace(part, "vga_1_nothing")
    for part in ("<pipeline_id>", "<asset_id>"):
        unknown = unknown.replace(part, "vgl_1_nothing")
    unknown = unknown.replace("<path:file>", "model.glb")
    unknown = unknown.replace("<uuid:key_id>", "00000000-0000-4000-8000-000000000000").replace(
        "<role>", "image"
    )
    foreign, missing = (call(bob, method, path, **route.sent) for path in (fill(route, rule), unknown))
    assert foreign.status_code == missing.status_code == 404
    assert {**foreign.json, "traceId": ""} == {**missing.json, "traceId": ""}


@pytest.mark.parametrize(("method", "rule", "route"), ROUTES)
def test_a_method_that_is_not_there_is_405_for_everybody(client, call, fill, alice, method, rule, route):
    path = fill(route, rule)
    # A name that is a route of its own may stand where another route has an id.
    there = set(client.application.url_map.bind("localhost").allowed_methods(path.partition("?")[0]))
    assert method in there
    for other in sorted({"GET", "POST", "PUT", "PATCH", "DELETE"} - there):
        for who in (None, alice):
            answer = call(who, other, path)
            assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
            assert there <= set(answer.headers["Allow"].split(", "))


def test_foreign_things_are_in_no_list_of_mine(call, board, studio, alice, bob):
    batch, [first] = board.put_batch(alice, 1, 1)
    studio.complete(first)
    for path in (
        "requests",
        f"requests?batchId={batch}",
        "requests?text=lighthouse",
        f"requests?cursor={first}z",
    ):
        assert call(bob, "GET", path).json["items"] == []
