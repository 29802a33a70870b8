"""A list that narrows while one types, and all commands in one."""

from collections.abc import Iterable

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget


class Chooser(QDialog):
    """Emits the id of the row that was chosen."""

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
        for name, words, enabled in rows:
            item = QListWidgetItem(words)
            item.setData(Qt.ItemDataRole.UserRole, name)
            if not enabled:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
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
            self.chosen.emit(str(item.data(Qt.ItemDataRole.UserRole)))


class CommandPalette(Chooser):
    """All commands, each with its keys."""

    def __init__(self, actions: dict[str, QAction], parent: QWidget | None = None) -> None:
        def words(action: QAction) -> str:
            keys = action.shortcut().toString()
            return action.text() + (f"    {keys}" if keys else "")

        rows = ((name, words(a), a.isEnabled()) for name, a in actions.items() if name != "palette")
        super().__init__("Commands", "Find a command", rows, parent)
