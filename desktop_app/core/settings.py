"""The settings that the program keeps between runs: theme, type size, window geometry."""

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
_THEMES = ("light", "dark", "projector", "system")
_LIMIT = 1 << 22
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """`theme` is light, dark, projector or system; `geometry` and `splitter` are Qt's binary data, in hex.

    `every_number` says whether every vector and table is also shown as colours, next to panels that summarise it.
    """

    theme: str = "system"
    type_size: float = 1.0
    geometry: str = ""
    splitter: str = ""
    speed: float = 1.0
    export_folder: str = ""
    every_number: bool = False


def settings_file() -> Path:
    """Where settings are kept."""
    return user_config_path("logitscope", appauthor=False) / "settings.json"


def load_settings() -> Settings:
    """The saved settings; defaults for whatever is missing or cannot be used."""
    path = settings_file()
    try:
        if not path.is_file():
            return Settings()
        raw = read_json(path, limit=_LIMIT, error=SessionError)
    except (LogitscopeError, OSError) as reason:
        log.warning("The settings cannot be read, so the defaults are used: %s", reason)
        # A damaged settings file must not keep the program from starting; it is rewritten on exit.
        return Settings()
    defaults = asdict(Settings())
    kept: dict[str, Any] = {k: raw[k] for k in defaults if type(raw.get(k)) is type(defaults[k])}
    if kept.get("theme") not in (None, *_THEMES):
        del kept["theme"]
    if kept.get("type_size") not in (None, *TYPE_SIZES):
        del kept["type_size"]
    return Settings(**kept)


def save_settings(settings: Settings, since: Settings | None = None) -> None:
    """Write the settings; with `since`, the settings at the start, only those that differ from them.

    So changes that another window made in the meantime are kept. Raises SessionError if the folder cannot be written.
    """
    path = settings_file()
    with alone(path, SessionError):
        if since is not None:
            before = asdict(since)
            own = {name: value for name, value in asdict(settings).items() if value != before[name]}
            settings = replace(load_settings(), **own)
        with whole_file(path, SessionError) as file:
            file.write(json.dumps(asdict(settings), indent=1).encode())
