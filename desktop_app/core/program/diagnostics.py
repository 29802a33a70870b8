"""Information for bug reports: versions, the machine, settings, the log; never the prompt or an access token."""

import json
import os
import platform
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import psutil

from desktop_app import __version__
from desktop_app.core.library.secrecy import without_secrets
from desktop_app.core.program.logs import log_file
from desktop_app.core.program.private import without_home
from desktop_app.core.program.settings import Settings, settings_file
from desktop_app.gpt2.machine import available_memory
from desktop_app.gpt2.system import usable_cores

_ROOT = Path(__file__).resolve().parents[3]
_ENVIRONMENT = (
    "DISPLAY", "HF_HUB_OFFLINE", "LANG", "LC_ALL", "OMP_NUM_THREADS", "QT_FONT_DPI", "QT_QPA_PLATFORM",
    "QT_SCALE_FACTOR", "WAYLAND_DISPLAY", "XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE",
)  # fmt: skip
"""The environment variables that are reported: each affects the program, and none contains anything private."""

_NOT_TOLD = ("geometry", "splitter")
"""Settings that are not reported: Qt's binary data."""


def collect(settings: Settings, log: Sequence[str], **more: object) -> dict[str, Any]:
    """The diagnostics as JSON-compatible data; the items of `more` follow those of the machine."""
    import onnxruntime as ort

    memory = psutil.virtual_memory()
    found = {
        "logitscope": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {platform.platform(aliased=True)}",
        "frozen": bool(getattr(sys, "frozen", False)),
        "package": str(_ROOT / "desktop_app"),
        "settings_file": str(settings_file()),
        "log_file": str(log_file()),
        "cores": usable_cores(),
        "memory": {
            "total": int(memory.total),
            "available": available_memory(),
            "of_this_process": int(psutil.Process().memory_info().rss),
        },
        "providers": list(ort.get_available_providers()),
        "environment": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        "settings": {name: value for name, value in asdict(settings).items() if name not in _NOT_TOLD},
        **more,
        "packages": packages()[0],
        "log": list(log),
    }
    return {name: _told(value) for name, value in found.items()}


def as_text(found: Mapping[str, Any]) -> str:
    """The diagnostics as lines for a person to read and send: `name: value`, with the log last."""
    lines = []
    for name, value in found.items():
        title = name.replace("_", " ")
        if isinstance(value, Mapping):
            lines += [f"{title}:", *(f"  {key}: {_short(of)}" for key, of in value.items())]
        elif isinstance(value, list) and name == "log":
            lines += ["", f"{title}, {len(value)} lines:", *value]
        else:
            lines.append(f"{title}: {_short(value)}")
    return "\n".join(lines) + "\n"


def packages() -> tuple[dict[str, str], list[str]]:
    """Name -> version of the installed dependencies, from the distributions' metadata; and names of missing ones."""
    try:
        waiting = _required("logitscope")
    except PackageNotFoundError:  # a checkout: the same list from its own file
        project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        waiting = [_name(line) for line in project["project"]["dependencies"]]
    found: dict[str, str] = {}
    missing = []
    direct = set(waiting)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            made = distribution(name)
        except PackageNotFoundError:
            if name in direct:  # a dependency of another package may be for another system or Python
                missing.append(name)
            continue
        found[name] = made.version
        waiting += _required(name)
    return dict(sorted(found.items())), sorted(missing)


def _required(name: str) -> list[str]:
    return [_name(line) for line in distribution(name).requires or [] if "extra ==" not in line]


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _told(value: Any) -> Any:
    """`value` without secrets and without the path of the home folder, at any depth."""
    if isinstance(value, str):
        return without_home(without_secrets(value))
    if isinstance(value, Mapping):
        return {name: _told(of) for name, of in value.items()}
    return [_told(of) for of in value] if isinstance(value, list | tuple) else value
