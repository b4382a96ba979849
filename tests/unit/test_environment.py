"""The environment is read by the settings. Each other reader is named here with its reason, and no name is left over."""

import ast

from tests.unit.source import modules

READERS = {
    "app.config": "the settings",
    "app.cli.connection": "a client's key and token, which are not the service's settings",
    "app.cli.settings": "hands the environment on to the processes that it starts",
    "app.local.account": "hands PATH and the loader's path on to the servers, and nothing else",
    "app.providers.relief.steps": "tells its child's libraries to use one thread",
    "workers.tasks": "RQ tells a job its worker's name that way",
}


def reads(tree: ast.Module) -> bool:
    return any(
        (
            isinstance(node, ast.Attribute)
            and node.attr in ("environ", "environb", "getenv")
            and not _wsgi(node)
        )
        or (isinstance(node, ast.ImportFrom) and node.module == "environs")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and _takes_environment(node))
        for node in ast.walk(tree)
    )


def _wsgi(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "request"


def _takes_environment(node: ast.ImportFrom) -> bool:
    return any(alias.name in ("environ", "environb", "getenv") for alias in node.names)


def test_only_these_modules_read_the_environment():
    found = {name for name, (_path, tree) in modules().items() if reads(tree)}
    assert {"app.config" if name.startswith("app.config.") else name for name in found} == set(READERS)


def test_a_read_is_seen_in_each_of_its_forms():
    for source in ("import os\nos.environ['A']", "import os\nos.getenv('A')", "from os import environ"):
        assert reads(ast.parse(source))
    assert not reads(ast.parse("import os\nos.getpid()"))
