"""The controls of an animated operation: play, next and previous beat, position, speed, by cells or by rows."""

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QSlider, QToolButton, QVBoxLayout, QWidget

from desktop_app.ui.parts.buttons import tool

PACES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Beats per second."""
_FINE = 1000  # positions of the slider


class MotionBar(QWidget):
    """Lies under the view and does not cover it. Emits `command` for a pressed button."""

    command = Signal(str)
    scrubbed = Signal(float)  # fraction of the whole duration, 0 to 1
    paced = Signal(float)
    by_row = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("placeWords")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 6, 12, 8)
        column.setSpacing(4)
        self.words = QLabel()
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        top = QHBoxLayout()
        top.addWidget(self.words, 1)
        self.close_button = self._button("✕", "Close the animation", "motion")
        top.addWidget(self.close_button)
        column.addLayout(top)
        line = QHBoxLayout()
        line.setSpacing(8)
        self.back = self._button("◀", "The previous beat", "motion_previous")
        self.play = self._button("▶", "Play", "motion_play")
        self.next = self._button("▶|", "The next beat", "motion_next")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _FINE)
        self.slider.setAccessibleName("Position in the animation")
        self.slider.valueChanged.connect(lambda at: self.scrubbed.emit(at / _FINE))
        self.pace = QComboBox()
        self.pace.setAccessibleName("Beats per second")
        for pace in PACES:
            self.pace.addItem(f"{pace:g} a second", pace)
        self.pace.setCurrentIndex(PACES.index(2.0))
        self.pace.currentIndexChanged.connect(lambda n: self.paced.emit(PACES[n]))
        self.rows = QToolButton()
        self.rows.setText("row by row")
        self.rows.setCheckable(True)
        self.rows.setToolTip("Fill the tensor row by row instead of number by number")
        self.rows.toggled.connect(self.by_row)
        self.export = self._button(
            "Export clip …", "Write it as GIF, WebP or MP4, or three moments as a figure", "motion_export"
        )
        widgets: tuple[QWidget, ...] = (self.back, self.play, self.next, self.slider, self.pace, self.rows, self.export)
        for widget in widgets:
            line.addWidget(widget, 1 if widget is self.slider else 0)
        column.addLayout(line)
        self.hide()

    def _button(self, sign: str, says: str, command: str) -> QToolButton:
        button = tool(sign, says)
        button.clicked.connect(lambda: self.command.emit(command))
        return button

    def show_moment(self, words: str, share: float, *, playing: bool) -> None:
        """Show the current position."""
        self.words.setText(words)
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(share * _FINE))
        self.play.setText("❚❚" if playing else "▶")
        self.play.setAccessibleName("Pause" if playing else "Play")

    def show_rows(self, *, there: bool, on: bool) -> None:
        """Show the button for playing row by row if the operation fills a tensor (`there`)."""
        with QSignalBlocker(self.rows):
            self.rows.setChecked(on)
        self.rows.setVisible(there)
