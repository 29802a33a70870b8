"""The entries of `resources/catalogue.toml`: the bundled models and a few on the hub."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from desktop_app.core.program.bundle import bundled_models, resource, snapshots
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.phrase import Count, Phrase


@dataclass(frozen=True)
class Bundled:
    """A bundled model: the name of its folder, and its display name."""

    folder: str
    title: str
    about: str


@dataclass(frozen=True)
class HubEntry:
    """A repository of the hub that is worth listing. `download` is in bytes."""

    repository: str
    title: str
    about: str
    download: int
    config: Config

    @property
    def short_name(self) -> str:
        """The repository without its owner, a name that `--model` and `models get` accept as well."""
        return self.repository.split("/")[1]


@cache
def bundled_entries() -> tuple[Bundled, ...]:
    """The bundled models, in the order in which they are listed."""
    return tuple(Bundled(**row) for row in _table()["bundled"])


@cache
def hub_entries() -> tuple[HubEntry, ...]:
    """The repositories of the hub that are listed by default, smallest first."""
    shape = ("n_layer", "n_head", "n_embd")
    return tuple(
        HubEntry(
            **{key: value for key, value in row.items() if key not in shape},
            config=Config(**{key: row[key] for key in shape}),
        )
        for row in _table()["hub"]
    )


def hub_entry(name: str) -> HubEntry | None:
    """The entry of `owner/name`, or of its short name."""
    return next((entry for entry in hub_entries() if name in (entry.repository, entry.short_name)), None)


def title_of(folder: Path) -> str | None:
    """The display name of the bundled model, or of the snapshot of its training, in `folder`; None if neither is."""
    titles = {entry.folder: entry.title for entry in bundled_entries()}
    for name, place in bundled_models().items():
        if place == folder or (name == folder.name and place.resolve() == folder.resolve()):
            return titles.get(name, name)
        if folder.parent.name == "snapshots" and folder.resolve() in map(Path.resolve, snapshots(place).values()):
            return f"{titles.get(name, name)} {after_steps(int(folder.name))}"
    return None


def after_steps(steps: int) -> str:
    """A point in a training run in words."""
    if not steps:
        return Phrase("before its training")
    return Phrase("after {1} step", steps) if steps == 1 else Phrase("after {1} steps", Count(steps))


def _table() -> dict[str, list[dict[str, Any]]]:
    with resource("catalogue.toml").open("rb") as file:
        return tomllib.load(file)
