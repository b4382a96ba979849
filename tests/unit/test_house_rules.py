"""What is easily forgotten, held by reading the source."""

import ast

import pytest

from tests.unit.source import modules

LONGEST_FUNCTION = 60
LONGEST_MODULE = 300
# The loop tops where anything may come out of other people's code: a slot's attempt, a sweeper's step, an update, a session.
BROAD = {
    "app.api.live.socket": 1,
    "app.services.drain": 1,
    "app.services.live.figures": 1,
    "app.services.live.hub": 1,
    "app.services.sweep": 1,
}


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("name", modules())
def test_functions_and_modules_stay_small(name):
    path, tree = modules()[name]
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE
    for function in functions(tree):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= LONGEST_FUNCTION, f"{name}.{function.name} has {length} lines"


def test_the_median_function_has_few_lines():
    lengths = sorted(
        (function.end_lineno or 0) - function.lineno + 1
        for _path, tree in modules().values()
        for function in functions(tree)
    )
    assert lengths[len(lengths) // 2] <= 9


def test_broad_excepts_stand_at_loop_tops_only():
    found: dict[str, int] = {}
    for name, (_path, tree) in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
                found[name] = found.get(name, 0) + 1
    assert found == BROAD


def test_nothing_is_decided_by_the_words_of_an_error():
    for name, (_path, tree) in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.In) for op in node.ops):
                assert not any(_is_text_of_error(side) for side in node.comparators), f"{name}:{node.lineno}"


def test_only_the_settings_read_the_environment():
    allowed = {
        "app.config.env",  # the settings
        "app.config.checks",
        "app.config.providers",
        "app.config",
        "app.providers.relief.steps",  # tells its child's libraries to use one thread
        "workers.tasks",  # RQ tells a job its worker's name that way
    }
    # The command line starts processes with an environment, and says what is set there.
    reading = {name for name, (_path, tree) in modules().items() if _reads_environment(tree)}
    assert {name for name in reading if not name.startswith(("app.cli", "app.local"))} <= allowed


def _is_broad(caught: ast.expr | None) -> bool:
    return caught is None or (isinstance(caught, ast.Name) and caught.id in ("Exception", "BaseException"))


def _is_text_of_error(side: ast.expr) -> bool:
    return (
        isinstance(side, ast.Call)
        and isinstance(side.func, ast.Name)
        and side.func.id == "str"
        and any(isinstance(arg, ast.Name) and arg.id in ("err", "error", "exc", "e") for arg in side.args)
    )


def _of_request(node: ast.Attribute) -> bool:
    # WSGI's own, which has the same name.
    return isinstance(node.value, ast.Name) and node.value.id == "request"


def _reads_environment(tree: ast.Module) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") and not _of_request(node))
        or (isinstance(node, ast.ImportFrom) and node.module == "environs")
        for node in ast.walk(tree)
    )
