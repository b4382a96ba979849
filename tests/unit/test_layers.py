"""Arrows point down only, as the picture in app/__init__.py draws them."""

import subprocess
import sys

import pytest

from tests.unit.source import ROOT, imports, modules

TOOLS = {"app.queue", "app.providers", "app.events", "app.storage", "app.egress", "app.guarded", "app.detect"}
BASE = {"app.clock", "app.config", "app.db", "app.log"}
SERVICES = {"app.services", "app.runtime", "app.domain", "app.models", "migrations"} | TOOLS | BASE
MAY: dict[str, set[str]] = {
    "app.domain": set(),
    "app.clock": set(),
    "app.config": {"app.domain"},
    "app.db": set(),
    "app.log": set(),
    "app.models": {"app.domain"},
    "app.queue": {"app.models", "app.domain", "app.db"},
    "app.egress": {"app.domain"},
    "app.guarded": set(),
    "app.providers": {"app.domain", "app.egress", "app.guarded"},
    "app.detect": {"app.domain", "app.egress", "app.guarded"},
    "app.events": {"app.domain", "app.egress"},
    "app.storage": {"app.domain", "app.guarded"},
    "app.local": {"app.domain"},
    "app.runtime": {"app.domain"} | TOOLS | BASE,
    "app.services": SERVICES,
    "app.api": SERVICES,
    "app.serving": set(),
    "app.cli": SERVICES | {"app.local", "app.serving"},
    "workers": SERVICES | {"app.local"},
    "app": set(),
}
REFUSED = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base_service"}


def room(dotted: str) -> str:
    """Return the layer that a dotted name belongs to."""
    return max(
        (name for name in [*MAY, "migrations"] if f"{dotted}.".startswith(f"{name}.")), key=len, default=""
    )


@pytest.mark.parametrize("name", modules())
def test_a_module_imports_only_what_is_below_it(name):
    here = room(name)
    reached = {room(found) for found in imports(modules()[name][1])} - {"", here}
    if here.startswith("app.") or here == "workers":
        reached.discard("app")
    assert reached <= MAY[here], f"{name} reaches up or sideways to {reached - MAY[here]}"


@pytest.mark.parametrize("name", [name for name in modules() if room(name) == "app.domain"])
def test_the_domain_knows_the_standard_library_only(name):
    outside = (
        {found.split(".")[0] for found in imports(modules()[name][1])} - {"app"} - sys.stdlib_module_names
    )
    assert not outside


def test_the_package_itself_imports_nothing():
    assert imports(modules()["app"][1]) == set()


@pytest.mark.parametrize("foreign", ["flask", "sqlalchemy", "redis", "rq"])
def test_providers_know_no_flask_no_sql_and_no_redis(foreign):
    for name, (_path, tree) in modules().items():
        if room(name) == "app.providers":
            assert foreign not in {found.split(".")[0] for found in imports(tree)}, name


def test_nobody_but_the_way_out_and_the_command_line_speaks_http_to_others():
    for name, (_path, tree) in modules().items():
        if room(name) not in {"app.egress", "app.cli"}:
            found = {one.split(".")[0] for one in imports(tree)} | imports(tree)
            assert not found & {"requests", "urllib3", "httpx", "http.client", "urllib.request"}, name


def test_workers_load_no_flask():
    program = (
        "import sys, workers.__main__, workers.tasks, workers.sweeper;"
        "print([m for m in ('flask', 'werkzeug', 'flask_smorest') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_no_module_is_a_dumping_ground():
    assert not [name for name in modules() if REFUSED & set(name.split("."))]
