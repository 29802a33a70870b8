"""Map, view and bars side by side: the sides keep their width in characters, the view takes the rest."""

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QWidget

_LEAST = (196, 360)
_USUAL = (200, 336)


class Columns(QSplitter):
    """Three panes; the width to which a side is dragged is kept, in pixels at the default type size."""

    def __init__(self, left: QWidget, centre: QWidget, right: QWidget) -> None:
        super().__init__()
        self._scale = 1.0
        self._left, self._right = left, right
        self._sides = [float(side) for side in _USUAL]
        self.setHandleWidth(1)
        self.setChildrenCollapsible(False)
        for n, pane in enumerate((left, centre, right)):
            self.addWidget(pane)
            self.setStretchFactor(n, int(pane is centre))
        centre.setMinimumWidth(_LEAST[1])
        self.splitterMoved.connect(self.keep)

    def keep(self) -> None:
        """Keep the sides as wide as they are now."""
        for n, (at, pane) in enumerate(((0, self._left), (2, self._right))):
            if not pane.isHidden() and self.sizes()[at]:
                self._sides[n] = self.sizes()[at] / self._scale

    def set_scale(self, scale: float) -> None:
        """Follow the type size."""
        self._scale = scale
        self._left.setMinimumWidth(round(_LEAST[0] * scale))
        self.share()

    def share(self) -> None:
        """Give each side its width and the view the rest."""
        hidden = [pane.isHidden() for pane in (self._left, self._right)]
        left, right = (0 if gone else round(side * self._scale) for side, gone in zip(self._sides, hidden, strict=True))
        self.setSizes([left, max(1, self.width() - left - right - 2 * self.handleWidth()), right])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.share()
