"""The dialog for a figure's options and file, with a preview drawn by a worker process."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QWidget,
)

from desktop_app.core.program.bundle import languages
from desktop_app.figures.excerpt import Excerpt
from desktop_app.figures.export import DPI, FORMATS, SIZES, Options
from desktop_app.figures.language import language_name
from desktop_app.ui.parts.buttons import answers, choice

_PATIENCE = 200  # milliseconds without a change after which a preview is requested
_PREVIEW = 640  # approximate width of the preview in pixels


class ExportDialog(QDialog):
    """Emits the choices: options, part of the view, file, and kinds of data files next to it. Never blocks the window.

    It requests one preview at a time by `preview_wanted` (options of a small PNG, and the part), and gets it by
    `show_preview`.
    """

    chosen = Signal(object, object, object, object)
    preview_wanted = Signal(object, object)

    def __init__(
        self, name: str, folder: Path, theme: str, parent: QWidget | None = None, pictures: Sequence[str] = ()
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export figure")
        self._name, self._folder = name, folder
        self._asked: tuple[Options, Excerpt] | None = None  # the choices for the preview that is being drawn
        self._shown: tuple[Options, Excerpt] | None = None
        form = QFormLayout()
        form.setVerticalSpacing(10)
        self.kind = choice([(k, k.upper()) for k in FORMATS], "Format")
        self.size_ = choice([(k, s.title) for k, s in SIZES.items()], "Size")
        self.dpi = choice([(str(d), f"{d} dpi") for d in DPI], "Resolution")
        self.dpi.setCurrentIndex(DPI.index(200))
        self.theme = choice([("light", "Light"), ("dark", "Dark"), ("print", "Print")], "Theme")
        self.theme.setCurrentIndex(max(0, self.theme.findData(theme)))
        self.points = QDoubleSpinBox()
        self.points.setAccessibleName("Font size")
        self.points.setRange(3.5, 48)
        self.points.setSingleStep(0.5)
        self.points.setDecimals(1)
        self.points.setSuffix(" pt")
        self.points.setSpecialValueText("as it fits")
        self.points.setValue(self.points.minimum())
        self.language = choice([(code, language_name(code)) for code in languages()], "Language")
        self.only = choice([("", "All"), *((title, title) for title in pictures)], "Picture")
        self.only.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.only.setMinimumContentsLength(18)
        self.only.setEnabled(len(pictures) > 1)
        self.panel = QCheckBox("The main picture alone")
        self.title = QCheckBox("Headline and sentence")
        self.title.setChecked(True)
        self.caption = QCheckBox("Caption with prompt, model, place and settings")
        self.caption.setChecked(True)
        self.transparent = QCheckBox("Transparent background")
        self.csv, self.json = QCheckBox("Numbers beside it, as CSV"), QCheckBox("Numbers beside it, as JSON")
        for title, field in (
            ("Format", self.kind),
            ("Size", self.size_),
            ("Resolution", self.dpi),
            ("Theme", self.theme),
            ("Font size", self.points),
            ("Language", self.language),
            ("Picture", self.only),
        ):
            form.addRow(title, field)
        for box in (self.panel, self.title, self.caption, self.transparent, self.csv, self.json):
            form.addRow(box)
        note = _Note("SVG keeps its text as text; PDF embeds its fonts; PNG is a picture.")
        form.addRow(note)
        buttons = answers(QDialogButtonBox.StandardButton.Save)
        buttons.accepted.connect(self._ask_place)
        buttons.rejected.connect(self.reject)
        form.addRow(buttons)
        self.preview = _Preview()
        both = QHBoxLayout(self)
        both.setContentsMargins(24, 20, 24, 16)
        both.setSpacing(24)
        both.addLayout(form)
        both.addWidget(self.preview, 1)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PATIENCE)
        self._timer.timeout.connect(self._ask_preview)
        for chosen in (self.kind, self.size_, self.dpi, self.theme, self.language, self.only):
            chosen.currentIndexChanged.connect(self._changed)
        self.points.valueChanged.connect(self._changed)
        for box in (self.panel, self.title, self.caption, self.transparent):
            box.toggled.connect(self._changed)
        self._changed()

    def _changed(self) -> None:
        self.dpi.setEnabled(self.kind.currentData() == "png")
        self.panel.setEnabled(not self.only.currentData())
        self._timer.start()

    def options(self) -> Options:
        """The chosen options."""
        points = self.points.value()
        return Options(
            kind=self.kind.currentData(),
            size=self.size_.currentData(),
            theme=self.theme.currentData(),
            dpi=int(self.dpi.currentData()),
            caption=self.caption.isChecked(),
            transparent=self.transparent.isChecked(),
            font_size=None if points == self.points.minimum() else points,
            language=self.language.currentData(),
            title=self.title.isChecked(),
        )

    def excerpt(self) -> Excerpt:
        """The chosen part of the view."""
        return Excerpt(panel=self.panel.isChecked() and not self.only.currentData(), only=self.only.currentData())

    # The preview

    def _ask_preview(self) -> None:
        options = self.options()
        dpi = min(200, max(36, round(_PREVIEW * 72 / SIZES[options.size].width)))
        wanted = replace(options, kind="png", dpi=dpi), self.excerpt()
        if self._asked is None and wanted != self._shown:
            self._asked = wanted
            self.preview_wanted.emit(*wanted)

    def show_preview(self, data: bytes | None) -> None:
        """Show a requested preview (None: it could not be drawn), and request another if it is outdated."""
        self._shown, self._asked = self._asked, None
        if data is not None:
            picture = QPixmap()
            picture.loadFromData(data)
            self.preview.show_picture(picture)
            self._ask_preview()

    # The file

    def _ask_place(self) -> None:
        kind = self.kind.currentData()
        place = QFileDialog(self, "Export figure", str(self._folder / f"{self._name}.{kind}"))
        place.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        place.setDefaultSuffix(kind)
        place.setNameFilter(f"{kind.upper()} (*.{kind})")
        place.fileSelected.connect(self._take)
        place.open()

    def _take(self, name: str) -> None:
        data = tuple(kind for kind, box in (("csv", self.csv), ("json", self.json)) if box.isChecked())
        self.chosen.emit(self.options(), self.excerpt(), Path(name), data)
        self.accept()


class _Note(QLabel):
    """A label as high as its text needs: a form layout would compute the height for another width."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.setObjectName("dim")
        self.setWordWrap(True)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.setMinimumHeight(self.heightForWidth(self.width()))


class _Preview(QLabel):
    """A picture as large as its space allows; a high page is shown completely."""

    def __init__(self) -> None:
        super().__init__("The preview is being drawn …")
        self.setObjectName("dim")
        self.setAccessibleName("Preview")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumSize(420, 300)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._picture: QPixmap | None = None

    def sizeHint(self) -> QSize:
        return QSize(_PREVIEW, 400)

    def show_picture(self, picture: QPixmap) -> None:
        """Show a picture, scaled to the space."""
        self._picture = picture
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self._picture is not None:
            kept, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            picture = self._picture.scaled(self.size(), kept, smooth)
            painter = QPainter(picture)  # an outline that shows the edge of a page with the window's colour
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.drawRect(0, 0, picture.width() - 1, picture.height() - 1)
            painter.end()
            self.setPixmap(picture)
