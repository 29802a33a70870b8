"""The shipped fonts as Qt fonts, and measurement of text by Qt."""

from functools import cache, lru_cache

from PySide6.QtGui import QFont, QFontDatabase, QFontMetricsF

from desktop_app.figures.fonts_table import FILES, MONO, SANS, font_file


@cache
def register() -> None:
    """Register the shipped fonts with Qt, once; requires a QGuiApplication."""
    for mono, bold in FILES:
        QFontDatabase.addApplicationFont(str(font_file(mono, bold)))


@lru_cache(maxsize=256)
def font(size: float, mono: bool = False, bold: bool = False) -> QFont:
    """A shipped font at `size` pixels, with tabular figures."""
    register()
    made = QFont([MONO, SANS] if mono else [SANS])
    made.setPixelSize(max(1, round(size)))
    made.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    made.setStyleStrategy(QFont.StyleStrategy.PreferAntialias)
    # Tabular figures; and no ligatures, which would draw the token -> as an arrow.
    features = {"calt": 0, "liga": 0} if mono else {"tnum": 1}
    for name, value in features.items():
        made.setFeature(QFont.Tag(name), value)
    return made


@lru_cache(maxsize=256)
def _metrics(size: float, mono: bool, bold: bool) -> QFontMetricsF:
    return QFontMetricsF(font(size, mono, bold))


@lru_cache(maxsize=16384)
def measure(text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
    """The width of one line as Qt will draw it."""
    return _metrics(size, mono, bold).horizontalAdvance(text)
