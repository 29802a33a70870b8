"""The program's icon, in every size it was drawn for."""

from PySide6.QtGui import QIcon

from desktop_app.core.program.bundle import resource

SIZES = (16, 24, 32, 48, 64, 128, 256, 512)
"""Widths in pixels of the files in resources/icons; packaging/icons.py makes them from the drawings beside them."""


def window_icon() -> QIcon:
    """The icon for windows and the task bar. Raises LogitscopeError if one of its files is missing."""
    made = QIcon()
    for size in SIZES:
        made.addFile(str(resource("icons", f"logitscope-{size}.png")))
    return made
