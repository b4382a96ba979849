"""What `atelier --help` shows, and what it takes."""

import subprocess
import sys
import time

import click
import pytest

from app.cli import SECTIONS, main

COMMANDS = [name for commands in SECTIONS.values() for name, _, _ in commands]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_list_is_there_under_its_name(name):
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(atelier, name):
    result = atelier(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: atelier {name}" in result.output


def test_the_list_is_shown_without_loading_what_commands_need():
    code = (
        "import sys; from app.cli import main; main(['--help'], standalone_mode=False);"
        "print(sorted({'sqlalchemy', 'redis', 'requests', 'rich', 'flask'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_list_is_shown_quickly():
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", "--help"],
            capture_output=True,
            check=True,
        )
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.3


def test_commands_load_no_flask():
    code = (
        "import sys; from app.cli import _commands, main; import click;"
        "[main.get_command(click.Context(main), name) for name, _, _ in _commands()];"
        "print('flask' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unknown_command_is_refused_by_name(atelier):
    result = atelier("paint")
    assert result.exit_code == 2
    assert "paint" in result.stderr
