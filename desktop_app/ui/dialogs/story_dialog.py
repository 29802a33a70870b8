"""The dialog for writing a story: its stops in order, and the words of each."""

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from desktop_app.core.lessons.stops import Stop
from desktop_app.core.lessons.stories import Story
from desktop_app.ui.parts.buttons import answers

_FIELDS = (("say", "Sentence", 3), ("look_for", "Look for", 2), ("notes", "Notes for you", 4))


class StoryDialog(QDialog):
    """Edits a copy of a story; emits `kept` with the story to save, and `shown` with the index of a stop to show."""

    kept = Signal(object)
    shown = Signal(object, int)

    def __init__(self, story: Story, stop_here: Callable[[], Stop], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Story")
        self.resize(820, 520)
        self.story = story
        self._stop_here = stop_here
        self.title, self.say = QLineEdit(story.title), QLineEdit(story.say)
        self.title.setAccessibleName("Title of the story")
        self.say.setAccessibleName("What the story is about")
        self.stops = QListWidget()
        self.stops.setAccessibleName("Stops of the story")
        self.stop_title = QLineEdit()
        self.fields = {name: QPlainTextEdit() for name, _, _ in _FIELDS}
        self._filling = False
        self._lay_out()
        self.title.textEdited.connect(lambda words: self._set(replace(self.story, title=words)))
        self.say.textEdited.connect(lambda words: self._set(replace(self.story, say=words)))
        self.stops.currentRowChanged.connect(self._fill)
        self.stop_title.textEdited.connect(lambda _: self._take())
        for box in self.fields.values():
            box.textChanged.connect(self._take)
        self._list(0)

    def _lay_out(self) -> None:
        top = QFormLayout()
        top.addRow("Title", self.title)
        top.addRow("About", self.say)
        left = QVBoxLayout()
        left.addWidget(self.stops, 1)
        line = QHBoxLayout()
        self.buttons_: dict[str, QPushButton] = {}
        for words, act in (
            ("Add what is shown", self.add),
            ("Up", lambda: self._move(-1)),
            ("Down", lambda: self._move(1)),
            ("Remove", self._remove),
            ("Go there", self._go),
        ):
            button = self.buttons_[words] = QPushButton(words)
            button.setAutoDefault(False)
            button.clicked.connect(act)
            line.addWidget(button)
        left.addLayout(line)
        right = QFormLayout()
        right.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        right.addRow("Title of the stop", self.stop_title)
        for name, words, lines in _FIELDS:
            box = self.fields[name]
            box.setTabChangesFocus(True)
            box.setAccessibleName(words)
            box.setFixedHeight(box.fontMetrics().lineSpacing() * lines + 16)
            right.addRow(words, box)
        middle = QHBoxLayout()
        middle.addLayout(left, 1)
        middle.addLayout(right, 1)
        buttons = answers(QDialogButtonBox.StandardButton.Save)
        buttons.accepted.connect(self._keep)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(top)
        column.addLayout(middle, 1)
        column.addWidget(buttons)

    def _set(self, story: Story) -> None:
        self.story = story

    def _list(self, row: int) -> None:
        self._filling = True
        self.stops.clear()
        self.stops.addItems([f"{n}  {stop.title}" for n, stop in enumerate(self.story.stops, 1)])
        self._filling = False
        self.stops.setCurrentRow(min(row, len(self.story.stops) - 1))
        self._fill(self.stops.currentRow())

    def _fill(self, row: int) -> None:
        if self._filling:
            return
        self._filling = True
        there = 0 <= row < len(self.story.stops)
        self.stop_title.setText(self.story.stops[row].title if there else "")
        for name, box in self.fields.items():
            box.setPlainText(getattr(self.story.stops[row], name) if there else "")
            box.setEnabled(there)
        self.stop_title.setEnabled(there)
        for words in ("Up", "Down", "Remove", "Go there"):
            self.buttons_[words].setEnabled(there)
        self._filling = False

    def _take(self) -> None:
        """Store the typed words in the selected stop."""
        row = self.stops.currentRow()
        if self._filling or row < 0:
            return
        words = {name: box.toPlainText() for name, box in self.fields.items()}
        changed = replace(self.story.stops[row], title=self.stop_title.text(), **words)  # type: ignore[arg-type] # texts
        self.story = replace(self.story, stops=(*self.story.stops[:row], changed, *self.story.stops[row + 1 :]))
        self.stops.item(row).setText(f"{row + 1}  {changed.title}")

    def add(self) -> None:
        """Add a stop with what the window shows, after the selected stop."""
        row = self.stops.currentRow()
        self.story = replace(
            self.story, stops=(*self.story.stops[: row + 1], self._stop_here(), *self.story.stops[row + 1 :])
        )
        self._list(row + 1)
        self.stop_title.setFocus()
        self.stop_title.selectAll()

    def _move(self, by: int) -> None:
        row, stops = self.stops.currentRow(), list(self.story.stops)
        if 0 <= row < len(stops) and 0 <= row + by < len(stops):
            stops.insert(row + by, stops.pop(row))
            self.story = replace(self.story, stops=tuple(stops))
            self._list(row + by)

    def _remove(self) -> None:
        row = self.stops.currentRow()
        if row >= 0:
            self.story = replace(self.story, stops=(*self.story.stops[:row], *self.story.stops[row + 1 :]))
            self._list(row)

    def _go(self) -> None:
        if self.stops.currentRow() >= 0:
            self.shown.emit(self.story, self.stops.currentRow())

    def _keep(self) -> None:
        self.kept.emit(self.story)

    def keyPressEvent(self, event: object) -> None:
        """Return ends a line of a field, not the dialog."""
        if getattr(event, "key", lambda: None)() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            return
        super().keyPressEvent(event)  # type: ignore[arg-type] # Qt gives a QKeyEvent
