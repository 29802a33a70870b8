"""Choose format, size, theme and place of a figure."""

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QDialog, QDialogButtonBox, QFileDialog, QFormLayout, QLabel, QWidget

from desktop_app.figures.export import DPI, FORMATS, SIZES, Options


class ExportDialog(QDialog):
    """Emits the options and the file that were chosen; never blocks the window."""

    chosen = Signal(object, object)

    def __init__(self, name: str, folder: Path, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export figure")
        self._name, self._folder = name, folder
        form = QFormLayout(self)
        form.setContentsMargins(24, 20, 24, 16)
        form.setVerticalSpacing(10)
        self.kind = self._choice([(k, k.upper()) for k in FORMATS], "Format")
        self.size_ = self._choice([(k, s.title) for k, s in SIZES.items()], "Size")
        self.dpi = self._choice([(str(d), f"{d} dpi") for d in DPI], "Resolution")
        self.dpi.setCurrentIndex(DPI.index(200))
        self.theme = self._choice([("light", "Light"), ("dark", "Dark"), ("print", "Print")], "Theme")
        self.theme.setCurrentIndex(max(0, self.theme.findData(theme)))
        self.caption = QCheckBox("Caption with prompt, model, place and settings")
        self.caption.setChecked(True)
        self.transparent = QCheckBox("Transparent background")
        form.addRow("Format", self.kind)
        form.addRow("Size", self.size_)
        form.addRow("Resolution", self.dpi)
        form.addRow("Theme", self.theme)
        form.addRow(self.caption)
        form.addRow(self.transparent)
        note = QLabel("SVG keeps its text as text; PDF embeds its fonts; PNG is a picture.")
        note.setObjectName("dim")
        form.addRow(note)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self._ask_place)
        buttons.rejected.connect(self.reject)
        form.addRow(buttons)
        self.kind.currentIndexChanged.connect(self._show_kind)
        self._show_kind()

    def _choice(self, rows: list[tuple[str, str]], name: str) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(name)
        for key, title in rows:
            box.addItem(title, key)
        return box

    def _show_kind(self) -> None:
        self.dpi.setEnabled(self.kind.currentData() == "png")

    def options(self) -> Options:
        """What is chosen now."""
        return Options(
            kind=self.kind.currentData(),
            size=self.size_.currentData(),
            theme=self.theme.currentData(),
            dpi=int(self.dpi.currentData()),
            caption=self.caption.isChecked(),
            transparent=self.transparent.isChecked(),
        )

    def _ask_place(self) -> None:
        kind = self.kind.currentData()
        place = QFileDialog(self, "Export figure", str(self._folder / f"{self._name}.{kind}"))
        place.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        place.setDefaultSuffix(kind)
        place.setNameFilter(f"{kind.upper()} (*.{kind})")
        place.fileSelected.connect(self._take)
        place.open()

    def _take(self, name: str) -> None:
        self.chosen.emit(self.options(), Path(name))
        self.accept()
