"""The model folders that a person has added to the list; kept in `models.json` next to the settings."""

import json
import logging
import os
from pathlib import Path

from desktop_app.core.program.settings import settings_file
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.files import alone, whole_file
from desktop_app.gpt2.jsonfile import read_json

_LIMIT = 1 << 20
log = logging.getLogger(__name__)


def folders_file() -> Path:
    """Where the list is kept; not in the settings, which a window keeps in memory and writes when it closes."""
    return settings_file().with_name("models.json")


def remembered_folders() -> tuple[Path, ...]:
    """The remembered folders, each once, oldest first; none if the file is missing or damaged."""
    try:
        kept = read_json(folders_file(), limit=_LIMIT, error=ModelError).get("folders")
    except LogitscopeError as reason:
        if folders_file().exists():
            log.warning("The list of folders cannot be read: %s", reason)
        return ()
    names = kept if isinstance(kept, list) else []
    return tuple(dict.fromkeys(Path(name) for name in names if _is_name(name)))


def _is_name(name: object) -> bool:
    """Whether a folder can have that name."""
    try:
        return isinstance(name, str) and name != "" and b"\0" not in os.fsencode(name)
    except UnicodeError:  # no name contains a lone surrogate
        return False


def remember_folder(folder: Path) -> None:
    """Add `folder` to the list, if it is not there. Raises ModelError if the list cannot be written."""
    folder = folder.absolute()
    with alone(folders_file(), ModelError):
        if not any(_same(folder, known) for known in remembered_folders()):
            _write((*remembered_folders(), folder))


def forget_folder(folder: Path) -> bool:
    """Remove `folder` from the list, but not its files; return whether it was listed. Raises as `remember_folder`."""
    with alone(folders_file(), ModelError):
        kept = tuple(known for known in remembered_folders() if not _same(known, folder.absolute()))
        if kept == remembered_folders():
            return False
        _write(kept)
    return True


def _same(one: Path, other: Path) -> bool:
    """Whether two paths name one folder: equal, or differing in case alone where the file system ignores it."""
    try:
        return one == other or (str(one).casefold() == str(other).casefold() and one.samefile(other))
    except OSError:  # one of them is not there
        return False


def _write(folders: tuple[Path, ...]) -> None:
    path = folders_file()
    with whole_file(path, ModelError) as file:
        file.write(json.dumps({"folders": [str(folder) for folder in folders]}, indent=1).encode("utf-8", "replace"))
