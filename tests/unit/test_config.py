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
    read = set(re.findall(r'env\.\w+\("([A-Z_]+)"', (ROOT / "app" / "config.py").read_text()))
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
        ("PROVIDERS", f"`{','.join(found.providers)}`"),
    ]:
        assert table[name] == str(field), name


def test_a_secret_file_that_can_not_be_read_is_named(told, tmp_path, monkeypatch):
    told()
    monkeypatch.delenv("JWT_SECRET")
    monkeypatch.setenv("JWT_SECRET_FILE", str(tmp_path / "missing"))
    with pytest.raises(BadSettings, match="JWT_SECRET_FILE"):
        config.load(tmp_path / "none.env")
