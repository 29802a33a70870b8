"""Stories: guided tours, each a list of stops. Some ship in resources/stories; users can open files of their own.

title = "How the next token comes about"
say = "Ten stops from the typed text to a drawn token."
topics = ["tokens", "embedding lookup"]     # what it covers, in docs/lessons.md's words
[heads]                                      # optional, in addition to those of resources/examples.toml
induction = [5, 1]
[[stop]]
title = "..."                                # see `stops`
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from desktop_app.core.lessons.claims import Heads
from desktop_app.core.lessons.examples import heads_by_role
from desktop_app.core.lessons.stops import OPENING, Stop, read_stop
from desktop_app.core.library.find import find_model, reference_of
from desktop_app.core.program.bundle import resource
from desktop_app.core.session.fields import Reader, text, whole
from desktop_app.core.session.state import State
from desktop_app.gpt2.config import MOST_BLOCKS, MOST_HEADS
from desktop_app.gpt2.errors import ModelError, SessionError
from desktop_app.gpt2.files import whole_file

SUFFIX = ".story.toml"
_LIMIT = 4 << 20
_MOST_STOPS = 500


@dataclass(frozen=True)
class Story:
    """A story, read from `file`. Sessions refer to it by `name`: a shipped story's name, or else the whole path."""

    title: str
    stops: tuple[Stop, ...]
    file: Path
    name: str
    say: str = ""
    topics: tuple[str, ...] = ()
    number: int = 0
    """The position of a shipped story in the list."""
    heads: Heads = field(default_factory=dict, compare=False)
    """The heads that the file names by role."""

    @property
    def is_lecture(self) -> bool:
        """Whether the story is long enough for a lecture: at least ten stops."""
        return len(self.stops) >= 10


def load_story(path: Path) -> Story:
    """The story in a file. Raises SessionError that names the stop and the field at fault."""
    try:
        if not path.is_file():
            raise SessionError(f"{path} is not a file; choose a story, which is a TOML file.")
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as reason:
        raise SessionError(f"{path} cannot be read: {reason.strerror or reason}.") from reason
    return read_story(data, path)


def read_story(data: bytes, path: Path) -> Story:
    """The story in the bytes of the file `path`. Raises SessionError."""
    if len(data) > _LIMIT:
        raise SessionError(f"{path} is larger than {_LIMIT >> 20} MiB, which no story is.")
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as reason:
        raise SessionError(f"{path} is not a TOML file: {str(reason)[:200]}.") from reason
    read = Reader(raw, str(path))
    title, say = read.read("title", "", text(200)), read.read("say", "", text(600))
    rows = raw.get("stop")
    if not title or not isinstance(rows, list) or not 1 <= len(rows) <= _MOST_STOPS:
        raise SessionError(f"{path} is not a story: it needs a title and 1 to {_MOST_STOPS} tables [[stop]].")
    own = _heads(raw.get("heads", {}), str(path))
    heads = {**heads_by_role(), **own}
    stops = tuple(read_stop(row, f"{path}: stop {n}", heads) for n, row in enumerate(rows, 1))
    topics = raw.get("topics", [])
    if not isinstance(topics, list) or not all(isinstance(t, str) and len(t) < 200 for t in topics):
        raise SessionError(f"{path}: topics must be a list of words.")
    return Story(title, stops, path, _name_of(path), say, tuple(topics), read.read("number", 0, whole(0, 999)), own)


def _heads(raw: Any, where: str) -> Heads:
    wrong = SessionError(f"{where}: heads must be names with a block and a head, like induction = [5, 1].")
    if not isinstance(raw, dict) or len(raw) > 200:
        raise wrong
    for pair in raw.values():
        if not isinstance(pair, list) or [type(i) for i in pair] != [int, int]:
            raise wrong
        if not (0 <= pair[0] < MOST_BLOCKS and 0 <= pair[1] < MOST_HEADS):
            raise wrong
    return {name: (pair[0], pair[1]) for name, pair in raw.items()}


@cache
def shipped() -> Mapping[str, Story]:
    """The stories that ship with the program, by name, lectures first."""
    found = [load_story(path) for path in sorted(resource("stories").glob(f"*{SUFFIX}"))]
    return {story.name: story for story in sorted(found, key=lambda story: (not story.is_lecture, story.number))}


def can_be_told(story: Story) -> bool:
    """Whether every model that the story uses is on this machine."""
    for name in {stop.model for stop in story.stops}:
        try:
            if not find_model(name).exists():
                return False
        except ModelError:  # the model is not on this machine, so the story is not offered
            return False
    return True


def _name_of(path: Path) -> str:
    inside = path.parent == resource("stories") if path.name.endswith(SUFFIX) else False
    return path.name.removesuffix(SUFFIX) if inside else str(path.absolute())


def find_story(name: str) -> Story:
    """The story with this name, as in a session or as typed. Raises SessionError."""
    if name in shipped():
        return shipped()[name]
    if not Path(name).name.endswith(".toml"):
        raise SessionError(f"{name[:100]!r} is not a story of the program ({', '.join(shipped())}) or a TOML file.")
    return load_story(Path(name))


# Writing stories

_PLACE = ("workspace", "step", "layer", "head", "token", "position", "key", "target", "against")


def stop_of(state: State, title: str, say: str = "") -> Stop:
    """A stop that shows what `state` shows, with the same settings."""
    plain = State()
    chosen = {
        f.name for f in fields(State) if "kind" in f.metadata and getattr(state, f.name) != getattr(plain, f.name)
    }
    chosen |= {"text", "step", "layer", "head"}
    if state.view != plain.view:
        chosen.add("view")
    kept = replace(state, model="", beside=reference_of(state.beside), pinned=(), story="", stop=0)
    chosen -= {"model", "pinned", "story", "stop"}
    return Stop(title, say, kept, frozenset(chosen), model=reference_of(state.model) or "bundled")


def with_stop(story: Story, stop: Stop, after: int | None = None) -> Story:
    """The story with one more stop: at the end, or after the stop with index `after`."""
    at = len(story.stops) if after is None else after + 1
    return replace(story, stops=(*story.stops[:at], stop, *story.stops[at:]))


def story_text(story: Story) -> str:
    """The text of a file with this story. A head that was given by its role is written as block and head."""
    lines = [f"title = {_toml(story.title)}"]
    if story.say:
        lines.append(f"say = {_toml(story.say)}")
    if story.number:
        lines.append(f"number = {story.number}")
    if story.topics:
        lines.append(f"topics = {_toml(story.topics)}")
    if story.heads:
        lines += ["", "[heads]", *(f"{_toml(name)} = {_toml(pair)}" for name, pair in story.heads.items())]
    for stop in story.stops:
        lines += ["", "[[stop]]", *(f"{name} = {_toml(value)}" for name, value in _rows_of(stop))]
    return "\n".join(lines) + "\n"


def _rows_of(stop: Stop) -> Iterable[tuple[str, Any]]:
    for name in ("title", "say", "look_for", "notes"):
        if name == "title" or getattr(stop, name):
            yield name, getattr(stop, name)
    yield "model", stop.model
    for name in sorted(stop.chosen - {"sampling", "view", "opened", "edits"}):
        if (value := getattr(stop.state, name)) is not None:
            yield name, value
    if stop.state.edits:
        yield "edits", [{"text": change.text, "on": change.on} for change in stop.state.edits]
    if stop.state.opened:
        yield "opened", [cell.as_fields() for cell in stop.state.opened]
    if stop.state.sampling != OPENING:
        yield "sampling", _given(stop.state.sampling)
    if "view" in stop.chosen:
        yield "view", _given(stop.state.view)
    yield from stop.written.items()


def _given(record: Any) -> dict[str, Any]:
    """All fields of the settings that are not None; TOML has no null."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return {name: value for name, value in values.items() if value is not None}


def _toml(value: Any) -> str:
    """A value as TOML. An escaped JSON string is also a TOML basic string, except for U+007F."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        text_ = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return json.dumps(text_, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def save_story(path: Path, story: Story) -> None:
    """Write a story to a file, atomically, so that it can be opened again. Raises SessionError."""
    data = story_text(story).encode("utf-8")
    read_story(data, path)
    with whole_file(path, SessionError) as file:
        file.write(data)
