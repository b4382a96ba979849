"""The README beside the providers: its example runs and keeps the contract, and its tables say what the code says."""

import importlib.util
import re
import sys
import tomllib
from datetime import date
from types import ModuleType

import pytest

from app.domain.failure import RULES, Breaker, FailureKind
from app.domain.options import Options
from app.egress.sender import Egress
from app.providers import registry
from app.providers.base import Provider
from app.providers.wire import Wire
from tests.conformance import common, test_every_fault, test_every_provider, test_every_result
from tests.fakes import house as fakes
from tests.unit.source import ROOT

README = (ROOT / "app/providers/README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
ADAPTER, FAKE, CASE, SCRIPT = PYTHON
NAMES = ("app.providers.easel", "tests.fakes.house.easel", "tests.conformance.cases.easel")


def _module(name: str, text: str) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = name
    sys.modules[name] = made
    exec(compile(text, f"README.md, {name}", "exec"), made.__dict__)
    return made


@pytest.fixture
def easel(monkeypatch):
    """The example in place, and a house with its fake alone."""
    monkeypatch.setattr(fakes, "FAKES", ["easel"])
    made = {name: _module(name, text) for name, text in zip(NAMES, PYTHON, strict=False)}
    yield made
    for name in NAMES:
        del sys.modules[name]


@pytest.fixture
def case(easel):
    return easel["tests.conformance.cases.easel"].CASE


@pytest.fixture
def house(easel):
    with fakes.House() as house:
        assert not house.broken
        yield house
        assert not house.leaks


@pytest.fixture
def egress(house):
    return Egress(allow=(house.cdn.removeprefix("http://"),))


def test_the_example_keeps_what_every_provider_keeps(case, house, egress):
    for name in case.tasks:
        house.reset()
        test_every_provider.test_work_ends_in_files_of_the_right_kind_or_in_words_and_is_charged_once(
            case, name, house, egress
        )
        house.reset()
        test_every_provider.test_a_plan_asks_nobody_and_is_the_same_twice(case, name, house, egress)
    for test in (
        test_every_provider.test_credentials_go_to_the_api_and_nowhere_else,
        test_every_provider.test_fields_that_nobody_knows_are_ignored,
        test_every_provider.test_cancel_can_be_asked_twice_and_leaves_a_result_alone,
        test_every_provider.test_cancel_never_fails,
        test_every_provider.test_health_costs_nothing_and_tells_a_refused_key_and_an_empty_house,
        test_every_provider.test_health_never_fails,
        test_every_provider.test_answers_with_strange_values_are_a_result_or_a_failure_and_never_a_crash,
        test_every_result.test_what_a_file_is_decides_what_it_is_taken_for,
    ):
        house.reset()
        test(case, house, egress)


def test_the_example_means_what_it_meets(case, house, egress, caplog):
    for answer in common.ANSWERS:
        house.reset()
        test_every_fault.test_an_answer_that_refuses_a_submit_means_its_kind(
            case, answer, house, egress, caplog
        )
    for fault in case.faults:
        house.reset()
        test_every_fault.test_what_is_this_providers_own_means_its_kind(case, fault, house, egress, caplog)
    house.reset()
    test_every_result.test_what_is_not_a_whole_file_of_the_kind_is_no_result(case, house, egress, caplog)


def test_the_example_loses_no_submit(case, house, egress, caplog):
    for lost in common.LOST:
        house.reset()
        test_every_fault.test_a_submit_whose_answer_is_lost_is_sent_once_and_its_charge_is_unknown(
            case, lost, house, egress, caplog
        )


def test_the_line_that_scripts_the_house_is_one_of_its(house):
    exec(SCRIPT, {"house": house, "faults": fakes.faults})


def test_the_example_is_an_operators_own_by_its_module(tmp_path, monkeypatch):
    (tmp_path / "studio").mkdir()
    (tmp_path / "studio" / "easel.py").write_text(ADAPTER)
    monkeypatch.syspath_prepend(tmp_path)
    [module] = re.findall(r"PROVIDER_MODULES=([\w.]+)", README)
    built = registry.build({"easel": Options("easel", model="easel-2")}, Egress(), [module])
    assert (built["easel"].name, built["easel"].model) == ("easel", "easel-2")
    sys.modules.pop("studio.easel")


def test_the_example_of_the_catalogue_has_the_catalogues_form():
    [text] = [text for language, text in BLOCKS if language == "toml"]
    found = tomllib.loads(text)
    assert found["models"] == {"easel": "easel-2"}
    [price] = found["price"]
    assert isinstance(price["as_of"], date)
    assert {"provider", "model", "each", "as_of"} == set(price)


def _rows(first: str) -> list[list[str]]:
    """Return the rows of the table whose head begins with a word."""
    [table] = re.findall(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def test_the_table_of_kinds_is_the_one_of_the_rules():
    def yes(flag: bool) -> str:
        return "yes" if flag else ""

    rows = {row[0].strip("`"): row[1:] for row in _rows("kind")}
    assert list(rows) == [str(kind) for kind in FailureKind]
    for kind, rule in RULES.items():
        means, *follows = rows[str(kind)]
        breaker = "" if rule.breaker is Breaker.NOTHING else str(rule.breaker)
        assert follows == [
            yes(rule.again),
            yes(rule.counts),
            yes(rule.fall_back),
            yes(rule.ask_again),
            breaker,
        ], kind
        assert len(means) > 10


@pytest.mark.parametrize(
    ("told", "missing"), [(Provider, set()), (Wire, {"json", "error", "artifact", "base_url", "by_status"})]
)
def test_the_interface_is_told_whole(told, missing):
    names = {name for name in {*vars(told), *told.__annotations__} if not name.startswith("_")}
    words = set(re.findall(r"\w+", README.partition("## The interface")[2].partition("## Kinds")[0]))
    assert names - words <= missing


def test_every_file_that_is_named_is_there():
    named = re.findall(r"`((?:app|tests)/[\w/.]+\.\w+)`", README)
    assert len(named) > 5
    assert [path for path in named if "easel" not in path and not (ROOT / path).exists()] == []
    assert all(importlib.util.find_spec(name) is None for name in NAMES)
