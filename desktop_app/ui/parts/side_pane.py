"""The right-hand pane: bars above and words below share its height."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from desktop_app.ui.parts.probability_panel import ProbabilityPanel
from desktop_app.ui.parts.side_tabs import SideTabs

_BARS = 8
_WORDS = 158
"""Pixels at the default type size: five lines, a formula of two lines, and the names of the tabs."""
_MOST_WORDS = 230


class SidePane(QSplitter):
    """Divides its height automatically until the user moves its handle."""

    def __init__(self, probabilities: ProbabilityPanel, tabs: SideTabs) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self.setObjectName("rightPane")
        self._probabilities, self._scale, self._moved = probabilities, 1.0, False
        self.words = QWidget()
        column = QVBoxLayout(self.words)
        column.setContentsMargins(16, 0, 10, 4)
        column.addWidget(tabs)
        self.addWidget(probabilities)
        self.addWidget(self.words)
        self.setStretchFactor(0, 5)
        self.setStretchFactor(1, 2)
        self.setChildrenCollapsible(False)
        self.splitterMoved.connect(self._keep)

    def _keep(self) -> None:
        self._moved = True

    def share(self, scale: float) -> None:
        """Give the bars space for eight bars and the words the rest, if that is enough for them."""
        self._scale = scale
        if self._moved or self.words.isHidden():
            return
        whole = self.height() - self.handleWidth()
        rest = whole - self._probabilities.wanted_height(_BARS)
        words = round(min(max(rest, _WORDS * scale), _MOST_WORDS * scale, 0.4 * whole))
        self.setSizes([whole - words, words])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.share(self._scale)
