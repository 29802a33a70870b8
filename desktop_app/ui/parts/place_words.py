"""A sentence about one place, shown under the view until the user leaves that place or dismisses the sentence."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget


class PlaceWords(QWidget):
    """A row of its own in the layout, so that it covers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("placeWords")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._dismissed = ""
        line = QHBoxLayout(self)
        line.setContentsMargins(24, 6, 12, 6)
        self.label = QLabel()
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setWordWrap(True)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.close_button = QToolButton()
        self.close_button.setObjectName("small")
        self.close_button.setText("✕")
        self.close_button.setAccessibleName("Dismiss this sentence")
        self.close_button.clicked.connect(self._dismiss)
        line.addWidget(self.label, 1)
        line.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def show_words(self, words: str, *, here: bool) -> None:
        """Show the words about this place, unless they are empty, dismissed, or about another place (not `here`)."""
        if not words:
            self._dismissed = ""  # at another place: the sentence dismissed here is shown again on return
        self.label.setText(words)
        self.setVisible(here and bool(words) and words != self._dismissed)

    def _dismiss(self) -> None:
        self._dismissed = self.label.text()
        self.hide()
