"""No decision is made by the words of an error: not in a comparison, not by a pattern, not after a detour."""

import ast
from collections.abc import Iterator

import pytest

from tests.unit.source import modules

TEXT_ATTRIBUTES = {"message", "msg", "strerror", "detail", "orig"}
LOOKING = {
    "startswith",
    "endswith",
    "find",
    "rfind",
    "index",
    "count",
    "lower",
    "upper",
    "casefold",
    "partition",
}
PATTERNS = {"match", "fullmatch", "search", "findall", "finditer"}


def decisions_by_words(tree: ast.Module) -> list[int]:
    """Return the lines where the text of a caught error is compared, tested or searched."""
    return sorted(
        {
            node.lineno
            for handler in ast.walk(tree)
            if isinstance(handler, ast.ExceptHandler) and handler.name
            for node in _lookings(handler, _texts(handler))
        }
    )


def _texts(handler: ast.ExceptHandler) -> set[str]:
    """Return the names that hold the error's text in the handler."""
    names: set[str] = set()
    for node in ast.walk(handler):
        if isinstance(node, ast.Assign) and _speaks(node.value, handler.name, names):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _lookings(handler: ast.ExceptHandler, texts: set[str]) -> Iterator[ast.expr]:
    for node in ast.walk(handler):
        match node:
            case ast.Compare():
                looked_at = [node.left, *node.comparators]
            case ast.Match():
                looked_at = [node.subject]
            case ast.Call(func=ast.Attribute(attr=name, value=value)) if name in LOOKING:
                looked_at = [value]
            case ast.Call(func=ast.Attribute(attr=name)) if name in PATTERNS:
                looked_at = node.args
            case _:
                continue
        yield from (one for one in looked_at if _speaks(one, handler.name, texts))


def _speaks(expression: ast.expr, error: str | None, texts: set[str]) -> bool:
    """Whether the expression is, or is made from, the error's words."""
    return any(_is_text(node, error, texts) for node in ast.walk(expression))


def _is_text(node: ast.AST, error: str | None, texts: set[str]) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="str" | "repr"), args=[inner]):
            return _rests_on(inner, error)
        case ast.FormattedValue(value=inner):
            return _rests_on(inner, error)
        case ast.Attribute(attr=attribute, value=inner):
            return attribute in TEXT_ATTRIBUTES and _rests_on(inner, error)
        case ast.Name(id=name):
            return name in texts
    return False


def _rests_on(node: ast.expr, error: str | None) -> bool:
    return any(isinstance(below, ast.Name) and below.id == error for below in ast.walk(node))


@pytest.mark.parametrize("name", modules())
def test_no_decision_is_made_by_the_words_of_an_error(name):
    assert decisions_by_words(modules()[name][1]) == []


def caught(body: str) -> ast.Module:
    return ast.parse(f"try:\n    act()\nexcept OSError as err:\n    {body}\n")


@pytest.mark.parametrize(
    "body",
    [
        "again = 'timeout' in str(err)",
        "again = 'timeout' in f'{err}'",
        "again = str(err) == 'gone'",
        "again = str(err.orig).startswith('dead')",
        "again = 'late' in repr(err).lower()",
        "again = re.search('429', str(err))",
        "again = err.message == 'gone'",
        "words = str(err); again = 'gone' in words",
    ],
)
def test_the_reader_sees_a_decision_by_words(body):
    assert decisions_by_words(caught(body)) == [4]


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError(str(err)) from err",
        "log(error=str(err))",
        "again = err.errno == 5",
        "again = sqlstate(err) in AGAIN",
        "again = isinstance(err, TimeoutError)",
        "again = err.response.status_code >= 500",
    ],
)
def test_the_reader_lets_kinds_and_codes_decide(body):
    assert decisions_by_words(caught(body)) == []
