"""The list of models with their memory needs and folders. It emits requests, and executes none of them."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from desktop_app.core.library.listing import BUNDLED, FOLDER, HUB, ModelRow
from desktop_app.core.library.progress import in_bytes, in_millions
from desktop_app.gpt2.machine import available_memory

_COLUMNS = ("Model", "State", "Parameters", "Blocks × heads × width", "Disk", "Memory")
_STATE, _PARAMETERS, _MEMORY = 1, 2, 5


class ModelsDialog(QDialog):
    """A dialog that stays open beside the window. Enter presses the selected row's button, Delete removes the row."""

    open_asked = Signal(object)
    get_asked = Signal(object)
    remove_asked = Signal(object)
    name_asked = Signal(str)
    folder_asked = Signal()
    cancel_asked = Signal()
    stop_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Models")
        self._rows: list[ModelRow] = []
        self._fetching = self._loading = False
        self.is_opening = False
        """Whether a model, requested here or elsewhere, has begun to open, with no trouble shown since."""
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(12)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setAccessibleName("Models")
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setTabKeyNavigation(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.itemSelectionChanged.connect(self._show_choice)
        self.table.itemDoubleClicked.connect(lambda _: self._act())
        self.table.installEventFilter(self)
        column.addWidget(self.table, 1)
        self.about = QLabel()
        self.about.setObjectName("dim")
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.about.setWordWrap(True)
        column.addWidget(self.about)

        line = QHBoxLayout()
        line.setSpacing(8)
        self.act = QPushButton("Open")
        self.act.setObjectName("primary")
        self.remove = QPushButton("Remove")
        self.add = QPushButton("Add a folder …")
        line.addWidget(self.act)
        line.addWidget(self.remove)
        line.addWidget(self.add)
        line.addStretch(1)
        column.addLayout(line)
        line = QHBoxLayout()
        line.setSpacing(8)
        self.field = QLineEdit()
        self.field.setPlaceholderText("Any other GPT-2 of the Hugging Face Hub: owner/name or owner/name@revision")
        self.field.setAccessibleName("owner/name of a model of the Hugging Face Hub")
        self.get = QPushButton("Download")
        line.addWidget(self.field, 1)
        line.addWidget(self.get)
        column.addLayout(line)

        self.strip = QWidget()
        strip = QVBoxLayout(self.strip)
        strip.setContentsMargins(0, 0, 0, 0)
        strip.setSpacing(6)
        self.words = QLabel()
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setWordWrap(True)
        line = QHBoxLayout()
        line.setSpacing(8)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress")
        self.bar.setRange(0, 1000)
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        self.cancel = QPushButton("Cancel")
        line.addWidget(self.bar, 1)
        line.addWidget(self.cancel)
        strip.addWidget(self.words)
        strip.addLayout(line)
        column.addWidget(self.strip)
        self.strip.hide()
        self.trouble = QLabel()
        self.trouble.setObjectName("trouble")
        self.trouble.setTextFormat(Qt.TextFormat.PlainText)
        self.trouble.setWordWrap(True)
        self.trouble.hide()
        column.addWidget(self.trouble)

        for button in (self.act, self.remove, self.add, self.get, self.cancel):
            button.setAutoDefault(False)
        self.act.clicked.connect(self._act)
        self.remove.clicked.connect(self._remove)
        self.add.clicked.connect(self.folder_asked)
        self.get.clicked.connect(self._ask_name)
        self.field.returnPressed.connect(self._ask_name)
        self.field.textChanged.connect(lambda _: self._enable())
        self.cancel.clicked.connect(self._cancel)

    # Display

    def fill(self, rows: Sequence[ModelRow], tokens: int, opened: Path | None, choose: str = "") -> None:
        """Show `rows`, with the memory for a text of `tokens` tokens; keep the selected row, or select `choose`.

        `opened` is the folder of the open model.
        """
        chosen = choose or (row.reference if (row := self.chosen) is not None else "")
        self._rows = list(rows)
        free = available_memory()
        self.table.setHorizontalHeaderItem(
            _MEMORY, QTableWidgetItem(f"Memory at {tokens:,} {'token' if tokens == 1 else 'tokens'}")
        )
        self.table.setRowCount(len(self._rows))
        for n, row in enumerate(self._rows):
            memory = row.memory(tokens)
            doubtful = memory is not None and free is not None and memory > free
            tight = "; more memory than is free" if doubtful else ""
            cells = (
                row.title,
                row.state_with(opened) + ("" if row.folder == opened else tight),
                "" if row.parameters is None else in_millions(row.parameters),
                row.shape,
                in_bytes(row.disk) if row.disk else "",
                "" if memory is None else in_bytes(memory),
            )
            for at, words in enumerate(cells):
                item = QTableWidgetItem(words)
                if at > _STATE:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                if at == _PARAMETERS and row.parameters is not None:
                    item.setToolTip(f"{row.parameters:,} parameters")
                self.table.setItem(n, at, item)
        for at in range(len(_COLUMNS)):
            side = Qt.AlignmentFlag.AlignRight if at > _STATE else Qt.AlignmentFlag.AlignLeft
            if (header := self.table.horizontalHeaderItem(at)) is not None:
                header.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        self._fit()
        names = [row.reference for row in self._rows]
        self.table.selectRow(names.index(chosen) if chosen in names else 0)
        self._show_choice()

    def _fit(self) -> None:
        """Set the sizes of the rows and the dialog for the current type size, limited to the screen."""
        height = round(self.fontMetrics().height() * 1.9)
        for n in range(self.table.rowCount()):
            self.table.setRowHeight(n, height)
        self.table.setMinimumHeight(4 * height)
        header = self.table.horizontalHeader()
        columns = sum(max(self.table.sizeHintForColumn(n), header.sectionSizeHint(n)) for n in range(len(_COLUMNS)))
        room = self.screen().availableSize()
        width = min(columns + 80, room.width() - 40)
        fits = columns + 80 <= room.width() - 40
        mode = QHeaderView.ResizeMode.Stretch if fits else QHeaderView.ResizeMode.ResizeToContents
        header.setSectionResizeMode(_STATE, mode)
        rest = self.sizeHint().height() - self.table.sizeHint().height()
        tall = min((min(self.table.rowCount(), 12) + 2) * height + rest, room.height() - 60)
        self.resize(max(width, self.width() if self.isVisible() else 0), max(tall, self.minimumSizeHint().height()))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and self.isVisible():
            self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()
        self.table.setFocus()

    @property
    def chosen(self) -> ModelRow | None:
        """The selected row."""
        at = self.table.currentRow()
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def _show_choice(self) -> None:
        row = self.chosen
        if row is not None:
            place = f" · {row.folder}" if row.folder and str(row.folder) != row.reference else ""
            about = (
                "" if row.about == row.reference else f"{row.about[0].upper()}{row.about[1:]}.\n" if row.about else ""
            )
            self.about.setText(f"{about}{row.reference}{place}")
        self._enable()

    def show_progress(self, words: str, part: float | None) -> None:
        """Show a download's progress: `part` is from 0 to 1, or None while unknown. Empty `words` mean no download."""
        self._fetching = bool(words)
        self._show_strip(words, part, "Cancel the download")

    def show_loading(self, stage: str) -> None:
        """Show the stage in the opening of a model; "" if none is being opened."""
        self._loading = bool(stage)
        if stage:
            self.is_opening = True
        if not self._fetching:
            self._show_strip(f"{stage[0].upper()}{stage[1:]} …" if stage else "", None, "Stop opening the model")

    def _show_strip(self, words: str, part: float | None, cancel: str) -> None:
        self.strip.setVisible(bool(words))
        self.words.setText(words)
        self.cancel.setAccessibleName(cancel)
        self.bar.setVisible(part is not None)
        self.bar.setValue(int(1000 * (part or 0)))
        self._enable()

    def show_trouble(self, words: str) -> None:
        """Show a sentence about what went wrong, until the next one."""
        self.trouble.setText(words)
        self.trouble.setVisible(bool(words))
        self.is_opening = self.is_opening and not words

    def _enable(self) -> None:
        row = self.chosen
        ready = row is not None and row.ready
        fetchable = row is not None and not ready and row.kind not in (BUNDLED, FOLDER)
        begun = row is not None and row.begun
        self.act.setText("Open" if not fetchable else "Go on" if begun else "Download")
        self.act.setEnabled((ready and not self._loading) or (fetchable and not self._fetching))
        removable = row is not None and row.kind != BUNDLED and (row.kind != HUB or begun)
        self.remove.setEnabled(removable and not self._fetching)
        self.get.setEnabled(bool(self.field.text().strip()) and not self._fetching)

    # Requests

    def _act(self) -> None:
        row = self.chosen
        if row is None or not self.act.isEnabled():
            return
        self.show_trouble("")
        (self.open_asked if row.ready else self.get_asked).emit(row)

    def _remove(self) -> None:
        row = self.chosen
        if row is not None and self.remove.isEnabled():
            self.remove_asked.emit(row)

    def _ask_name(self) -> None:
        if self.get.isEnabled():
            self.show_trouble("")
            self.name_asked.emit(self.field.text())

    def _cancel(self) -> None:
        (self.cancel_asked if self._fetching else self.stop_asked).emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.table and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._act()
                return True
            if event.key() == Qt.Key.Key_Delete:
                self._remove()
                return True
        return super().eventFilter(watched, event)
