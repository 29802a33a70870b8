"""The inspector under the view: one number decomposed into its terms, with a breadcrumb trail."""

from collections.abc import Mapping
from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from desktop_app.core.opening.cells import Cell
from desktop_app.core.panels import View
from desktop_app.figures.theme import Theme
from desktop_app.ui.parts.buttons import tool
from desktop_app.ui.picture.canvas import Canvas


class Inspector(QWidget):
    """Shows the view of the last cell of a path. Emits how far to go back, or a request to close."""

    back_to = Signal(int)  # the number of cells of the path to keep; 0 closes the inspector
    export_asked = Signal()
    numpy_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        bar = QWidget()
        bar.setObjectName("chipBar")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        line = QHBoxLayout(bar)
        line.setContentsMargins(24, 4, 16, 4)
        self.trail = QLabel()
        self.trail.setTextFormat(Qt.TextFormat.RichText)
        self.trail.setAccessibleName("Opened numbers")
        self.trail.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.trail.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self.trail.linkActivated.connect(lambda n: self.back_to.emit(int(n)))
        line.addWidget(self.trail, 1)
        self.pin = tool("Pin", "Keep this open while other cells of the view are clicked", small=True)
        self.pin.setCheckable(True)
        line.addWidget(self.pin)
        lines = tool("Copy as numpy", "Copy lines of numpy that recompute this number from a saved trace", small=True)
        lines.clicked.connect(self.numpy_asked)
        line.addWidget(lines)
        export = tool("Export", "Export this arithmetic as a figure", small=True)
        export.clicked.connect(self.export_asked)
        close = tool("✕", "Close the inspector (Esc)", small=True)
        close.clicked.connect(lambda: self.back_to.emit(0))
        line.addWidget(export)
        line.addWidget(close)
        column.addWidget(bar)
        self.canvas = Canvas()
        self.canvas.setAccessibleName("Arithmetic of one number")
        column.addWidget(self.canvas, 1)

    def show_path(
        self, path: tuple[Cell, ...], view: View, theme: Theme, scale: float, names: Mapping[Cell, str] | None = None
    ) -> None:
        """Show `view`, that of the last cell of `path`. Cells not in `names` are named by tensor and index."""
        parts = []
        for n, cell in enumerate(path):
            words = escape((names or {}).get(cell) or f"{cell.written}{list(cell.index) or ''}")
            last = f'<span style="font-weight: 600">{words}</span>'
            parts.append(last if n == len(path) - 1 else f'<a href="{n + 1}">{words}</a>')
        # Of a long path, only the last cells are shown.
        shown = parts if len(parts) <= 4 else ["…", *parts[-4:]]
        self.trail.setText(" › ".join(shown))
        self.canvas.show_view(view, theme, scale)
