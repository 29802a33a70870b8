"""The table of options: every command uses its rows, and argparse behaves as each row says."""

import argparse
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from desktop_app import cli
from desktop_app.cli.options import ACTIONS, LISTED, TAKES, parser_of
from desktop_app.core.asking.options import Fixed, Kind, OneOf, Option, declare, each

ROWS = (
    Option("text", "a text", maybe=True),
    Option("--count", "how many", int, "N", default=3),
    Option("--loud", "on", Kind.FLAG),
    Option("--start", "either", Kind.EITHER),
    Option("--pin", "again", Kind.AGAIN, "TOKEN"),
    Option("--names", "several", Kind.SEVERAL, "GLOB"),
    Option("--form", "a word", choices=("a", "b"), field="shape"),
    OneOf((Option("--here"), Option("--there", kind=Path))),
    Fixed("seed", None),
)
PLAIN = {
    "text": None,
    "count": 3,
    "loud": False,
    "start": None,
    "pin": [],
    "names": None,
    "shape": None,
    "here": None,
    "there": None,
    "seed": None,
}


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("", {}),
        ("hello", {"text": "hello"}),
        ("--count 5 --loud", {"count": 5, "loud": True}),
        ("--start", {"start": True}),
        ("--no-start", {"start": False}),
        ("--pin a --pin b", {"pin": ["a", "b"]}),
        ("--names a b --names c", {"names": ["a", "b", "c"]}),
        ("--form b", {"shape": "b"}),
        ("--there x", {"there": Path("x")}),
    ],
)
def test_a_row_is_read_as_it_says(line, read):
    parser = argparse.ArgumentParser()
    declare(parser, ROWS)
    assert vars(parser.parse_args(shlex.split(line))) == {**PLAIN, **read}


@pytest.mark.parametrize("line", ["--form c", "--here a --there b", "--count x", "--pin"])
def test_what_a_row_does_not_take_is_refused(line):
    parser = argparse.ArgumentParser(exit_on_error=False)
    declare(parser, ROWS)
    with pytest.raises(argparse.ArgumentError):
        parser.parse_args(shlex.split(line))


def test_every_command_has_rows_and_does_what_they_say():
    assert set(cli.COMMANDS) == set(TAKES) | set(ACTIONS)
    for name in cli.COMMANDS:
        assert callable(import_module(f"desktop_app.cli.{name}").run)
        said = parser_of(name, "").format_help()
        for option in each(TAKES.get(name, ())):
            assert option.name in said or option.metavar in said, (name, option)


def test_no_command_declares_an_option_of_its_own():
    for path in Path(cli.__file__).parent.glob("*.py"):
        if path.name != "__init__.py":
            assert "add_argument" not in path.read_text(encoding="utf-8"), path.name


def test_what_a_list_of_figures_may_say_the_command_takes_too():
    assert {o.key for o in each(LISTED)} <= {o.key for o in each(TAKES["figure"])}
