"""The fonts of figures: shipped faces first, then what the system has, and a visible escape for what none can show."""

from functools import cache, lru_cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font, LoadFlags

from desktop_app.figures.fonts_table import FILES, MONO, SANS, font_file

# Faces for other scripts, where the system has them. DejaVu comes with matplotlib.
_FALLBACKS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Emoji",
    "Symbola",
)


@cache
def register() -> None:
    """Make the shipped faces known to matplotlib, once."""
    for mono, bold in FILES:
        font_manager.fontManager.addfont(font_file(mono, bold))


@cache
def families(mono: bool) -> tuple[str, ...]:
    """Family names to try, in order."""
    register()
    known = {entry.name for entry in font_manager.fontManager.ttflist}
    first = (MONO, SANS) if mono else (SANS,)
    return (*first, *(f for f in _FALLBACKS if f in known))


@cache
def properties(mono: bool, bold: bool) -> FontProperties:
    """What matplotlib's text takes."""
    return FontProperties(family=list(families(mono)), weight=600 if bold else 400)


@cache
def _faces(mono: bool, bold: bool) -> tuple[FT2Font, ...]:
    register()
    found = [font_file(mono, bold)]
    if mono:
        found.append(font_file(False, bold))
    known = {e.name: e.fname for e in font_manager.fontManager.ttflist if e.style == "normal" and e.weight == 400}
    found += [Path(known[f]) for f in _FALLBACKS if f in known]
    faces = tuple(FT2Font(str(path)) for path in found)
    for face in faces:
        face.set_size(1000, 72)
    return faces


@lru_cache(maxsize=8192)
def _advance(char: str, mono: bool, bold: bool) -> float | None:
    """Width of a character for text of size 1; None if no face has it."""
    for face in _faces(mono, bold):
        if face.get_char_index(ord(char)):
            return float(face.load_char(ord(char), flags=LoadFlags.NO_HINTING).linearHoriAdvance) / 65536 / 1000
    return None


@lru_cache(maxsize=8192)
def shown(text: str, mono: bool, bold: bool) -> str:
    r"""The text with characters that no face has written out, as in \u{1f600}."""
    return "".join(c if _advance(c, mono, bold) is not None else f"\\u{{{ord(c):x}}}" for c in text)


def width(text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
    """Width of one line, as it will be drawn."""
    return size * sum(_advance(c, mono, bold) or 0.0 for c in shown(text, mono, bold))
