"""`atelier provider`: what it lists, what it finds without spending, and one picture with leave; against the house of fakes."""

import io
import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image

from app.cli.trial import real
from app.domain import doorbell
from app.domain.failure import FailureKind
from app.domain.vocabulary import PICTURES, Kind
from app.providers.base import (
    Accepted,
    Artifact,
    Billing,
    Done,
    Doorbell,
    Health,
    HealthState,
    Plan,
    Provider,
    ProviderError,
    Running,
)
from app.providers.wire import Wire
from tests.conftest import SECRET
from tests.fakes.house import KEY, House, faults, files
from tests.fakes.house.a1111 import USER

# A provider of the operator's own, spoilt in one way by a test.
SPOILT: dict[str, object] = {}


class Careless(Provider):
    """Does everything right, but for what SPOILT says."""

    kinds = frozenset({Kind.COVER})
    poll_floor = 0.01

    def __init__(self, options, egress, model):
        super().__init__(options, model)
        self._wire = Wire(options, egress, base_url="http://127.0.0.1:1")

    def plan(self, task):
        if "plan" in SPOILT:
            return SPOILT["plan"](self, task)
        return Plan(task, self.model, {"prompt": task.full_prompt}, units={"dollar": 0.25})

    def submit(self, plan, context):
        return SPOILT.get("submit", lambda *_: done())(plan, context)

    def poll(self, handle, context):
        return SPOILT.get("poll", lambda *_: done())(handle, context)

    def find(self, plan, context):
        return SPOILT.get("find", super().find)(plan, context)

    def cancel(self, handle):
        SPOILT.setdefault("cancelled", []).append(handle)
        return Billing.STOPPED

    def parse_webhook(self, headers, body):
        return SPOILT.get("webhook")

    def health(self):
        return SPOILT.get("health", Health(HealthState.UP))


PROVIDERS = {"careless": Careless}


def done(content: bytes | None = None, **more) -> Done:
    return Done((Artifact("image", content or files.png(), "image/png"),), "careless-1", **more)


@pytest.fixture(scope="module")
def _house() -> Iterator[House]:
    with House() as house:
        yield house


@pytest.fixture
def house(_house):
    _house.reset()
    yield _house
    assert not _house.crashes
    assert not _house.leaks


@pytest.fixture(autouse=True)
def _settings(house, tmp_path, monkeypatch):
    """Three providers; no database, and nobody who would answer for one."""
    SPOILT.clear()
    for name, value in {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1",
        "JWT_SECRET": SECRET,
        "ASSET_DIR": str(tmp_path / "assets"),
        "PROVIDERS": "comfyui,a1111,careless",
        "PROVIDERS_COVER": "careless,comfyui",
        "PROVIDER_MODULES": "tests.cli.test_provider",
        "COMFYUI_BASE_URL": house.url("comfyui"),
        "COMFYUI_MODEL": "a-model",
        "COMFYUI_API_KEY": KEY,
        "A1111_BASE_URL": house.url("a1111"),
        "A1111_API_KEY": USER,
        "A1111_CONCURRENCY": "1",
        "CARELESS_API_KEY": "careless words of the tests",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def slept(monkeypatch) -> list[float]:
    """Nobody sleeps; what would have been slept."""
    waits: list[float] = []
    monkeypatch.setattr(real, "sleep", waits.append)
    return waits


def line(result, name: str) -> str:
    [found] = [shown for shown in result.stdout.splitlines() if shown[2:].startswith(f"{name}: ")]
    return found


# list


def test_the_providers_are_listed_in_their_order_with_what_they_make(atelier, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    result = atelier("provider", "list")
    assert result.exit_code == 0
    rows = [shown.split() for shown in result.stdout.splitlines() if shown.strip()]
    assert [row[0] for row in rows if row[0].isalnum()] == [
        "name",
        "comfyui",
        "a1111",
        "careless",
        "relief",
        "kenburns",
    ]
    assert "a-model" in result.stdout
    assert "0.25" in result.stdout
    assert "Not configured: " in result.stderr
    assert "sketch" in result.stderr


def test_a_provider_that_is_tried_elsewhere_for_one_kind_says_so(atelier, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    shown = atelier("provider", "list").stdout
    assert "2 for cover" in shown
    assert "never for cover" in shown


def test_listing_asks_nobody_and_shows_no_key(atelier, house):
    result = atelier("provider", "list")
    assert not house.calls
    assert KEY not in result.output


def test_a_provider_that_nobody_knows_is_said_in_one_line(atelier, monkeypatch):
    monkeypatch.setenv("PROVIDERS", "comfyui,nonesuch")
    result = atelier("provider", "list")
    assert result.exit_code == 1
    assert "nonesuch" in result.stderr


# webhooks


@pytest.fixture
def ringing(monkeypatch):
    monkeypatch.setenv("PROVIDERS", "comfyui,meshy,replicate,fal")
    monkeypatch.setenv("PUBLIC_URL", "https://pictures.example")


def test_the_address_that_an_account_has_for_all_jobs_is_shown_whole_on_a_line(atelier, ringing, house):
    result = atelier("provider", "webhooks")
    assert result.exit_code == 0
    address = doorbell.address("https://pictures.example", SECRET, "meshy")
    assert result.stdout == f"meshy  {address}\n"
    assert result.stderr == "Told an address with each job: replicate, fal.\n"
    assert not house.calls


def test_without_an_https_address_nobody_can_ring(atelier, ringing, monkeypatch):
    monkeypatch.setenv("PUBLIC_URL", "http://127.0.0.1:8000")
    result = atelier("provider", "webhooks")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Told" not in result.stderr
    assert "PUBLIC_URL is http://127.0.0.1:8000: providers ring at https addresses only." in result.stderr


def test_an_operators_own_address_is_told_and_not_shown(atelier, ringing, monkeypatch):
    monkeypatch.setenv("PROVIDERS", "fal")
    monkeypatch.setenv("FAL_WEBHOOK_URL", "https://relay.example/whisper")
    result = atelier("provider", "webhooks")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Told an address with each job: fal." in result.stderr
    assert "whisper" not in result.output


def test_where_none_rings_that_is_said(atelier):
    result = atelier("provider", "webhooks")
    assert result.exit_code == 0
    assert result.stderr == "None of the configured providers rings.\n"


# check


def test_a_provider_that_is_well_is_all_green_and_nothing_is_spent(atelier, house):
    result = atelier("provider", "check", "comfyui")
    assert result.exit_code == 0, result.output
    assert {shown[0] for shown in result.stdout.splitlines()} == {"✓"}
    assert line(result, "key") == "✓ key: accepted"
    for kind in PICTURES:
        assert line(result, str(kind)).startswith(f"✓ {kind}: 0 USD")
    assert line(result, "from a picture") == "✓ from a picture: yes"
    assert not house.charges
    assert "Not seen: submit, poll and its handle, the result, the bill." in result.stderr
    assert KEY not in result.output


def test_a_provider_that_is_away_is_exit_code_1(atelier, house, monkeypatch):
    monkeypatch.setenv("COMFYUI_BASE_URL", house.nowhere)
    result = atelier("provider", "check", "comfyui", "--spend")
    assert result.exit_code == 1
    assert "✗ health: down" in result.stdout
    assert "! key: it can't be told" in result.stdout
    assert "Nothing was drawn" in result.stderr


def test_a_key_that_is_refused_is_exit_code_1(atelier, monkeypatch):
    monkeypatch.setenv("A1111_API_KEY", "someone:else")
    result = atelier("provider", "check", "a1111")
    assert result.exit_code == 1
    assert "does not accept the key" in result.stdout


def test_a_key_that_nobody_looks_at_is_no_accepted_key(atelier):
    assert line(atelier("provider", "check", "careless"), "key").startswith("! key: it is set; no free")


def test_no_key_is_said(atelier, monkeypatch):
    monkeypatch.delenv("COMFYUI_API_KEY")
    assert line(atelier("provider", "check", "comfyui"), "key") == "✓ key: none is set"


def test_what_is_soon_over_is_a_doubt_and_no_failure(atelier):
    SPOILT["health"] = Health(HealthState.DEGRADED, "The model retires in a week.")
    result = atelier("provider", "check", "careless")
    assert result.exit_code == 0
    assert "! health: degraded" in result.stdout
    assert "The model retires in a week." in result.stdout


def test_a_provider_that_is_not_configured_is_told_with_the_line_that_tries_it(atelier):
    result = atelier("provider", "check", "sketch")
    assert result.exit_code == 1
    assert "PROVIDERS=sketch atelier provider check sketch" in result.stderr
    assert "There is no provider nonesuch" in atelier("provider", "check", "nonesuch").stderr


_counter = itertools.count()


def _asks(provider, task):
    provider._wire.knock("GET", "/")
    return Plan(task, provider.model, {})


def _refuses(_provider, _task):
    raise ProviderError(FailureKind.UNSUPPORTED, "careless can't make this.")


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (_asks, "the plan asks somebody"),
        (lambda p, task: Plan(task, p.model, {"x": next(_counter)}), "two plans for the same task differ"),
        (lambda p, task: Plan(task, p.model, {"x": b"\0"}), "the plan's payload is no JSON"),
        (lambda p, task: Plan(task, p.model, {"x": float("nan")}), "the plan's payload is no JSON"),
        (lambda p, task: Plan(task, p.model, {"x": p.options.api_key}), "a secret is in the plan"),
        (_refuses, "it says it makes these, and plans none: careless can't make this."),
    ],
)
def test_a_plan_that_is_none_is_exit_code_1_and_nothing_is_drawn(atelier, plan, says):
    SPOILT["plan"] = plan
    SPOILT["submit"] = lambda *_: pytest.fail("it was submitted")
    result = atelier("provider", "check", "careless", "--spend")
    assert result.exit_code == 1
    assert line(result, "cover") == f"✗ cover: {says}"
    assert "careless words" not in result.output


def test_what_is_adapted_is_shown_with_the_price(atelier):
    SPOILT["plan"] = lambda p, task: Plan(
        task, p.model, {}, ("1024x1024 -> square", "seed not supported"), {"dollar": 0.25}
    )
    shown = line(atelier("provider", "check", "careless"), "cover")
    assert shown == "✓ cover: 0.25 USD; adapted: 1024x1024 -> square; seed not supported"


def test_a_price_that_nobody_knows_is_a_question_mark(atelier):
    SPOILT["plan"] = lambda p, task: Plan(task, p.model, {})
    assert line(atelier("provider", "check", "careless"), "cover") == "✓ cover: ? USD"


def test_a_webhook_without_a_signature_that_is_believed_is_exit_code_1(atelier):
    SPOILT["webhook"] = Doorbell("1", verified=True)
    assert atelier("provider", "check", "careless").exit_code == 1
    SPOILT["webhook"] = Doorbell("1", verified=False)
    assert atelier("provider", "check", "careless").exit_code == 0


def test_a_kind_that_starts_from_a_picture_or_a_model_is_planned_with_one(atelier):
    def plan(provider, task):
        if not task.source:
            raise ProviderError(FailureKind.UNSUPPORTED, "A model is needed.")
        return replace(Plan(task, provider.model, {"model": task.source.mime}), units={"dollar": 1.0})

    SPOILT["plan"] = plan
    assert line(atelier("provider", "check", "careless"), "cover") == "✓ cover: 1 USD"


# check --spend


def test_a_picture_is_drawn_once_polled_by_a_handle_out_of_json_and_saved(atelier, house, tmp_path, slept):
    file = tmp_path / "boat.png"
    result = atelier("provider", "check", "comfyui", "--spend", "--out", file)
    assert result.exit_code == 0, result.output
    assert house.charges == {"comfyui": 1}
    [call] = house.asked("comfyui", "^/prompt$")
    sizes = [node["inputs"].get("width") for node in call.json["prompt"].values()]
    assert 512 in sizes
    assert "✓ handle: it survives JSON" in result.stdout
    shown = line(result, "result")
    assert "64 x 48, image/png" in shown
    assert "for 0 USD, by a-model" in shown
    assert file.read_bytes() == files.png()
    assert slept
    assert all(pause >= 1 for pause in slept)
    assert "waiting, 0 before it" in result.stderr


def test_a_picture_that_comes_at_once_needs_no_handle(atelier, house, tmp_path):
    result = atelier("provider", "check", "a1111", "--spend", "--prompt", "a heron")
    assert result.exit_code == 0, result.output
    assert "handle" not in result.stdout
    assert "a heron" in house.asked("a1111", "2img$")[0].json["prompt"]
    assert (tmp_path / "elsewhere" / "check-a1111.png").read_bytes() == files.png()


def test_nothing_is_left_in_the_service_s_own_folder(atelier, tmp_path):
    atelier("provider", "check", "a1111", "--spend")
    assert not [path for path in (tmp_path / "assets").rglob("*") if path.is_file()]


def test_what_cannot_be_decoded_is_no_picture(atelier, house):
    house.spoil(files.bomb())
    result = atelier("provider", "check", "a1111", "--spend")
    assert result.exit_code == 1
    assert "✗ result: image/png" in result.stdout


def test_a_failure_is_told_with_its_kind_whether_it_was_charged_and_what_to_do(atelier, house):
    house.script("a1111", "2img$", faults.answer(402, {}))
    result = atelier("provider", "check", "a1111", "--spend")
    assert result.exit_code == 1
    assert "(quota_exhausted; charged: no)" in result.stdout
    assert "Add credit" in result.stdout
    assert not house.charges


def test_a_submit_whose_answer_is_lost_is_found_and_never_sent_twice(atelier, house):
    house.script("comfyui", "^/prompt$", faults.hidden())
    result = atelier("provider", "check", "comfyui", "--spend")
    assert result.exit_code == 0, result.output
    assert house.charges == {"comfyui": 1}


def test_a_submit_that_nobody_can_find_is_unknown_and_not_repeated(atelier, house):
    house.script("a1111", "2img$", faults.hidden())
    result = atelier("provider", "check", "a1111", "--spend")
    assert result.exit_code == 1
    assert "submit_unknown; charged: unknown" in result.stdout
    assert house.charges == {"a1111": 1}


def test_a_poll_that_meets_nobody_is_asked_again(atelier, house):
    house.script("comfyui", "^/queue$", faults.html(502), faults.answer(429, {}, {"retry-after": "7"}))
    assert atelier("provider", "check", "comfyui", "--spend").exit_code == 0
    assert house.charges == {"comfyui": 1}


def test_work_that_takes_too_long_is_cancelled(atelier, house, slept, monkeypatch):
    house.state("comfyui")["held"] = True
    house.state("comfyui")["looks"] = 100
    left = iter([600.0] * 6)
    monkeypatch.setattr(real._Call, "remaining", lambda _call: next(left, 0.0))
    result = atelier("provider", "check", "comfyui", "--spend")
    assert result.exit_code == 1
    assert "deadline_exceeded" in result.stdout
    assert not house.state("comfyui")["jobs"]


def test_a_handle_that_is_no_json_is_said(atelier):
    SPOILT["submit"] = lambda *_: Accepted({"lock": threading.Lock()}, 1.0)
    result = atelier("provider", "check", "careless", "--spend")
    assert result.exit_code == 1
    assert "✗ handle: it doesn't survive JSON (TypeError)" in result.stdout


def test_ctrl_c_cancels_at_the_provider_and_says_what_it_costs(atelier):
    def interrupted(_handle, _context):
        raise KeyboardInterrupt

    SPOILT["submit"] = lambda *_: Accepted({"id": "7"}, 1.0)
    SPOILT["poll"] = interrupted
    result = atelier("provider", "check", "careless", "--spend")
    assert result.exit_code == 130
    assert "What it costs: stopped." in result.stderr
    assert SPOILT["cancelled"] == [{"id": "7"}]


def test_a_later_handle_takes_the_place_of_the_first(atelier):
    handles = []

    def poll(handle, _context):
        handles.append(handle)
        return Accepted({"id": "8"}, 1.0) if len(handles) == 1 else done(cost=0.5)

    SPOILT["submit"] = lambda *_: Accepted({"id": "7"}, 1.0)
    SPOILT["poll"] = poll
    result = atelier("provider", "check", "careless", "--spend")
    assert handles == [{"id": "7"}, {"id": "8"}]
    assert "for 0.5 USD, by careless-1" in line(result, "result")


def test_progress_is_told_meanwhile(atelier):
    steps = iter([Running(1.0, 40, "drawing"), done()])
    SPOILT["submit"] = lambda *_: Accepted({"id": "7"}, 1.0)
    SPOILT["poll"] = lambda *_: next(steps)
    assert "40 % drawing" in atelier("provider", "check", "careless", "--spend").stderr


def test_an_answer_without_a_file_is_exit_code_1(atelier):
    SPOILT["submit"] = lambda *_: Done((), "careless-1")
    result = atelier("provider", "check", "careless", "--spend")
    assert result.exit_code == 1
    assert "✗ result: nothing" in result.stdout


def test_a_model_is_measured_by_its_bytes_and_saved_under_its_own_ending(atelier, tmp_path):
    SPOILT["submit"] = lambda *_: Done((Artifact("model", files.glb(), "model/gltf-binary"),), "careless-1")
    result = atelier("provider", "check", "careless", "--spend")
    assert result.exit_code == 0
    assert "✓ result: model/gltf-binary" in result.stdout
    assert (tmp_path / "elsewhere" / "check-careless.glb").read_bytes() == files.glb()


def test_a_folder_that_is_not_there_is_said_before_anything_is_asked(atelier, house):
    result = atelier("provider", "check", "comfyui", "--spend", "--out", "nowhere/boat.png")
    assert result.exit_code == 2
    assert not house.calls


def test_the_saved_picture_is_the_one_that_came(atelier, house, tmp_path):
    house.spoil(files.webp(120, 80))
    file = tmp_path / "boat.webp"
    result = atelier("provider", "check", "a1111", "--spend", "--out", file)
    assert "120 x 80, image/webp" in line(result, "result")
    with Image.open(io.BytesIO(file.read_bytes())) as image:
        assert image.size == (120, 80)
