"""Requests made up from the OpenAPI document, good ones and bad ones: every answer is what the document says."""

from dataclasses import replace

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from app.domain.vocabulary import Kind
from app.services import access, upload, webhooks
from app.services.forge.start import start
from app.services.forge.wish import Wish
from tests.api.conftest import BASE, kept_asset, kept_picture, picture

load_all_checks()
HOLDS = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    ]
)
MANY = "1000000/minute"
OPEN = (
    "/api/webhooks/providers",
    "/api/webhook/video-complete",
    "/files",
    "/health",
    "/api/health",
    "/readyz",
    "/api/auth/token",
)


@pytest.fixture
def world(rt, board, studio, alice, shipped):
    """Ids of things that are there, so that not every path that is made up leads nowhere."""
    rt.settings = replace(rt.settings, webhook_allow_private=True)
    # Nobody listens there, which is told at once.
    hook = webhooks.create(rt, alice, url="http://127.0.0.1:1/hook", events=None, description=None)
    done, failed, queued = board.put(alice, 3)
    studio.complete(done)
    studio.fail(failed)
    batch, [request] = board.put_batch(alice, 1, 1, priority="urgent")
    studio.fail(request)
    sent = upload.receive(rt, alice, picture())
    rt.providers["fake"].kinds = frozenset(Kind)
    job, _ = board.put_batch(alice, 1, 1, type=Kind.GAME_ASSET)
    film, begun = board.put(alice, 2, type=Kind.VIDEO, priority="urgent")
    studio.complete(film)
    forged = start(rt, alice, Wish("Sword", "weapon", "sword"), key=None, traceparent=None).body
    return {
        "request_id": [done, failed, queued],
        "batch_id": [batch],
        "upload_id": [sent.id],
        "job_id": [job, film, begun],
        "role": ["image", "thumbnail"],
        "image_id": [kept_picture(rt, studio, alice)],
        "asset_id": [kept_asset(rt, studio, alice), forged["assetId"]],
        "pipeline_id": [forged["pipelineId"]],
        "file": ["model.glb", "concept-art.png", "metadata.json", "sprites/0deg.png"],
        "preset_id": ["gold"],
        "prompt_type": ["game-styles", "asset-types", "generation"],
        "prompt_id": ["low-poly"],
        "endpoint_id": [hook.id],
        "delivery_id": [str(board.scalar("SELECT min(id) FROM webhook_deliveries"))],
    }


@pytest.fixture
def explore(build, world):
    """Send made-up requests to every operation, hold each answer against the document; return who answered what."""
    client = build(
        rate_limit_default=MANY,
        rate_limit_submit=MANY,
        rate_limit_batch_items=MANY,
        rate_limit_login=MANY,
        rate_limit_webhook_test=MANY,
        rate_limit_images=MANY,
        rate_limit_scenes=MANY,
        max_waiters=0,
    )

    def act(headers, examples):
        schema = schemathesis.openapi.from_wsgi("/openapi.json", _closing(client.application))
        # A handshake isn't a request; tests/live has those.
        schema = schema.exclude(path="/ws")
        seen = set()
        for result in schema.get_all_operations():
            operation = result.ok()
            for path, answer in _answers(operation, world, headers, examples):
                seen.add((path, answer.status_code))
        return seen

    return act


def _closing(app):
    """The application, with every answer read and closed, which the transport forgets; of a stream the beginning."""

    def call(environ, start_response):
        answer = app(environ, start_response)
        is_stream = environ["PATH_INFO"].endswith("/events") and "/requests/" not in environ["PATH_INFO"]
        try:
            return [next(iter(answer), b"")] if is_stream else [b"".join(answer)]
        finally:
            answer.close()

    return call


def _answers(operation, world, headers, examples):
    found = []
    good, bad = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategies.one_of(good, bad), known=strategies.integers(0, 5))
    def ask(case, known):
        for name in case.path_parameters.keys() & world.keys():
            if known < len(world[name]):
                case.path_parameters[name] = world[name][known]
        answer = case.call(headers=headers)
        case.validate_response(answer, checks=HOLDS)
        found.append((operation.label, answer))

    ask()
    return found


def test_to_a_client(explore, rt, alice):
    _, key = access.add_key(rt, "test", alice.user_id, "k")
    seen = explore({"X-API-Key": key}, examples=15)
    assert {status for _, status in seen} >= {200, 201, 400, 403, 404, 409}
    assert (f"GET {BASE}/status/{{request_id}}", 200) in seen


def test_to_an_administrator(explore, rt, admin):
    _, key = access.add_key(rt, "test", admin.user_id, "k")
    seen = explore({"X-API-Key": key}, examples=8)
    assert ("GET /api/auth/users", 200) in seen


def test_to_nobody(explore):
    seen = explore({}, examples=4)
    closed = {(label, status) for label, status in seen if not label.split()[1].startswith(OPEN)}
    # Nothing but 404 where a made-up path isn't that of any route.
    assert {status for _, status in closed} == {401, 404}
    assert {label for label, status in closed if status == 404} <= {
        label for label, _ in seen if "_id}" in label
    }
