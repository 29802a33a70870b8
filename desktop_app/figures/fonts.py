"""The fonts of figures: shipped faces first, then what the system has, and a visible escape for what none can show."""

from functools import cache, lru_cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font, LoadFlags

from desktop_app.figures.fonts_table import FILES, MONO, SANS, font_file
from desktop_app.gpt2.display import is_visible

# matplotlib brings DejaVu along; the others are there where the system has them, each for scripts of its own.
_DEJAVU, _DEJAVU_MONO = "DejaVu Sans", "DejaVu Sans Mono"
_SYSTEM = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Emoji",
    "Symbola",
)
GENERIC = {"font.sans-serif": [_DEJAVU], "font.monospace": [_DEJAVU_MONO]}
"""What matplotlib takes the generic families for; viewers of an SVG file take their own."""


@cache
def register() -> None:
    """Make the shipped faces known to matplotlib, once."""
    for mono, bold in FILES:
        font_manager.fontManager.addfont(font_file(mono, bold))


@cache
def _faces(mono: bool, bold: bool) -> tuple[tuple[str, FT2Font], ...]:
    """(family, face) in the order in which they are tried."""
    register()
    known = {e.name: Path(e.fname) for e in font_manager.fontManager.ttflist if e.style == "normal" and e.weight == 400}
    shipped = [("monospace", known[_DEJAVU_MONO]), (SANS, font_file(False, bold))] if mono else []
    found = [(MONO if mono else SANS, font_file(mono, bold)), *shipped, ("sans-serif", known[_DEJAVU])]
    found += [(family, known[family]) for family in _SYSTEM if family in known]
    faces = tuple((family, FT2Font(str(path))) for family, path in found)
    for _, face in faces:
        face.set_size(1000, 72)
    return faces


@lru_cache(maxsize=8192)
def _glyph(char: str, mono: bool, bold: bool) -> tuple[str, float] | None:
    """The family that shows a character, and its width for text of size 1; None if nothing would be seen of it."""
    if char in " \u00a0" or is_visible(char):
        for family, face in _faces(mono, bold):
            if face.get_char_index(ord(char)):
                advance = face.load_char(ord(char), flags=LoadFlags.NO_HINTING).linearHoriAdvance
                return family, float(advance) / 65536 / 1000
    return None


@lru_cache(maxsize=8192)
def shown(text: str, mono: bool, bold: bool) -> str:
    r"""The text with characters that no face can show written out, as in \u{1f600}."""
    return "".join(c if _glyph(c, mono, bold) is not None else f"\\u{{{ord(c):x}}}" for c in text)


@lru_cache(maxsize=1024)
def properties(text: str, mono: bool, bold: bool) -> FontProperties:
    """What matplotlib's text takes. Faces of the system are named only where `text` (as `shown`) needs them.

    So the file of a figure in the shipped scripts is the same on every machine.
    """
    needed = {glyph[0] for char in set(text) if (glyph := _glyph(char, mono, bold))}
    families = [f for f, _ in _faces(mono, bold) if f in needed or f not in _SYSTEM]
    return FontProperties(family=families, weight=600 if bold else 400)


def width(text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
    """Width of one line, as it will be drawn."""
    glyphs = (_glyph(c, mono, bold) for c in shown(text, mono, bold))
    return size * sum(glyph[1] for glyph in glyphs if glyph)
