"""Licences of libraries compiled into wheels that do not list them, from Debian's packages of the same libraries.

Debian's versions differ from those in the wheels; authors and terms are the same.
"""

import json
import re
from importlib.metadata import Distribution
from pathlib import Path

_DOC = Path("/usr/share/doc")
_PACKAGES = {
    "PySide6_Essentials": (r"libqt6core6(t64)?", r"libicu\d+"),
    "lxml": (r"libxml2(-\d+)?", r"libxslt1\.1"),
}
"""Distribution -> patterns of package names: Qt with its bundled parts, and ICU; libxml2 and libxslt."""
NEEDED = ("libqt6core6", "libxslt1.1")
"""The packages to install with apt; the others come as their dependencies."""


def lacking() -> bool:
    """Whether a copyright file that `notices` reads is not installed."""
    return any(_copyright(pattern) is None for patterns in _PACKAGES.values() for pattern in patterns)


def notices(made: Distribution) -> list[str]:
    """Notices for the sources compiled into a distribution, in addition to its licence files; each with a title."""
    found = [path for pattern in _PACKAGES.get(made.name, ()) if (path := _copyright(pattern)) is not None]
    texts = [f"==== {path.parent.name} of Debian\n\n{path.read_text(encoding='utf-8')}" for path in found]
    for path in made.files or []:
        if path.parent.name == "sboms":
            texts += _listed(str(path), path.read_text(encoding="utf-8"))
    return texts


def _copyright(pattern: str) -> Path | None:
    return next((path for path in sorted(_DOC.glob("lib*/copyright")) if re.fullmatch(pattern, path.parent.name)), None)


def _listed(title: str, bill: str) -> list[str]:
    """The parts that a bill of materials (CycloneDX) lists with their licences."""
    rows = []
    for part in json.loads(bill).get("components", []):
        words = [row.get("expression") or _name(row["license"]) for row in part.get("licenses", [])]
        if words:
            rows.append(f"{part['name']} {part.get('version', '')}: {', '.join(words)}\n")
    return [f"==== {title}: the parts that are compiled in\n\n{''.join(rows)}"] if rows else []


def _name(licence: dict[str, str]) -> str:
    return licence.get("id") or licence["name"]
