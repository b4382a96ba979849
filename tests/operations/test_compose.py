"""compose.yaml says what an operator relies on. (No Docker here: what it makes of it is not tried.)"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import config

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "worker", "sweeper", "backup")


def seconds(words: str) -> int:
    return int(words.removesuffix("s"))


def test_the_services_are_those_of_the_design():
    assert set(SERVICES) == {"postgres", "valkey", *OURS}
    assert [SERVICES[name].get("command") for name in OURS] == [
        ["migrate"],
        None,
        ["worker"],
        ["sweeper"],
        ["backup", "/backups"],
    ]


def test_a_worker_is_given_longer_to_stop_than_it_takes_to_drain():
    worker = SERVICES["worker"]
    grace = int(worker["environment"]["DRAIN_GRACE"])
    assert seconds(worker["stop_grace_period"]) >= grace + 15
    assert worker["deploy"]["replicas"] == "${WORKERS:-2}"


def test_the_web_server_is_given_longer_to_stop_than_gunicorn_takes():
    from app.serving import graceful_timeout

    assert seconds(SERVICES["web"]["stop_grace_period"]) > graceful_timeout


def test_only_the_web_server_has_a_port_and_only_on_this_host():
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "web": ["127.0.0.1:${PORT:-8000}:8000"]
    }


def test_servers_have_no_way_out_and_what_calls_providers_has_one():
    assert COMPOSE["networks"]["inside"]["internal"] is True
    outside = {name for name, service in SERVICES.items() if "outside" in service["networks"]}
    assert outside == {"web", "worker", "sweeper"}
    assert all("inside" in service["networks"] for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_runs_with_the_least_rights(name):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["init"] is True
    assert any(place.startswith("/tmp") for place in service["tmpfs"])


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_the_servers_keep_their_data_and_say_when_they_are_ready(name):
    service = SERVICES[name]
    assert service["user"] == name
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    [volume] = service["volumes"]
    assert volume == {"postgres": "postgres:/var/lib/postgresql", "valkey": "valkey:/data"}[name]


def test_valkey_writes_everything_down_and_forgets_nothing():
    command = SERVICES["valkey"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert "--requirepass" in command


def test_nothing_works_on_a_database_that_is_not_migrated():
    for name in ("web", "worker", "sweeper"):
        waits = SERVICES[name]["depends_on"]
        assert waits["migrate"]["condition"] == "service_completed_successfully"
        assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES["migrate"]["restart"] == "no"


def test_every_process_sees_the_same_files():
    for name in OURS:
        assert "assets:/data/assets" in SERVICES[name]["volumes"]
        assert SERVICES[name]["environment"]["ASSET_DIR"] == "/data/assets"
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert used == set(COMPOSE["volumes"])


def test_no_secret_has_a_value_of_its_own_and_none_may_be_missing():
    written = (ROOT / "compose.yaml").read_text()
    named = re.findall(r"\$\{(\w*(?:SECRET|PASSWORD)\w*)(.*?)\}", written)
    assert {name for name, _ in named} == {"JWT_SECRET", "POSTGRES_PASSWORD", "VALKEY_PASSWORD"}
    assert all(rest.startswith(":?") for _, rest in named)
    for name in OURS:
        environment = SERVICES[name]["environment"]
        assert environment["DATABASE_URL"].startswith("postgresql://atelier:${POSTGRES_PASSWORD")
        assert environment["REDIS_URL"].startswith("redis://:${VALKEY_PASSWORD")


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_ones_that_the_service_reads(name, monkeypatch, tmp_path):
    filled = {
        key: re.sub(r"\$\{.*?\}", "x" * 64, str(value))
        for key, value in SERVICES[name]["environment"].items()
    }
    for key, value in filled.items():
        monkeypatch.setenv(key, value)
    found = config.load(tmp_path / "none.env")
    assert found.database_url == filled["DATABASE_URL"]
    assert str(found.asset_dir) == "/data/assets"
    assert found.drain_grace == 120
    written = "".join(path.read_text() for path in (ROOT / "app" / "config").glob("*.py"))
    assert [key for key in filled if f'"{key}"' not in written] == []


def test_every_service_of_ours_is_built_from_a_stage_of_the_dockerfile():
    stages = set(re.findall(r"^FROM .* AS (\w[\w-]*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    for name in OURS:
        assert SERVICES[name]["build"]["target"] in stages
