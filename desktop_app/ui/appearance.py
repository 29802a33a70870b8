"""The window's appearance: its colours, its type size, and which of its parts are shown."""

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from desktop_app.core.program.settings import TYPE_SIZES
from desktop_app.figures.theme import THEMES, Theme
from desktop_app.ui import looks
from desktop_app.ui.desks.memory import Memory
from desktop_app.ui.parts.frame import Frame
from desktop_app.ui.parts.panes import PARTS, Panes, is_tight, lecture_scale, type_scale


class Appearance(QObject):
    """Follows the user's choices and the window's size; after `changed` is emitted, everything is redrawn."""

    changed = Signal()

    def __init__(self, frame: Frame, memory: Memory) -> None:
        super().__init__(frame)
        self._frame, self._memory = frame, memory
        self._panes = Panes()
        self._fitted = (1.0, False)  # the last type size, and whether rows were close together
        frame.lecture.changed.connect(self._show_lecture)

    # Colours and type

    @property
    def name(self) -> str:
        """The name of the current theme: the one chosen by the user, else the one that suits the desktop."""
        chosen = self._memory.settings.theme
        if chosen in THEMES:
            return chosen
        dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        return "dark" if dark else "light"

    @property
    def theme(self) -> Theme:
        """The current theme."""
        return THEMES[self.name]

    @property
    def scale(self) -> float:
        """The type size: the one chosen by the user, enlarged in a large window."""
        chosen, frame = self._memory.settings.type_size, self._frame
        if frame.lecture.on:
            return lecture_scale(chosen, frame.height())
        return type_scale(chosen, frame.width(), frame.height())

    def apply(self) -> None:
        """Apply the current theme and type size to the whole window."""
        app, frame = QApplication.instance(), self._frame
        assert isinstance(app, QApplication)
        app.setPalette(looks.palette(self.theme))
        scale, tight = self.scale, is_tight(self.scale, frame.height())
        self._fitted = scale, tight
        frame.setStyleSheet(looks.style_sheet(self.theme, scale, tight=tight))
        for bar in (frame.top_bar, frame.prompt, frame.chips, frame.scrubber, frame.probabilities):
            bar.set_tight(tight)
        frame.notice.set_scale(scale)
        frame.probabilities.set_scale(scale)
        frame.splitter.set_scale(scale)
        self._show_parts()
        self.changed.emit()

    def fit(self) -> None:
        """Adjust to the window's size: larger type in a large window, read from afar; fewer parts in a small one."""
        scale = self.scale
        if (scale, is_tight(scale, self._frame.height())) == self._fitted:
            self._show_parts()
        else:
            self.apply()

    def choose_theme(self, name: str) -> None:
        """Use this theme and save the choice."""
        self._memory.choose(theme=name)
        self.apply()

    def switch_theme(self) -> None:
        """Switch between light and dark."""
        self.choose_theme("light" if self.name == "dark" else "dark")

    def switch_projector(self) -> None:
        """Switch between colours for a weak projector and light."""
        self.choose_theme("light" if self.name == "projector" else "projector")

    def change_type(self, by: int) -> None:
        """Make the type larger (1) or smaller (-1), or reset it (0), which also resets the zoom of the view."""
        if by == 0:
            self._frame.canvas.zoom(0)
        at = TYPE_SIZES.index(self._memory.settings.type_size)
        at = TYPE_SIZES.index(1.0) if by == 0 else min(max(at + by, 0), len(TYPE_SIZES) - 1)
        self._memory.choose(type_size=TYPE_SIZES[at])
        self.apply()

    # Parts

    def _shown_parts(self) -> frozenset[str]:
        return self._panes.shown(self.scale, self._frame.width(), self._frame.height())

    def toggle_part(self, command: str) -> None:
        """Show or hide the part that a command controls."""
        self._panes.toggle(command, self._shown_parts())
        self._show_parts()

    def _show_parts(self) -> None:
        """Show the parts that the user chose, or that fit a window of this size."""
        frame, scale, shown = self._frame, self.scale, self._shown_parts()
        frame.left.setVisible("map" in shown)
        frame.right.setVisible("bars" in shown)
        frame.chip_bar.setVisible("chips" in shown)
        frame.right.words.setVisible("explain" in shown)
        frame.probabilities.show_controls(on="sampling" in shown)
        for bar in (frame.top_bar, frame.scrubber):
            bar.setHidden(frame.lecture.on)
        frame.top_bar.fold(frame.width() / scale < 1100)
        for part in PARTS:
            frame.actions_[part.command].setChecked(part.command in shown)
        frame.splitter.share()
        frame.right.share(scale)

    # Lecture

    def _show_lecture(self) -> None:
        """Show the parts for lecture mode, or for the normal window."""
        frame, on = self._frame, self._frame.lecture.on
        self._panes.lecture = on
        frame.actions_["lecture"].setChecked(on)
        self._set_spotlight(on)
        if not on:
            frame.canvas.focus_panel(None)
        frame.canvas.setFocus()
        self.apply()

    def _set_spotlight(self, on: bool) -> None:
        self._frame.canvas.set_spotlight(on)
        self._frame.actions_["spotlight"].setChecked(on)

    def toggle_spotlight(self) -> None:
        """Turn the spotlight on or off: everything but the cell under the pointer is dimmed."""
        self._set_spotlight(not self._frame.canvas.spotlight)

    def toggle_panel(self) -> None:
        """Show only the panel under the pointer, or all panels again."""
        canvas = self._frame.canvas
        canvas.focus_panel(canvas.panel_at() if canvas.focused is None else None)
