"""A list that is filtered while the user types, and the palette of all commands."""

from collections.abc import Callable, Iterable, Sequence

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QDialog, QLabel, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

_PLACE = "place:"


class Chooser(QDialog):
    """A dialog whose list is filtered while the user types; emits the id of the chosen row."""

    chosen = Signal(str)

    def __init__(self, title: str, hint: str, rows: Iterable[tuple[str, str, bool]], parent: QWidget | None) -> None:
        """`rows` are (id, words, whether it can be chosen)."""
        super().__init__(parent)
        self.setWindowTitle(title)
        self.resize(520, 460)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        self.field = QLineEdit()
        self.field.setPlaceholderText(hint)
        self.field.setAccessibleName(hint)
        self.list = QListWidget()
        self.list.setAccessibleName(title)
        column.addWidget(self.field)
        column.addWidget(self.list)
        self.none = QLabel("Nothing matches.")
        self.none.setObjectName("dim")
        column.addWidget(self.none)
        for name, words, enabled in rows:
            item = QListWidgetItem(words)
            item.setData(Qt.ItemDataRole.UserRole, name)
            if not enabled:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
                item.setToolTip("Not available now")
            self.list.addItem(item)
        self.field.textChanged.connect(self._narrow)
        self.field.returnPressed.connect(self._take)
        self.list.itemActivated.connect(lambda _: self._take())
        self.field.installEventFilter(self)
        self._narrow("")

    def _narrow(self, text: str) -> None:
        words = text.lower().split()
        first = None
        for n in range(self.list.count()):
            item = self.list.item(n)
            hidden = not all(w in item.text().lower() for w in words)
            item.setHidden(hidden)
            if first is None and not hidden and item.flags() & Qt.ItemFlag.ItemIsEnabled:
                first = item
        if first is not None:
            self.list.setCurrentItem(first)
        self._show_none()

    def _show_none(self) -> None:
        self.none.setVisible(all(self.list.item(n).isHidden() for n in range(self.list.count())))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            if event.type() == QEvent.Type.KeyPress:
                self.list.keyPressEvent(event)
            return True
        return super().eventFilter(watched, event)

    def _take(self) -> None:
        item = self.list.currentItem()
        if item is not None and not item.isHidden() and item.flags() & Qt.ItemFlag.ItemIsEnabled:
            self.accept()
            self._chosen(str(item.data(Qt.ItemDataRole.UserRole)))

    def _chosen(self, name: str) -> None:
        self.chosen.emit(name)


_TOKENS = 12


class CommandPalette(Chooser):
    """All commands, each with its keys, then places to go to; tokens are added once something is typed.

    A chosen command is emitted by its id; a place is opened by `go`.
    """

    def __init__(
        self,
        actions: dict[str, QAction],
        parent: QWidget | None = None,
        places: Sequence[tuple[str, Callable[[], object]]] = (),
        tokens: Callable[[str], Sequence[tuple[str, Callable[[], object]]]] | None = None,
    ) -> None:
        """`places` pairs words with a function that goes there; `tokens` finds tokens with the typed text."""
        self._tokens, self._go, self._found = tokens, [go for _, go in places], 0

        def words(action: QAction) -> str:
            keys = action.shortcut().toString()
            return action.text() + (f"    {keys}" if keys else "")

        rows = [(name, words(a), a.isEnabled()) for name, a in actions.items() if name != "palette"]
        rows += [(f"{_PLACE}{n}", place, True) for n, (place, _) in enumerate(places)]
        super().__init__("Find anything", "Find a command, step, head, tensor, example or token", rows, parent)

    def _narrow(self, text: str) -> None:
        for _ in range(self._found):
            self.list.takeItem(self.list.count() - 1)
        del self._go[len(self._go) - self._found :]
        found = self._tokens(text)[:_TOKENS] if self._tokens is not None and text else ()
        self._found = len(found)
        for words, go in found:
            item = QListWidgetItem(words)
            item.setData(Qt.ItemDataRole.UserRole, f"{_PLACE}{len(self._go)}")
            self.list.addItem(item)
            self._go.append(go)
        super()._narrow(text)
        for n in range(self.list.count() - self._found, self.list.count()):
            self.list.item(n).setHidden(False)  # matched by the token's text, not by the words in the row
            if self.list.currentItem() is None or self.list.currentItem().isHidden():
                self.list.setCurrentRow(n)
        self._show_none()

    def _chosen(self, name: str) -> None:
        if name.startswith(_PLACE):
            self._go[int(name.removeprefix(_PLACE))]()
        else:
            super()._chosen(name)
