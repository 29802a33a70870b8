"""Panels as SVG for a page with two themes: shapes have classes, which a style sheet defines for each theme.

The page's security policy forbids inline styles, so nothing here has a `style` attribute.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from desktop_app.core.panels import Box, View
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Cells, Dots, Fill, Heat, Mark, Page, Path, Picture, Words
from desktop_app.figures.panel_phrases import Say
from desktop_app.figures.theme import THEMES
from desktop_app.gpt2.errors import ExportError

WIDTH = 880.0
_SHADES = 48  # shades to which a colour table is reduced; each shade in use becomes one SVG shape
_SCALE = 1.15


@dataclass
class Palette:
    """Pairs of colours, for the light and the dark theme, each with a CSS class."""

    found: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, light: str, dark: str) -> int:
        """The number of the pair, which is part of its class name."""
        return self.found.setdefault((light, dark), len(self.found))

    def sheet(self) -> str:
        """CSS rules for every pair, in both themes: class `fN` sets the fill, `sN` the stroke."""
        light = "".join(f".f{n}{{fill:{a}}}.s{n}{{stroke:{a}}}" for (a, _), n in self.found.items())
        dark = "".join(f".f{n}{{fill:{b}}}.s{n}{{stroke:{b}}}" for (_, b), n in self.found.items())
        chosen = "".join(
            f"[data-theme=dark] .f{n}{{fill:{b}}}[data-theme=dark] .s{n}{{stroke:{b}}}"
            for (_, b), n in self.found.items()
        )
        dark = dark.replace(".f", "html:not([data-theme=light]) .f").replace(".s", "html:not([data-theme=light]) .s")
        return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}@media screen{{{chosen}}}"


@dataclass(frozen=True)
class Drawing:
    """A picture as SVG, and the rectangles in it that show cells of a tensor."""

    svg: str
    cells: tuple[Cells, ...]
    height: float


def draw(content: Box, alt: str, palette: Palette, say: Say) -> Drawing:
    """Panels drawn on a page of width WIDTH and height 460, or less if they cannot fill it, or more if they need it."""
    from desktop_app.figures import fonts

    pages = [Page(THEMES[name], fonts.width, _SCALE, 2.0, 0.0, say) for name in ("light", "dark")]
    height = max(place_view(View("", "", content), WIDTH, 460.0, page, heading=False) for page in pages)
    shapes = [_shape(one, other, palette) for one, other in zip(pages[0].marks, pages[1].marks, strict=True)]
    svg = f'<svg viewBox="0 0 {WIDTH:g} {height:.0f}" role="img" aria-label="{escape(alt)}">{"".join(shapes)}</svg>'
    return Drawing(svg, tuple(pages[0].cells), height)


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _shape(mark: Mark, dark: Mark, palette: Palette) -> str:
    if isinstance(mark, Fill):
        assert isinstance(dark, Fill)
        looks = f' class="f{palette.of(mark.fill, dark.fill or mark.fill)}' if mark.fill else ' class="n'
        looks += f' s{palette.of(mark.stroke, dark.stroke or mark.stroke)}"' if mark.stroke else '"'
        looks += f' stroke-width="{_n(mark.width)}"' if mark.stroke else ""
        r = mark.rect
        return f'<rect x="{_n(r.x)}" y="{_n(r.y)}" width="{_n(r.w)}" height="{_n(r.h)}" rx="{_n(mark.radius)}"{looks}/>'
    if isinstance(mark, Words):
        assert isinstance(dark, Words)
        return _words(mark, palette.of(mark.colour, dark.colour))
    if isinstance(mark, Path):
        assert isinstance(dark, Path)
        dashes = ' stroke-dasharray="4 3"' if mark.dashed else ""
        colour = palette.of(mark.colour, dark.colour)
        return f'<path d="{_line(mark.x, mark.y)}" class="n s{colour}" stroke-width="{_n(mark.width)}"{dashes}/>'
    if isinstance(mark, Dots):
        assert isinstance(dark, Dots)
        colour = palette.of(mark.colour, dark.colour)
        dots = "".join(
            f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(mark.radius)}"/>' for x, y in zip(mark.x, mark.y, strict=True)
        )
        return f'<g class="f{colour}">{dots}</g>'
    if isinstance(mark, Picture):
        raise ExportError(
            "The sheet of the whole pass is a picture, which a hand-out may not load; export it as a figure."
        )
    assert isinstance(dark, Heat)
    return _heat(mark, dark, palette)


def _words(mark: Words, colour: int) -> str:
    from desktop_app.figures import fonts

    width = fonts.width(mark.text, mark.size, mono=mark.mono, bold=mark.bold)
    anchor = {"left": "", "center": ' text-anchor="middle"', "right": ' text-anchor="end"'}[mark.align]
    kind = f"f{colour}{' m' if mark.mono else ''}{' b' if mark.bold else ''}"
    turn = f' transform="rotate({-mark.angle:g} {_n(mark.x)} {_n(mark.y)})"' if mark.angle else ""
    # Words keep the width that was measured for them, whatever font the browser uses.
    length = f' textLength="{_n(width)}" lengthAdjust="spacingAndGlyphs"' if len(mark.text) > 1 else ""
    return (
        f'<text x="{_n(mark.x)}" y="{_n(mark.y + 0.35 * mark.size)}" font-size="{_n(mark.size)}" class="{kind}"'
        f"{anchor}{turn}{length}>{escape(mark.text)}</text>"
    )


def _line(x: Any, y: Any) -> str:
    parts, drawing = [], False
    for a, b in zip(x, y, strict=True):
        if np.isnan(a) or np.isnan(b):
            drawing = False
            continue
        parts.append(f"{'L' if drawing else 'M'}{_n(float(a))} {_n(float(b))}")
        drawing = True
    return "".join(parts)


def _heat(mark: Heat, dark: Heat, palette: Palette) -> str:
    """A heatmap as SVG: one shape for each shade in use."""
    rows, columns = mark.fractions.shape
    w, h = mark.rect.w / max(columns, 1), mark.rect.h / max(rows, 1)
    shades = np.where(np.isnan(mark.fractions), -1, np.round(mark.fractions * (_SHADES - 1))).astype(int)
    shapes = []
    for shade in np.unique(shades[shades >= 0]).tolist():
        at = round(shade * 255 / (_SHADES - 1))
        colour = palette.of(*("#{:02x}{:02x}{:02x}".format(*m.table[at]) for m in (mark, dark)))
        runs = "".join(
            f"M{_n(mark.rect.x + c * w)} {_n(mark.rect.y + r * h)}h{_n(n * w)}v{_n(h)}h{_n(-n * w)}z"
            for r, c, n in _runs(shades == shade)
        )
        shapes.append(f'<path d="{runs}" class="f{colour}"/>')
    return "".join(shapes)


def _runs(chosen: Any) -> Sequence[tuple[int, int, int]]:
    """(row, first column, length) of each run of true cells."""
    found = []
    for r, line in enumerate(chosen):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], line.astype(int), [0]))))
        found += [(r, int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return found
