"""The fonts of figures: shipped fonts, then the system's, and visible escapes for characters that no font has."""

from desktop_app.figures import matplotlib_apart  # noqa: F401 - before matplotlib

# isort: split

import base64
import io
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font, LoadFlags

from desktop_app.figures.fonts_table import FILES, MONO, SANS, font_file
from desktop_app.gpt2.display import is_visible

# DejaVu ships with matplotlib; the other fonts are used if the system has them, each for certain scripts.
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
"""matplotlib's fonts for the generic families; viewers of an SVG file use their own."""


@cache
def register() -> None:
    """Register the shipped fonts with matplotlib, once."""
    for mono, bold in FILES:
        font_manager.fontManager.addfont(font_file(mono, bold))


def _brought(family: str, bold: bool) -> Path:
    """The file of a font that ships with matplotlib."""
    return Path(font_manager.findfont(FontProperties(family=family, weight=600 if bold else 400)))


@cache
def _faces(mono: bool, bold: bool) -> tuple[tuple[str, FT2Font], ...]:
    """(family, font face) in the order in which they are tried."""
    register()
    known = {e.name: Path(e.fname) for e in font_manager.fontManager.ttflist if e.style == "normal" and e.weight == 400}
    dejavu, dejavu_mono = (_brought(family, bold) for family in (_DEJAVU, _DEJAVU_MONO))
    shipped = [("monospace", dejavu_mono), (SANS, font_file(False, bold))] if mono else []
    found = [(MONO if mono else SANS, font_file(mono, bold)), *shipped, ("sans-serif", dejavu)]
    found += [(family, known[family]) for family in _SYSTEM if family in known]
    return tuple((family, _face(path)) for family, path in found)


@cache
def _face(path: Path) -> FT2Font:
    """The face in a file. An open face holds a file descriptor, so the four lists of faces share it."""
    face = FT2Font(str(path))
    face.set_size(1000, 72)
    return face


@lru_cache(maxsize=8192)
def _glyph(char: str, mono: bool, bold: bool) -> tuple[str, float] | None:
    """The family that has a character, and its width at size 1; None if it is invisible or no family has it."""
    if char in " \u00a0" or is_visible(char):
        for family, face in _faces(mono, bold):
            if face.get_char_index(ord(char)):
                advance = face.load_char(ord(char), flags=LoadFlags.NO_HINTING).linearHoriAdvance
                return family, float(advance) / 65536 / 1000
    return None


@lru_cache(maxsize=8192)
def shown(text: str, mono: bool, bold: bool) -> str:
    r"""The text, with an escape such as \u{1f600} for each character that no face has."""
    return "".join(c if _glyph(c, mono, bold) is not None else f"\\u{{{ord(c):x}}}" for c in text)


@lru_cache(maxsize=1024)
def properties(text: str, mono: bool, bold: bool) -> FontProperties:
    """The font properties for matplotlib. The system's fonts are named only if `text` (as `shown`) needs them.

    So a text that the shipped fonts can write gives the same file on every machine.
    """
    needed = {glyph[0] for char in set(text) if (glyph := _glyph(char, mono, bold))}
    families = [f for f, _ in _faces(mono, bold) if f in needed or f not in _SYSTEM]
    return FontProperties(family=families, weight=600 if bold else 400)


def width(text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
    """The width of one line as it will be drawn."""
    glyphs = (_glyph(c, mono, bold) for c in shown(text, mono, bold))
    return size * sum(glyph[1] for glyph in glyphs if glyph)


_FEATURES = ("ccmp", "mark", "mkmk", "locl", "isol", "init", "medi", "fina", "rlig")
"""The font features that are kept: optional ligatures and kerning are not."""


def embedded(lines: Iterable[tuple[str, bool, bool]]) -> str:
    """CSS that embeds the fonts of (text as `shown`, mono, bold), each reduced to the characters in use.

    The shipped fonts and matplotlib's are embedded; characters that only a system font has are left to the viewer.
    """
    used: dict[tuple[str, bool], set[str]] = {}
    for text, mono, bold in lines:
        for char in set(text) | {" ", "\u00a0"}:
            glyph = _glyph(char, mono, bold)
            if glyph is not None and glyph[0] not in _SYSTEM:
                used.setdefault((glyph[0], bold), set()).add(char)
    rules = []
    for (family, bold), characters in sorted(used.items()):
        name, path = _file(family, bold)
        data = base64.b64encode(_cut(path, "".join(sorted(characters)))).decode()
        rules.append(
            f"@font-face{{font-family:'{name}';font-weight:{600 if bold else 400};"
            f"src:url(data:font/ttf;base64,{data}) format('truetype')}}"
        )
    return "\n".join(rules)


def _file(family: str, bold: bool) -> tuple[str, Path]:
    """The name under which a viewer looks for a face, and its file."""
    generic = {"sans-serif": _DEJAVU, "monospace": _DEJAVU_MONO}.get(family)
    if generic is not None:
        return generic, _brought(generic, bold)
    return family, font_file(family == MONO, bold)


@lru_cache(maxsize=64)
def _cut(path: Path, characters: str) -> bytes:
    """A font reduced to these characters; the same bytes every time."""
    options = subset.Options(
        hinting=False, layout_features=list(_FEATURES), name_IDs=[], legacy_kern=False, notdef_outline=True,
        drop_tables=[*subset.Options().drop_tables, "FFTM", "MATH", "STAT", "gasp"],
    )  # fmt: skip
    with TTFont(path, lazy=True, recalcTimestamp=False) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(text=characters)
        cutter.subset(font)
        out = io.BytesIO()
        font.save(out)
    return out.getvalue()
