"""The options of the command line: one row per option, used by argparse, by lists of figures and by the manual."""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any


class Kind(Enum):
    """How an option takes values, if it does not take exactly one of a certain type."""

    FLAG = "on if it is given"
    EITHER = "on or, with --no- in front, off"
    AGAIN = "may be given again, one value each time"
    SEVERAL = "takes several values"


@dataclass(frozen=True)
class Option:
    """An option (`--top-k`, `-n`) or a positional argument (`text`): its help, and which values it takes.

    `kind` is the type of its single value, or a `Kind`. `maybe` means that a positional argument is optional. `field`
    is the attribute that receives the value, if it is not named like the option.
    """

    name: str
    help: str | None = None
    kind: type[str] | type[int] | type[float] | type[Path] | Kind = str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    default: Any = None
    required: bool = False
    field: str = ""
    maybe: bool = False

    @property
    def key(self) -> str:
        """The option's name without leading dashes."""
        return self.name.lstrip("-")

    @property
    def is_switch(self) -> bool:
        """Whether the option takes no value."""
        return self.kind in (Kind.FLAG, Kind.EITHER)


@dataclass(frozen=True)
class OneOf:
    """Options of which at most one may be given, or exactly one if required."""

    options: tuple[Option, ...]
    required: bool = False


@dataclass(frozen=True)
class Fixed:
    """A value that a command sets without an option, or a default that differs for this command."""

    field: str
    value: Any


Options = tuple["Option | OneOf | Fixed", ...]


def each(options: Iterable[Option | OneOf | Fixed]) -> Iterator[Option]:
    """Every option, including those that exclude each other."""
    for option in options:
        if isinstance(option, OneOf):
            yield from option.options
        elif isinstance(option, Option):
            yield option


def declare(parser: argparse.ArgumentParser, options: Options) -> None:
    """Add these options to a parser."""
    for option in options:
        if isinstance(option, Fixed):
            parser.set_defaults(**{option.field: option.value})
        elif isinstance(option, OneOf):
            group = parser.add_mutually_exclusive_group(required=option.required)
            for one in option.options:
                _add(group, one)
        else:
            _add(parser, option)


def _add(parser: argparse._ActionsContainer, option: Option) -> None:
    said: dict[str, Any] = {"help": option.help, "default": option.default}
    if option.kind is Kind.FLAG:
        said |= {"action": "store_true", "default": False}
    elif option.kind is Kind.EITHER:
        said["action"] = argparse.BooleanOptionalAction
    elif option.kind is Kind.AGAIN:
        said |= {"action": "append", "default": [], "metavar": option.metavar}
    elif option.kind is Kind.SEVERAL:
        said |= {"action": "extend", "nargs": "+", "metavar": option.metavar}
    else:
        said |= {"type": None if option.kind is str else option.kind, "metavar": option.metavar}
        said |= {"choices": option.choices} if option.choices else {}
    if option.name.startswith("-"):
        said |= {"required": True} if option.required else {}
        said |= {"dest": option.field} if option.field else {}
    elif option.maybe:
        said["nargs"] = "?"
    parser.add_argument(option.name, **said)
