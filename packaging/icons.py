#!/usr/bin/env python3
"""Make the PNG files in resources/icons from the SVG files there: python packaging/icons.py

Each small icon size is drawn from the SVG whose edges lie on whole pixels at that size; sizes from 64 on use the large
one.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from desktop_app.core.program.bundle import resource
from desktop_app.ui.icon import SIZES

DRAWINGS = {16: "logitscope-16.svg", 32: "logitscope-16.svg", 24: "logitscope-24.svg", 48: "logitscope-24.svg"}


CONTROLS = ("chevron", "tick-light", "tick-dark")
"""Images of buttons in the style sheet; rendered at twice their size on screen."""


def drawn(name: str, size: int) -> QImage:
    """A drawing rendered in a square of `size` pixels."""
    picture = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
    picture.fill(0)
    painter = QPainter(picture)
    QSvgRenderer(str(resource("icons", name))).render(painter)
    painter.end()
    return picture.convertToFormat(QImage.Format.Format_ARGB32)


def main() -> None:
    """Write every size."""
    _application = QGuiApplication([])
    wanted = {f"logitscope-{size}.png": (DRAWINGS.get(size, "logitscope.svg"), size) for size in SIZES}
    wanted |= {f"{name}.png": (f"{name}.svg", 32) for name in CONTROLS}
    for file, (drawing, size) in wanted.items():
        if not drawn(drawing, size).save(str(resource("icons") / file)):
            raise SystemExit(f"{file} could not be written.")


if __name__ == "__main__":
    main()
