"""Settings: every fault at once, named; the guide's names; and the README's table is the truth."""

import re
from pathlib import Path

import pytest

from app import config
from app.config import BadSettings
from tests.unit.source import ROOT

GOOD = {
    "DATABASE_URL": "postgresql://localhost/atelier",
    "REDIS_URL": "redis://localhost",
    "JWT_SECRET": "x" * 32,
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def tell(**given: str):
        for name in documented():
            monkeypatch.delenv(name, raising=False)
        for name, value in {**GOOD, **given}.items():
            monkeypatch.setenv(name, value)
        return config.load(tmp_path / "none.env")

    return tell


def documented() -> dict[str, str]:
    """Return the settings of the README's table with their defaults as they stand there."""
    table = (ROOT / "README.md").read_text().split("## Settings")[1]
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", table, re.MULTILINE))


def test_every_fault_is_reported_at_once(told):
    with pytest.raises(BadSettings) as caught:
        told(DATABASE_URL="mysql://x", JWT_SECRET="short", WORKER_SLOTS="0", LEASE_SECONDS="soon")
    lines = str(caught.value).splitlines()
    assert {line.split(":")[0] for line in lines} == {
        "DATABASE_URL",
        "JWT_SECRET",
        "WORKER_SLOTS",
        "LEASE_SECONDS",
    }


def test_a_short_secret_is_refused_without_being_shown(told):
    with pytest.raises(BadSettings) as caught:
        told(JWT_SECRET="canary-secret")
    assert "canary-secret" not in str(caught.value)


def test_a_lease_must_outlive_two_heartbeats(told):
    with pytest.raises(BadSettings, match="HEARTBEAT_SECONDS"):
        told(LEASE_SECONDS="20", HEARTBEAT_SECONDS="15")


def test_what_looks_is_asked_over_http(told):
    for url in ("ftp://eyes.example/", "eyes.example", "https://", "http://[::1"):
        with pytest.raises(BadSettings, match="DETECTOR_URL"):
            told(DETECTOR_URL=url)
    assert told(DETECTOR_URL="https://eyes.example/look").detector_url == "https://eyes.example/look"
    assert told(DETECTOR_URL="").detector_url is None


def test_who_requires_a_look_has_somebody_who_looks(told):
    with pytest.raises(BadSettings, match=r"PET_CHECK.*DETECTOR_MODEL or DETECTOR_URL"):
        told(PET_CHECK="require", DETECTOR_MODEL="", DETECTOR_URL="")
    assert told(PET_CHECK="require", DETECTOR_URL="http://127.0.0.1:9/").pet_check == "require"
    assert told(PET_CHECK="require", DETECTOR_MODEL="eyes.onnx").pet_check == "require"


@pytest.mark.parametrize("name", ["DETECTOR_THRESHOLD", "SCENE_CACHE_DAYS", "TRASH_DAYS"])
@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_number_is_one(told, name, number):
    with pytest.raises(BadSettings, match=name):
        told(**{name: number})


def test_the_guides_name_for_slots_is_read(told):
    assert told(MAX_CONCURRENT_REQUESTS="9").worker_slots == 9
    assert told(MAX_CONCURRENT_REQUESTS="9", WORKER_SLOTS="3").worker_slots == 3


def test_a_secret_may_come_from_a_file(told, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("y" * 40 + "\n")
    monkeypatch.delenv("JWT_SECRET", raising=False)
    told()
    monkeypatch.delenv("JWT_SECRET")
    monkeypatch.setenv("JWT_SECRET_FILE", str(tmp_path / "secret"))
    assert config.load(tmp_path / "none.env").jwt_secret == "y" * 40


def test_the_environment_wins_over_the_file(told, tmp_path, monkeypatch):
    told()
    (tmp_path / "some.env").write_text("WORKER_SLOTS=7\nSTARVE_AFTER=11\n")
    monkeypatch.setenv("WORKER_SLOTS", "4")
    found = config.load(tmp_path / "some.env")
    assert (found.worker_slots, found.starve_after) == (4, 11)


def test_what_is_shown_holds_no_secret(told):
    shown = config.shown(told(DATABASE_URL="postgresql://user:canary@host/db", JWT_SECRET="canary" * 8))
    assert "canary" not in str(shown)
    assert shown["worker_slots"] == 5


def test_the_readme_lists_every_setting_and_no_other():
    code = "".join(path.read_text() for path in (ROOT / "app" / "config").glob("*.py"))
    read = set(re.findall(r'env(?:\.\w+\(|, )"([A-Z_]+)"', code))
    assert set(documented()) | {"MAX_CONCURRENT_REQUESTS"} == read


def test_the_readmes_defaults_are_the_real_ones(told):
    found = told()
    table = documented()
    for name, field in [
        ("LEASE_SECONDS", found.lease_seconds),
        ("HEARTBEAT_SECONDS", found.heartbeat_seconds),
        ("SWEEP_SECONDS", int(found.sweep_seconds)),
        ("STARVE_AFTER", found.starve_after),
        ("WORKER_SLOTS", found.worker_slots),
        ("DRAIN_GRACE", found.drain_grace),
        ("DRAIN_MAX_SECONDS", found.drain_max_seconds),
        ("MAX_ATTEMPTS_LIMIT", found.max_attempts_limit),
        ("RESULT_RETENTION_DAYS", found.result_retention_days),
        ("RETRY_DELAY_MS", found.retry_delay_ms),
        ("RATE_LIMIT_SUBMIT", f"`{found.rate_limit_submit}`"),
        ("RATE_LIMIT_BATCH_ITEMS", f"`{found.rate_limit_batch_items}`"),
        ("PATIENCE_SECONDS", found.patience_seconds),
        ("RESULT_CACHE_SECONDS", int(found.result_cache_seconds)),
        ("PROVIDERS", f"`{','.join(found.providers)}`"),
    ]:
        assert table[name] == str(field), name


def test_a_secret_file_that_can_not_be_read_is_named(told, tmp_path, monkeypatch):
    told()
    monkeypatch.delenv("JWT_SECRET")
    monkeypatch.setenv("JWT_SECRET_FILE", str(tmp_path / "missing"))
    with pytest.raises(BadSettings, match="JWT_SECRET_FILE"):
        config.load(tmp_path / "none.env")


def test_a_providers_options_are_the_settings_that_begin_with_its_name(told):
    found = told(
        PROVIDERS="openai,comfyui",
        OPENAI_API_KEY="key of the tests",
        OPENAI_MODEL="painter",
        OPENAI_RATE="50/minute",
        OPENAI_AMBIGUOUS_SUBMIT="retry",
        COMFYUI_BASE_URL="http://127.0.0.1:8188",
        COMFYUI_CONCURRENCY="2",
        COMFYUI_WORKFLOW="/etc/flow.json",
    )
    openai, comfyui = found.provider_options["openai"], found.provider_options["comfyui"]
    assert (openai.api_key, openai.model, openai.ambiguous) == ("key of the tests", "painter", "retry")
    assert (openai.rate.calls, openai.rate.seconds) == (50, 60)
    assert (comfyui.base_url, comfyui.concurrency) == ("http://127.0.0.1:8188", 2)
    assert comfyui.more == {"workflow": "/etc/flow.json"}


def test_any_option_of_a_provider_may_come_from_a_file(told, tmp_path):
    (tmp_path / "secret").write_text("whisper\n")
    found = told(
        PROVIDERS="replicate",
        REPLICATE_API_KEY_FILE=str(tmp_path / "secret"),
        REPLICATE_WEBHOOK_SECRET_FILE=str(tmp_path / "secret"),
        REPLICATE_SIZE_FILE="",
    ).provider_options["replicate"]
    assert found.api_key == "whisper"
    assert found.more == {"webhook_secret": "whisper"}


def test_a_file_of_an_option_that_can_not_be_read_is_named(told, tmp_path):
    with pytest.raises(BadSettings, match="REPLICATE_WEBHOOK_SECRET_FILE"):
        told(PROVIDERS="replicate", REPLICATE_WEBHOOK_SECRET_FILE=str(tmp_path / "missing"))


def test_a_providers_options_may_stand_in_the_file_of_settings(told, tmp_path, monkeypatch):
    told(REPLICATE_SIZE="pixels")
    lines = "PROVIDERS=replicate\nREPLICATE_SIZE=none\nREPLICATE_WEBHOOK_SECRET=whisper\n"
    (tmp_path / "some.env").write_text(lines)
    found = config.load(tmp_path / "some.env").provider_options["replicate"]
    assert found.more == {"size": "pixels", "webhook_secret": "whisper"}


def test_a_kind_may_have_an_order_of_its_own(told):
    found = told(PROVIDERS="openai", PROVIDERS_COLORING_PAGE="horde, openai")
    assert found.providers == ("openai",)
    assert found.provider_order["coloring-page"] == ("horde", "openai")
    assert {"openai", "horde"} <= set(found.provider_options)


def test_kinds_that_few_can_make_have_who_makes_them_here_when_nobody_else_does(told):
    plain = told(PROVIDERS="sketch").provider_order
    assert plain["model"] == plain["sprites"] == ("sketch", "relief")
    assert plain["video"] == ("sketch", "kenburns")
    assert "cover" not in plain
    assert "rig" not in plain


def test_who_is_made_for_a_kind_comes_first_where_there_is_a_key(told):
    found = told(
        PROVIDERS="openai", MESHY_API_KEY="a key", ASSETGEN_BASE_URL="http://127.0.0.1:8001"
    ).provider_order
    assert found["model"] == ("meshy", "openai", "relief")
    assert found["game-asset"] == ("assetgen", "openai")
    assert found["rig"] == ("meshy", "openai")
    assert told(PROVIDERS="openai", PROVIDERS_MODEL="relief").provider_order["model"] == ("relief",)


def test_without_an_order_the_providers_with_keys_are_used(told):
    assert told(STABILITY_API_KEY="a", OPENAI_API_KEY="b").providers == ("openai", "stability")


@pytest.mark.parametrize("rate", ["50", "0/minute", "many/minute", "5/fortnight"])
def test_a_rate_that_is_none_is_refused_by_its_name(told, rate):
    with pytest.raises(BadSettings, match="OPENAI_RATE"):
        told(PROVIDERS="openai", OPENAI_RATE=rate)


def test_a_providers_key_is_never_shown(told):
    assert "canary" not in str(config.shown(told(PROVIDERS="openai", OPENAI_API_KEY="canary")))
