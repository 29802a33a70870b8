"""Turns marks into a matplotlib figure, and the figure into SVG with real text, PDF with embedded fonts, or PNG."""

from desktop_app.figures import matplotlib_apart  # noqa: F401 - before matplotlib

# isort: split

import io
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.text import Text

from desktop_app.figures import fonts
from desktop_app.figures.fonts_table import BASELINE, MONO
from desktop_app.figures.marks import Dots, Fill, Heat, Mark, Path, Picture, Words
from desktop_app.figures.theme import Theme
from desktop_app.figures.xml_text import escape

FORMATS = ("svg", "pdf", "png")
_VECTOR_CELLS = 1000  # larger heatmaps become bitmaps inside the figure, by default

_SETTINGS: Any = {
    **fonts.GENERIC,
    "svg.fonttype": "none",
    "svg.hashsalt": "logitscope",
    "pdf.fonttype": 42,
    "pdf.compression": 6,
    "path.simplify": False,
    "text.hinting": "none",
}

# JetBrains Mono draws -> as an arrow and != as one sign, so that tokens would look wrong.
_NO_LIGATURES: Any = {"fontfeatures": ["-calt", "-liga"]} if hasattr(Text, "set_fontfeatures") else {}
_SVG_STYLE = b"text{font-variant-ligatures:none;font-feature-settings:'calt' 0,'liga' 0;white-space:pre}"


_one_at_a_time = threading.RLock()
_kept_fonts: Any = getattr(font_manager, "_get_font", None)  # matplotlib has no public name for this cache


@contextmanager
def _our_settings() -> Iterator[None]:
    """In this context matplotlib has its defaults with our settings, so that no user's matplotlibrc changes a figure.

    The settings belong to the process, so threads draw one after the other. matplotlib caches the fonts that each
    thread has opened, up to 64 lists of files. A window starts new threads, so all threads except the main one release
    theirs.
    """
    with _one_at_a_time:
        try:
            with mpl.rc_context():
                mpl.rcdefaults()
                mpl.rcParams.update(_SETTINGS)
                yield
        finally:
            if _kept_fonts is not None and threading.current_thread() is not threading.main_thread():
                _kept_fonts.cache_clear()


def make_figure(
    marks: Sequence[Mark],
    width: float,
    height: float,
    theme: Theme,
    *,
    transparent: bool = False,
    cells: int = _VECTOR_CELLS,
) -> Figure:
    """A figure of `width` x `height` points with the marks on it; heatmaps larger than `cells` become bitmaps."""
    with _our_settings():
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        figure.patch.set_facecolor("none" if transparent else theme.background)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        for order, mark in enumerate(marks):
            _draw(mark, axes, order, cells)
    return figure


def figure_bytes(
    figure: Figure, kind: str, *, dpi: float = 200, title: str = "", text: str = "", outlines: bool = False
) -> bytes:
    """The figure's file; the same figure gives the same bytes (no dates, no random names). `text` describes it.

    With `outlines`, the text of an SVG file is drawn as shapes, which look the same in every viewer.
    """
    canvas: Any = {"svg": FigureCanvasSVG, "pdf": FigureCanvasPdf, "png": FigureCanvasAgg}[kind](figure)
    undated: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": "Logitscope"},
        "pdf": {"CreationDate": None, "ModDate": None, "Creator": "Logitscope"},
        "png": {"Software": "Logitscope"},
    }
    words = {"Title": title, "Subject" if kind == "pdf" else "Description": text}
    metadata = {**undated[kind], **{name: value for name, value in words.items() if value}}
    buffer = io.BytesIO()
    with _our_settings():
        mpl.rcParams["svg.fonttype"] = "path" if outlines else "none"
        figure.dpi = dpi if kind == "png" else 72
        getattr(canvas, f"print_{kind}")(buffer, metadata=metadata)
    return _finished_svg(buffer.getvalue(), figure, text, outlines) if kind == "svg" else buffer.getvalue()


def _finished_svg(data: bytes, figure: Figure, text: str, outlines: bool) -> bytes:
    """The SVG with additions for which matplotlib has no setting: text style, the fonts needed, and a description."""
    faces = ""
    if not outlines:
        written = [t for axes in figure.axes for t in axes.texts]
        faces = fonts.embedded(
            (t.get_text(), t.get_fontfamily()[0] == MONO, t.get_fontweight() == 600) for t in written
        )
    data = data.replace(b"</style>", b"\n" + _SVG_STYLE + faces.encode() + b"</style>", 1)
    if text:
        data = data.replace(b"<metadata>", f"<desc>{escape(text)}</desc>\n <metadata>".encode(), 1)
    return data.replace(b"<svg ", b'<svg role="img" ', 1)


def pdf_of_pages(figures: Iterable[Figure]) -> bytes:
    """A PDF file with one page per figure, each drawn when it is written; fonts are embedded only once."""
    buffer = io.BytesIO()
    undated = {"CreationDate": None, "ModDate": None, "Creator": "Logitscope"}
    with _our_settings(), PdfPages(buffer, metadata=undated) as pages:
        for figure in figures:
            figure.dpi = 72
            pages.savefig(figure)
    return buffer.getvalue()


def _draw(mark: Mark, axes: Any, order: int, cells: int) -> None:
    if isinstance(mark, Words):
        _words(mark, axes, order)
    elif isinstance(mark, Fill):
        _fill(mark, axes, order)
    elif isinstance(mark, Path):
        axes.plot(
            mark.x, mark.y, color=mark.colour, linewidth=mark.width, zorder=order,
            linestyle=(0, (4, 3)) if mark.dashed else "-", solid_capstyle="butt",
        )  # fmt: skip
    elif isinstance(mark, Dots):
        axes.plot(
            mark.x, mark.y, linestyle="none", marker="o", markersize=2 * mark.radius, markeredgewidth=0,
            color=mark.colour, zorder=order,
        )  # fmt: skip
    elif isinstance(mark, Picture):
        _picture(mark, axes, order)
    else:
        _heat(mark, axes, order, cells)


def _words(mark: Words, axes: Any, order: int) -> None:
    turn = np.deg2rad(mark.angle)
    text = fonts.shown(mark.text, mark.mono, mark.bold)
    axes.text(
        mark.x + BASELINE * mark.size * np.sin(turn),
        mark.y + BASELINE * mark.size * np.cos(turn),
        # Some SVG viewers collapse spaces.
        re.sub("(?<= ) |^ | $", "\u00a0", text),
        # matplotlib reads $...$ as mathematics; a token is plain text.
        parse_math=False,
        fontproperties=fonts.properties(text, mark.mono, mark.bold),
        fontsize=mark.size,
        color=mark.colour,
        ha=mark.align,
        va="baseline",
        rotation=mark.angle,
        rotation_mode="anchor",
        zorder=order,
        **_NO_LIGATURES,
    )


def _fill(mark: Fill, axes: Any, order: int) -> None:
    r = mark.rect
    style: dict[str, Any] = {
        "facecolor": mark.fill or "none",
        "edgecolor": mark.stroke or "none",
        "linewidth": mark.width if mark.stroke else 0,
        "zorder": order,
    }
    radius = min(mark.radius, r.w / 2, r.h / 2)
    if radius > 0.5:
        shape = f"round,pad=0,rounding_size={radius}"
        axes.add_patch(FancyBboxPatch((r.x, r.y), r.w, r.h, boxstyle=shape, **style))
    else:
        axes.add_patch(Rectangle((r.x, r.y), r.w, r.h, **style))


def _picture(mark: Picture, axes: Any, order: int) -> None:
    r, packed = mark.rect, mark.pixels
    # 0xAARRGGBB as bytes of red, green, blue and opacity, whatever the machine's byte order.
    colours = np.empty((*packed.shape, 4), np.uint8)
    for channel, shift in enumerate((16, 8, 0, 24)):
        colours[..., channel] = packed >> shift & 255
    axes.imshow(colours, extent=(r.x, r.x + r.w, r.y + r.h, r.y), aspect="auto", interpolation="none", zorder=order)


def _heat(mark: Heat, axes: Any, order: int, most: int) -> None:
    r, fractions = mark.rect, np.asarray(mark.fractions, float)
    rows, columns = fractions.shape
    there = ~np.isnan(fractions)
    colours = np.zeros((rows, columns, 4), np.uint8)
    colours[..., :3] = mark.table[np.nan_to_num(fractions * 255).astype(int)]
    colours[..., 3] = np.where(there, 255, 0)
    if rows * columns > most:
        # Enlarged by a whole factor to about four pixels per point, so that cells stay sharp in viewers that smooth
        # pictures.
        factor = max(1, min(8, int(4 * min(r.w / columns, r.h / rows))))
        large = colours.repeat(factor, 0).repeat(factor, 1)
        axes.imshow(large, extent=(r.x, r.x + r.w, r.y + r.h, r.y), aspect="auto", interpolation="none", zorder=order)
        return
    x = r.x + np.arange(columns + 1) * r.w / columns
    y = r.y + np.arange(rows + 1) * r.h / rows
    corners = [[(x[j], y[i]), (x[j + 1], y[i]), (x[j + 1], y[i + 1]), (x[j], y[i + 1])] for i, j in np.argwhere(there)]
    faces = colours[there] / 255
    # Edges in the colour of the cell close the hairlines that viewers leave between neighbours.
    axes.add_collection(PolyCollection(corners, facecolors=faces, edgecolors=faces, linewidths=0.3, zorder=order))
