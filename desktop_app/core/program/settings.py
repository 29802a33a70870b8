"""The settings that the program saves between runs: theme, type size, window geometry and the like."""

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from desktop_app.gpt2.errors import LogitscopeError, SessionError
from desktop_app.gpt2.files import alone, whole_file
from desktop_app.gpt2.jsonfile import read_json

TYPE_SIZES = (0.8, 0.9, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0)
"""The type sizes to choose from, as factors of the default."""

_THEMES = ("light", "dark", "projector", "system")
_MAX_BYTES = 1 << 22  # a longer file is not read
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The settings of the window.

    - `theme`: light, dark, projector, or system for light or dark as the desktop is set.
    - `type_size`: one of TYPE_SIZES.
    - `geometry`, `splitter`: what Qt's `saveGeometry` and `saveState` returned for the window and the splitter between
      its panes, in hex; "" before the window was first closed.
    - `speed`: the number of steps a second while the walk plays.
    - `export_folder`: the folder in which a figure, a deck or a session was last saved.
    - `every_number`: whether every vector and table is also shown as colours, next to panels that summarise it.
    """

    theme: str = "system"
    type_size: float = 1.0
    geometry: str = ""
    splitter: str = ""
    speed: float = 1.0
    export_folder: str = ""
    every_number: bool = False


def settings_file() -> Path:
    """The path of the settings file."""
    return user_config_path("logitscope", appauthor=False) / "settings.json"


def load_settings() -> Settings:
    """The saved settings. A field that is missing or invalid has its default.

    If the file is missing, all fields have their defaults; also if it cannot be read, which is logged.
    """
    path = settings_file()
    try:
        if not path.is_file():
            return Settings()
        raw = read_json(path, limit=_MAX_BYTES, error=SessionError)
    except (LogitscopeError, OSError) as reason:
        log.warning("The settings cannot be read, so the defaults are used: %s", reason)
        # A damaged settings file must not keep the program from starting; the window replaces it when it closes.
        return Settings()
    defaults = asdict(Settings())
    valid: dict[str, Any] = {k: raw[k] for k in defaults if type(raw.get(k)) is type(defaults[k])}
    if valid.get("theme") not in (None, *_THEMES):
        del valid["theme"]
    if valid.get("type_size") not in (None, *TYPE_SIZES):
        del valid["type_size"]
    return Settings(**valid)


def save_settings(settings: Settings, since: Settings | None = None) -> None:
    """Write `settings`; with `since`, the settings that the caller started from, only the fields that have changed.

    The other fields are left as they are in the file, where another window may have changed them since. Raises
    SessionError if the file cannot be written or another process does not release its lock on it.
    """
    path = settings_file()
    with alone(path, SessionError):
        if since is not None:
            before = asdict(since)
            changed = {name: value for name, value in asdict(settings).items() if value != before[name]}
            settings = replace(load_settings(), **changed)
        with whole_file(path, SessionError) as file:
            file.write(json.dumps(asdict(settings), indent=1).encode())
