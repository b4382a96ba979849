"""What the Dockerfile copies is enough to run the service, and nothing else gets near it. (No Docker here.)"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
LINES = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
LET_IN = {
    line.removeprefix("!")
    for line in (ROOT / ".dockerignore").read_text().splitlines()
    if line.startswith("!")
}


def stages() -> dict[str, list[str]]:
    """Return each stage's lines by its name, in order."""
    found: dict[str, list[str]] = {}
    for line in LINES:
        if line.startswith("FROM "):
            name = line.split(" AS ")[1]
            found[name] = []
        found[name].append(line)
    return found


def copied() -> set[str]:
    """Return what is copied from the checkout."""
    words = [line.split()[1:] for line in LINES if line.startswith("COPY ") and "--from" not in line]
    return {source for sources in words for source in sources[:-1]}


def test_what_is_copied_exists_and_is_let_in():
    assert all((ROOT / source).exists() for source in copied())
    assert copied() == LET_IN


def test_everything_else_stays_outside():
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert LET_IN.isdisjoint({".env", ".git", "data", ".venv", "tests", "scripts"})
    assert {"**/__pycache__", "**/*.py[co]"} <= set(rules)


def test_the_default_stage_is_the_service_as_a_user_without_rights():
    assert [*stages()][-1] == "service"
    assert "USER 10001:10001" in stages()["runtime"]
    assert 'ENTRYPOINT ["atelier"]' in stages()["runtime"]
    assert stages()["service"][0] == "FROM runtime AS service"
    assert stages()["backup"][0] == "FROM runtime AS backup"
    assert not [line for name in ("service", "backup") for line in stages()[name] if line.startswith("USER")]
    # In the service's own image there is no server but ours.
    assert "COPY --from=build /opt/venv /opt/venv" in stages()["service"]


def test_every_package_is_installed_by_its_hash():
    installs = [line for line in LINES if "pip install" in line]
    assert len(installs) == 3
    for line in installs:
        assert "--require-hashes" in line or "--no-deps --no-build-isolation -e ." in line


def test_the_commands_are_commands(tmp_path):
    from click.testing import CliRunner

    from app.cli import main

    for stage in ("service", "backup"):
        [line] = [line for line in stages()[stage] if line.startswith("CMD ")]
        command = json.loads(line.removeprefix("CMD "))
        asked = CliRunner().invoke(main, [command[0], "--help"])
        assert asked.exit_code == 0, asked.output
        for word in command[1:]:
            assert not word.startswith("--") or word in asked.output


def test_the_copied_files_are_enough_for_every_process(tmp_path):
    for source in copied():
        take = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        take(ROOT / source, tmp_path / source)
    found = subprocess.run(
        [sys.executable, "-P", "-c", IMPORTS],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    files = json.loads(found.stdout)
    assert len(files) > 50
    assert [file for file in files if not Path(file).is_relative_to(tmp_path)] == []
    assert list((tmp_path / "migrations" / "versions").glob("*.py"))


IMPORTS = """
import json, os, sys
for name, value in {"DATABASE_URL": "postgresql://x@localhost/x", "REDIS_URL": "redis://localhost", "JWT_SECRET": "x" * 64}.items():
    os.environ[name] = value
import app.api, app.cli.programs, app.cli.backup, app.cli.migrate, migrations, workers.__main__, workers.sweeper, workers.tasks
import app.providers.registry as registry
from app.domain.options import Options
from app.egress.sender import Egress
for name in registry.HOUSE:
    registry.build({name: Options(name)}, Egress())
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("app", "workers", "migrations") and m.__file__]))
"""


@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_tells_an_answer_from_a_fault(status, tmp_path):
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    [line] = [line for line in stages()["service"] if line.startswith("HEALTHCHECK")]
    command = json.loads(line.split(" CMD ")[1])
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        asked = command[2].replace("8000", str(server.server_address[1]))
        done = subprocess.run([sys.executable, "-c", asked], check=False, timeout=20)
        server.shutdown()
    assert done.returncode == (status != 200)
