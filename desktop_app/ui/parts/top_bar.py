"""The bar at the top: the prompt between buttons, or in a row of its own if they leave too little space."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

_LEAST_LETTERS = 32
_GAP = 8


class TopBar(QWidget):
    """Lays out widgets that it is given."""

    def __init__(self, before: Sequence[QWidget], prompt: QWidget, after: Sequence[QWidget]) -> None:
        super().__init__()
        self.setObjectName("topBar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._prompt, self._buttons, self._column = prompt, [*before, *after], len(before)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(16, 8, 16, 8)
        self._grid.setSpacing(_GAP)
        self._grid.setColumnStretch(self._column, 1)
        for n, button in enumerate(self._buttons):
            self._grid.addWidget(button, 0, n if n < self._column else n + 1, Qt.AlignmentFlag.AlignTop)
        self._own_row = False
        self._folding = after[1:4]
        self._grid.addWidget(prompt, 0, self._column)
        # Tab goes from the prompt to the widget that is used next; the buttons follow in their order on the bar.
        for one, next_ in zip(self._buttons, self._buttons[1:], strict=False):
            QWidget.setTabOrder(one, next_)

    def set_tight(self, tight: bool) -> None:
        """Reduce the margins above and below."""
        self._grid.setContentsMargins(16, 4 if tight else 8, 16, 4 if tight else 8)

    def fold(self, narrow: bool) -> None:
        """In a narrow window, hide the buttons of commands that also have a shortcut and a menu entry."""
        for button in self._folding:
            button.setVisible(not narrow)

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._arrange()
        return super().event(event)

    def _arrange(self) -> None:
        margins = self._grid.contentsMargins()
        taken = (
            sum(button.sizeHint().width() + _GAP for button in self._buttons if not button.isHidden())
            + margins.left()
            + margins.right()
        )
        least = _LEAST_LETTERS * self._prompt.fontMetrics().averageCharWidth()
        own_row = self.width() - taken < least
        if own_row != self._own_row:
            self._own_row = own_row
            self._grid.removeWidget(self._prompt)
            if own_row:
                self._grid.addWidget(self._prompt, 1, 0, 1, len(self._buttons) + 1)
            else:
                self._grid.addWidget(self._prompt, 0, self._column)
