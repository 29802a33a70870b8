#!/usr/bin/env python3
"""Draw docs/architecture.svg from the imports of the program's modules: python packaging/drawing.py

A box is a folder with the first sentence of its docstring, placed above everything that it imports. Arrows implied by
others are left out. Folders that import each other share one frame.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "desktop_app"
FILE = ROOT / "docs" / "architecture.svg"

Folder = str
Group = tuple[Folder, ...]  # folders that import each other, or a single folder

_WIDTH, _MARGIN, _GAP, _RISE = 760, 16, 12, 30
_COLUMNS = 4  # boxes side by side
_LINE, _LETTER = 16, 6.4  # line height and letter width of the small text
_TINT = {"gpt2": "#e7eef7", "core": "#e8f3ea", "figures": "#fbf0dd", "ui": "#f6e6ec", "cli": "#ece8f5"}
_INK, _EDGE, _FRAME = "#1d2733", "#5a6b7d", "#9aa7b4"


def folder_of(path: Path) -> Folder:
    """The folder of a module in the program, "core/views"; "" for the few modules outside any folder."""
    parent = path.parent.relative_to(ROOT / PACKAGE).as_posix()
    return "" if parent == "." else parent


def modules() -> dict[str, Path]:
    """Every module of the program by its full name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        if "importable" in path.parts:
            continue  # this package, which scripts import, only re-exports scripting.py
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of the program that a module imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def arrows() -> dict[Folder, set[Folder]]:
    """Folder -> the other folders that its modules import."""
    known = modules()
    found: dict[Folder, set[Folder]] = {folder_of(path): set() for path in known.values() if folder_of(path)}
    for path in known.values():
        targets = {folder_of(known[name]) for name in imported(path, known) if name in known}
        if folder_of(path):
            found[folder_of(path)] |= targets - {"", folder_of(path)}
    return found


def reachable(start: Folder, graph: dict[Folder, set[Folder]]) -> set[Folder]:
    """The folders that `start` imports, directly or indirectly."""
    found: set[Folder] = set()
    waiting = [start]
    while waiting:
        for target in graph[waiting.pop()] - found:
            found.add(target)
            waiting.append(target)
    return found


def ordered(graph: dict[Folder, set[Folder]]) -> tuple[list[list[Group]], set[tuple[Group, Group]]]:
    """Rows of groups from top to bottom, each below all its importers, and the arrows not implied by others."""
    far = {folder: reachable(folder, graph) for folder in graph}
    group_of = {a: tuple(sorted({a, *(b for b in far[a] if a in far[b])})) for a in graph}
    groups = sorted(set(group_of.values()))
    below = {g: {group_of[t] for folder in g for t in far[folder]} - {g} for g in groups}
    above = {g: {other for other in groups if g in below[other]} for g in groups}
    depth: dict[Group, int] = {}
    for group in sorted(groups, key=lambda g: len(above[g])):  # a group has fewer above it than those that it imports
        depth[group] = max((depth[other] + 1 for other in above[group]), default=0)
    rows = [[g for g in groups if depth[g] == level] for level in range(max(depth.values()) + 1)]
    direct = {(g, other) for g in groups for other in below[g] if not any(other in below[m] for m in below[g])}
    return rows, direct


def purpose(folder: Folder) -> str:
    """The first sentence of a folder's docstring."""
    source = (ROOT / PACKAGE / folder / "__init__.py").read_text(encoding="utf-8")
    text = " ".join((ast.get_docstring(ast.parse(source)) or "").split())
    end = text.find(". ")
    return (text if end < 0 else text[: end + 1]).replace("`", "")


def _box(folder: Folder, x: float, y: float, width: float, height: float) -> Iterator[str]:
    tint = _TINT[folder.split("/")[0]]
    yield f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{tint}" stroke="{_EDGE}"/>'
    yield f'<text x="{x + 12:g}" y="{y + 21:g}" class="name">{escape(folder)}</text>'
    for n, line in enumerate(_lines(folder, width)):
        yield f'<text x="{x + 12:g}" y="{y + 39 + n * _LINE:g}" class="what">{escape(line)}</text>'


def _lines(folder: Folder, width: float) -> list[str]:
    return wrap(purpose(folder), int((width - 24) / _LETTER))


def _across(row: list[Group]) -> dict[Group, int]:
    """Group -> how many of its boxes stand side by side: all; of the largest group, as many as `_COLUMNS` allows."""
    largest = max(row, key=len)
    left = _COLUMNS - sum(len(group) for group in row if group is not largest)
    return {group: max(1, min(len(group), left)) if group is largest else len(group) for group in row}


def drawing() -> str:
    """The drawing as SVG."""
    rows, direct = ordered(arrows())
    boxes: list[str] = []
    middle: dict[Group, tuple[float, float, float]] = {}  # group -> its middle, top and bottom
    y = float(_MARGIN)
    for row in rows:
        columns = _across(row)
        count = sum(columns.values())
        width = (_WIDTH - 2 * _MARGIN - _GAP * (count - 1 + 2 * sum(len(g) > 1 for g in row))) / count
        height = 31 + _LINE * max(len(_lines(folder, width)) for group in row for folder in group)
        pad = _GAP if any(len(group) > 1 for group in row) else 0
        deep = {g: -(-len(g) // columns[g]) * (height + _GAP) - _GAP for g in row}
        tall = max(deep.values()) + 2 * pad
        x = float(_MARGIN)
        for group in row:
            left, framed, across = x, len(group) > 1, columns[group]
            x += _GAP if framed else 0
            for n, folder in enumerate(group):
                down, right = divmod(n, across)
                top = y + pad + down * (height + _GAP) if framed else y
                boxes += _box(folder, x + right * (width + _GAP), top, width, height if framed else tall)
            x += across * (width + _GAP)
            end = x - (0 if framed else _GAP)
            bottom = y + (deep[group] + 2 * pad if framed else tall)
            if framed:
                boxes.append(
                    f'<rect x="{left:g}" y="{y:g}" width="{end - left:g}" height="{bottom - y:g}" rx="10" '
                    f'fill="none" stroke="{_FRAME}" stroke-dasharray="5 4"/>'
                )
            middle[group] = ((left + end) / 2, y, bottom)
            x = end + _GAP
        y += tall + _RISE
    lines = [
        f'<line x1="{middle[a][0]:g}" y1="{middle[a][2]:g}" x2="{middle[b][0]:g}" y2="{middle[b][1] - 2:g}" '
        f'stroke="{_EDGE}" stroke-width="1.5" marker-end="url(#tip)"/>'
        for a, b in sorted(direct)
    ]
    whole = y - _RISE + _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {whole:g}" width="{_WIDTH}" '
            f'height="{whole:g}" role="img" aria-label="The folders of the program, each above all that it imports">',
            f"<style>text {{ fill: {_INK}; font-family: 'DejaVu Sans', Verdana, sans-serif }} "
            ".name { font-weight: bold; font-size: 14px } .what { font-size: 11.5px }</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0 0 L8 4 L0 8 Z" fill="{_EDGE}"/></marker></defs>',
            f'<rect width="{_WIDTH}" height="{whole:g}" fill="#ffffff"/>',
            *lines,
            *boxes,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    FILE.write_text(drawing(), encoding="utf-8")
