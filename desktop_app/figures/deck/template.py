"""Opens an organisation's template with checks, and finds in it what the slide of a step needs."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktop_app.figures.deck.master import CONTENT, EMU, HEIGHT, STEP_LAYOUT, WIDTH, empty_deck
from desktop_app.figures.marks import Rect
from desktop_app.figures.theme import THEMES, luminance
from desktop_app.gpt2.errors import ExportError

_SIDES = (1.0, 56.0)  # inches: the minimum and maximum side of a slide in PowerPoint
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_SLOTS = {"bg1": "lt1", "tx1": "dk1", "bg2": "lt2", "tx2": "dk2"}
"""The default colour map: its names -> the theme's names."""


@dataclass(frozen=True)
class Design:
    """The base of slides: an empty presentation, its layout, and the area that the layout leaves free.

    `own` is True for the program's master, whose layout has placeholders for place and lead. In a template, these are
    text boxes in the free area `room` (in points, like every rectangle on a slide). `scale` multiplies design units.
    """

    data: bytes
    layout: int
    room: Rect
    width: float
    height: float
    theme: str
    own: bool
    scale: float = 1.0
    content: int | None = None  # the index of the placeholder whose area is used


def own_design(theme: str) -> Design:
    """The program's master in one of its themes."""
    data = empty_deck(THEMES[theme])
    names = [layout.name for layout in _open(data).slide_layouts]
    return Design(data, names.index(STEP_LAYOUT), CONTENT, WIDTH, HEIGHT, theme, True)


def read_template(path: Path, theme: str | None = None) -> Design:
    """The design of an organisation's file. Pictures have `theme` or, by default, a theme that suits its background.

    Raises ExportError that says what the file is, or what it lacks.
    """
    from pptx.exc import PythonPptxError

    from desktop_app.figures.deck.package import clean_package

    data = clean_package(path)
    # These are what python-pptx raises for parts that are XML but not of the expected kind.
    damage = (PythonPptxError, SyntaxError, LookupError, ValueError, AttributeError, TypeError, OverflowError)
    try:
        return _design(_open(data), data, path, theme)
    except damage as reason:
        raise ExportError(
            f"{path} is damaged, or not a presentation: {type(reason).__name__}; save it again."
        ) from reason


def _design(deck: Any, data: bytes, path: Path, theme: str | None) -> Design:
    """The design of an opened presentation."""
    width, height = ((side or 0) / EMU for side in (deck.slide_width, deck.slide_height))
    if not all(_SIDES[0] <= side / 72 <= _SIDES[1] for side in (width, height)):
        raise ExportError(f"{path}: its slides are {width / 72:.3g} by {height / 72:.3g} inches; give it a size.")
    layouts = list(deck.slide_layouts)
    kinds = [_kinds(layout) for layout in layouts]
    titled = [n for n, found in enumerate(kinds) if "title" in found]
    if not titled:
        raise ExportError(
            f"{path}: none of its {len(layouts)} slide layouts has a title; in PowerPoint's View, Slide Master, add "
            "“Title and Content” or “Title Only”."
        )
    with_content = [n for n in titled if "content" in kinds[n]]
    layout = min(with_content or titled, key=lambda n: (_rank(layouts[n]), n))
    content = kinds[layout].get("content")
    room = _room(layouts[layout], content, width, height)
    least = min(width, height) / 4
    if room.w < 2 * least or room.h < least:
        raise ExportError(
            f"{path}: the layout “{layouts[layout].name}” leaves {room.w / 72:.1f} by {room.h / 72:.1f} inches for "
            "content, too little for a step; make its content placeholder larger."
        )
    scale = min(width / WIDTH, height / HEIGHT)
    found = theme or ("dark" if _is_dark(deck) else "light")
    index = None if content is None else int(content.placeholder_format.idx)
    return Design(data, layout, room, width, height, found, False, scale, index)


def _rank(layout: Any) -> tuple[int, int]:
    """A sort key by which the plainest layout is first: one title, one content, and PowerPoint's layout type."""
    order = ("obj", "titleOnly", "tx")
    kind = layout._element.get("type", "")
    others = sum(1 for p in layout.placeholders if _kind(p) == "content")
    return order.index(kind) if kind in order else len(order), others


def _kind(placeholder: Any) -> str:
    """What a placeholder is for: title, content, footer, number or something else."""
    kind = placeholder.element.ph.type.name if placeholder.element.ph.type is not None else "OBJECT"
    groups = {
        "TITLE": "title", "CENTER_TITLE": "title", "OBJECT": "content", "BODY": "content",
        "FOOTER": "footer", "SLIDE_NUMBER": "number",
    }  # fmt: skip
    return groups.get(kind, kind)


def _kinds(layout: Any) -> dict[str, Any]:
    """Kind -> the largest placeholder of that kind."""
    found: dict[str, Any] = {}
    for placeholder in layout.placeholders:
        kind = _kind(placeholder)
        if kind not in found or _area(placeholder) > _area(found[kind]):
            found[kind] = placeholder
    return found


def _area(placeholder: Any) -> int:
    return (placeholder.width or 0) * (placeholder.height or 0)


def _room(layout: Any, content: Any, width: float, height: float) -> Rect:
    """The rectangle for the content: that of its placeholder, or the area below the title."""
    edge = Rect(0, 0, width, height)
    if content is not None and None not in (content.left, content.top, content.width, content.height):
        x, y, w, h = (v / EMU for v in (content.left, content.top, content.width, content.height))
    else:
        title = _kinds(layout)["title"]
        below = [(p.top or 0) / EMU for p in layout.placeholders if _kind(p) in ("footer", "number") and p.top]
        x, w = (title.left or 0) / EMU or 0.05 * width, (title.width or 0) / EMU or 0.9 * width
        y = ((title.top or 0) + (title.height or 0)) / EMU + 0.01 * height
        h = min([v for v in below if v > y] or [0.94 * height]) - y
    x, y = max(x, edge.x), max(y, edge.y)
    return Rect(x, y, max(0.0, min(w, width - x)), max(0.0, min(h, height - y)))


def _is_dark(deck: Any) -> bool:
    """Whether the master's background is dark, if it is a single colour of its theme."""
    master = deck.slide_master
    space = {
        "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
        "p": "http://schemas.openxmlformats.org/presentationml/2006/main",
    }
    background = master._element.find("p:cSld/p:bg", space)
    plain = background.find(".//a:srgbClr", space) if background is not None else None
    colour = plain.get("val", "") if plain is not None else ""
    if not colour:
        named = background.find(".//a:schemeClr", space) if background is not None else None
        name = named.get("val", "bg1") if named is not None else "bg1"
        colours = master._element.find("p:clrMap", space)
        name = colours.get(name, name) if colours is not None else name
        colour = _theme_colour(master, name)
    return bool(re.fullmatch("[0-9A-Fa-f]{6}", colour)) and luminance(f"#{colour}") < 0.18


def _theme_colour(master: Any, name: str) -> str:
    """The colour of that name in the master's theme; "" if there is none."""
    from pptx.oxml import parse_xml

    for relation in master.part.rels.values():
        if not relation.is_external and relation.reltype.endswith("/theme"):
            for scheme in parse_xml(relation.target_part.blob).iter(f"{_A}clrScheme"):
                for slot in scheme.iterchildren(f"{_A}{_SLOTS.get(name, name)}"):
                    return next((c.get("lastClr") or c.get("val", "") for c in slot.iterchildren()), "")
    return ""


def _open(data: bytes) -> Any:
    """The presentation in `data`. Raises many kinds of exceptions if python-pptx cannot read it."""
    from pptx import Presentation

    deck: Any = Presentation(io.BytesIO(data))
    # Read everything that will be used, so that damage is found now and not after all slides have been drawn.
    for layout in deck.slide_layouts:
        for placeholder in list(layout.placeholders):
            _ = _kind(placeholder), _area(placeholder), placeholder.left, placeholder.top, placeholder.name
            _ = placeholder.placeholder_format.idx
    return deck
