"""The dialog for a deck's steps, format, look and file; shows its progress, and can stop it."""

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QWidget,
)

from desktop_app.core.places import Step
from desktop_app.core.program.bundle import ENGLISH, languages
from desktop_app.core.steps import step_list
from desktop_app.figures.deck.make import FORMATS, Wish
from desktop_app.figures.deck.walk import ALL, BLOCK, LECTURE, MOST_SLIDES, OVERVIEW, Item, choose
from desktop_app.figures.language import language_name
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.ui.parts.buttons import choice

_HERE, _CHOSEN = "here", "chosen"
_SELECTIONS = (
    (LECTURE, "A lecture of this text, at most 18 slides"),
    (OVERVIEW, "Input, one block in full, each other block, output"),
    (ALL, "Every step"),
    (BLOCK, "One block"),
    (_HERE, "The step that is shown"),
    (_CHOSEN, "Chosen steps"),
)
_NOUNS = {"pptx": "slide", "pdf": "page"}
_FILMS = ("gif", "webp", "mp4")


@dataclass(frozen=True)
class DeckOrder:
    """The choices made in the dialog. Without items it is a lecture, whose slides depend on the pass."""

    items: tuple[Item, ...]
    wish: Wish
    captions: bool
    path: Path
    language: str = ENGLISH


class DeckDialog(QDialog):
    """Emits the order; never blocks the window."""

    ordered = Signal(object)
    stopped = Signal()

    def __init__(self, config: Config, step: Step, folder: Path, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export the walk")
        self._config, self._step, self._folder = config, step, folder
        self.running = False
        form = QFormLayout(self)
        form.setContentsMargins(24, 20, 24, 16)
        form.setVerticalSpacing(10)
        self.steps = choice(_SELECTIONS, "Steps")
        self.block = QSpinBox()
        self.block.setAccessibleName("Block")
        self.block.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.block.setRange(0, config.n_layer - 1)
        self.block.setValue(step.layer or 0)
        self.list = QListWidget()
        self.list.setAccessibleName("Chosen steps")
        for one in step_list(config):
            entry = QListWidgetItem(f"{one.key}  ·  {one.text.name}")
            entry.setData(Qt.ItemDataRole.UserRole, one.key)
            entry.setFlags(entry.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            entry.setCheckState(Qt.CheckState.Checked if one is step else Qt.CheckState.Unchecked)
            self.list.addItem(entry)
            if one is step:
                self.list.setCurrentItem(entry)
        self.kind = choice([(k, f"{title} (.{k})") for k, title in FORMATS.items()], "Format")
        self.theme = choice([("light", "Light"), ("dark", "Dark"), ("print", "Print")], "Theme")
        self.theme.setCurrentIndex(max(0, self.theme.findData(theme)))
        self.language = choice([(code, language_name(code)) for code in languages()], "Language")
        self.template = QLineEdit()
        self.template.setAccessibleName("Template")
        self.template.setPlaceholderText("none: Logitscope's own design")
        self.template.setClearButtonEnabled(True)
        self.browse = QPushButton("Choose …")
        self.browse.clicked.connect(self._ask_template)
        template = QHBoxLayout()
        template.setSpacing(8)
        template.addWidget(self.template, 1)
        template.addWidget(self.browse)
        self.seconds = QDoubleSpinBox()
        self.seconds.setAccessibleName("Seconds per step")
        self.seconds.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.seconds.setRange(0.1, 60)
        self.seconds.setSingleStep(0.5)
        self.seconds.setDecimals(1)
        self.seconds.setValue(3)
        self.caption = QCheckBox("Caption with prompt, model, place and settings")
        self.caption.setChecked(True)
        self.note = QLabel()
        self.note.setObjectName("dim")
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.note.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress")
        self.bar.hide()
        self.start = QPushButton("Export …")
        self.start.setObjectName("primary")
        self.start.setDefault(True)
        self.start.clicked.connect(self._ask_place)
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.start)
        form.addRow("Steps", self.steps)
        form.addRow("Block in full", self.block)
        form.addRow(self.list)
        form.addRow("Format", self.kind)
        form.addRow("Theme", self.theme)
        form.addRow("Language", self.language)
        form.addRow("Template", template)
        form.addRow("Seconds per step", self.seconds)
        form.addRow(self.caption)
        form.addRow(self.note)
        form.addRow(self.bar)
        form.addRow(buttons)
        self._form = form
        self._inputs = (
            *(self.steps, self.block, self.list, self.kind, self.theme),
            *(self.language, self.template, self.browse),
        )
        self.steps.currentIndexChanged.connect(self._show_choice)
        self.kind.currentIndexChanged.connect(self._show_choice)
        self.list.itemChanged.connect(self._show_choice)
        self.template.textChanged.connect(self._show_choice)
        self.setMinimumWidth(460)
        self._show_choice()

    # Choices

    def items(self) -> tuple[Item, ...]:
        """The chosen steps, in order; empty for a lecture. Raises ExportError if none is chosen."""
        selection = self.steps.currentData()
        if selection == LECTURE:
            return ()
        if selection == _HERE:
            return choose(self._config, [self._step.key])
        if selection == _CHOSEN:
            entries = (self.list.item(n) for n in range(self.list.count()))
            checked = [e for e in entries if e.checkState() == Qt.CheckState.Checked]
            return choose(self._config, [str(e.data(Qt.ItemDataRole.UserRole)) for e in checked])
        return choose(self._config, selection, self.block.value())

    def wish(self) -> Wish:
        """The deck's format, theme, template and seconds per slide. Raises ExportError."""
        template = self._template()
        theme = None if template is not None else self.theme.currentData()
        return Wish(self.kind.currentData(), theme, template, self.seconds.value())

    def _template(self) -> Path | None:
        words = self.template.text().strip()
        return Path(words).expanduser() if words and self.kind.currentData() == "pptx" else None

    def _show_choice(self) -> None:
        selection, kind = self.steps.currentData(), self.kind.currentData()
        self._form.setRowVisible(self.block, selection in (OVERVIEW, BLOCK))
        self.list.setVisible(selection == _CHOSEN)
        if self.list.currentItem() is not None:
            self.list.scrollToItem(self.list.currentItem())
        self._form.setRowVisible(self.seconds, kind in _FILMS)
        for widget in (self.template, self.browse):
            widget.setEnabled(kind == "pptx" and not self.running)
        # A template's background decides which theme fits it.
        self.theme.setEnabled(not self.running and self._template() is None)
        try:
            items = self.items()
            self._say(self._count_words(len(items)) if items else f"At most {self._count_words(MOST_SLIDES)}")
        except LogitscopeError as reason:
            self._say(str(reason))

    def _count_words(self, count: int) -> str:
        noun = _NOUNS.get(self.kind.currentData(), "frame")
        return f"{count} {noun}{'s' * (count != 1)}."

    def _say(self, words: str) -> None:
        self.note.setText(words)

    # Files

    def _ask_template(self) -> None:
        ask = QFileDialog(self, "Template", str(self._folder), "PowerPoint (*.pptx *.potx)")
        ask.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        ask.setFileMode(QFileDialog.FileMode.ExistingFile)
        ask.fileSelected.connect(self.template.setText)
        ask.open()

    def _ask_place(self) -> None:
        kind = self.kind.currentData()
        try:
            self.items()
        except LogitscopeError as reason:
            self._say(str(reason))
            return
        ask = QFileDialog(self, "Export the walk", str(self._folder / f"walk.{kind}"))
        ask.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        ask.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        ask.setDefaultSuffix(kind)
        ask.setNameFilter(f"{kind.upper()} (*.{kind})")
        ask.fileSelected.connect(lambda name: self.order(Path(name)))
        ask.open()

    def order(self, path: Path) -> None:
        """Start writing the deck to `path`."""
        try:
            order = DeckOrder(self.items(), self.wish(), self.caption.isChecked(), path, self.language.currentData())
        except LogitscopeError as reason:
            self._say(str(reason))
            return
        self._run(True)
        self.bar.setRange(0, 0)
        self._say(f"Computing … ({path.name})")
        self.ordered.emit(order)

    # Progress

    def show_progress(self, done: int, count: int, what: str) -> None:
        """Show how many of the slides are done."""
        self.bar.setRange(0, count)
        self.bar.setValue(done)
        self._say("Putting the file together …" if what == "writing" else f"Drawn {done} of {count}.")

    def fail(self, words: str) -> None:
        """Show that the deck failed; choices can be changed again."""
        self._run(False)
        self._say(words)

    def finish(self) -> None:
        """Show that the deck is written."""
        self.running = False
        self.accept()

    def _run(self, on: bool) -> None:
        self.running = on
        self.bar.setVisible(on)
        self.start.setEnabled(not on)
        self.cancel.setText("Stop" if on else "Cancel")
        for widget in (*self._inputs, self.seconds, self.caption):
            widget.setEnabled(not on)
        if not on:
            self._show_choice()

    def reject(self) -> None:
        """Stop a running export and stay open for another choice; if nothing is running, close."""
        if self.running:
            self.stopped.emit()
            self.fail("Stopped; nothing was written.")
            return
        super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.running:
            self.stopped.emit()
            self.running = False
        super().closeEvent(event)
