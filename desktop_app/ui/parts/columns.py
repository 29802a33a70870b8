"""The window's three panes side by side: the side panes grow with the type size, the view takes the rest."""

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QWidget

# Widths of the panes in pixels, at the default type size unless noted.
_LEFT_MIN = 196
_CENTRE_MIN = 360  # at any type size
_LEFT_DEFAULT, _RIGHT_DEFAULT = 200, 336


class Columns(QSplitter):
    """Map, view and probabilities. The user can drag the borders between them.

    The widths of the side panes are stored in pixels at the default type size, so that they scale with the type size.
    """

    def __init__(self, left: QWidget, centre: QWidget, right: QWidget) -> None:
        super().__init__()
        self._scale = 1.0
        self._left, self._right = left, right
        self._side_widths = [float(_LEFT_DEFAULT), float(_RIGHT_DEFAULT)]
        self.setHandleWidth(1)
        self.setChildrenCollapsible(False)
        for n, pane in enumerate((left, centre, right)):
            self.addWidget(pane)
            self.setStretchFactor(n, int(pane is centre))
        centre.setMinimumWidth(_CENTRE_MIN)
        self.splitterMoved.connect(self.store_widths)

    def store_widths(self) -> None:
        """Store the present widths of the side panes; for a hidden pane the width stored last remains valid."""
        for side, (column, pane) in enumerate(((0, self._left), (2, self._right))):
            if not pane.isHidden() and self.sizes()[column]:
                self._side_widths[side] = self.sizes()[column] / self._scale

    def set_scale(self, scale: float) -> None:
        """Resize the side panes for a type size, given as a factor of the default."""
        self._scale = scale
        self._left.setMinimumWidth(round(_LEFT_MIN * scale))
        self.share()

    def share(self) -> None:
        """Give each visible side pane its stored width, and the view what is left."""
        left, right = (
            0 if pane.isHidden() else round(width * self._scale)
            for width, pane in zip(self._side_widths, (self._left, self._right), strict=True)
        )
        self.setSizes([left, max(1, self.width() - left - right - 2 * self.handleWidth()), right])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.share()
