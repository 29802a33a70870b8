"""The right-hand panel: next-token bars, sampling controls, drawing and appending one or many tokens, token search."""

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from desktop_app.core.lessons.cover import HIDDEN, cover_bars
from desktop_app.core.panels import BarsPanel
from desktop_app.core.probabilities import bars_panel, chances_key, found_words
from desktop_app.core.scene import Scene
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.gpt2.sampling import Sampling
from desktop_app.ui.parts.buttons import push, tip_of, tool
from desktop_app.ui.parts.sampling_controls import SamplingControls, sampling_words
from desktop_app.ui.picture.bars_view import LEAST_ROWS, BarsView


class ProbabilityPanel(QWidget):
    """Shows the distribution after one position. Emits requests, which the window executes."""

    command = Signal(str)
    run_asked = Signal(int)
    pin_asked = Signal(int)
    last_position_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Scene | None = None
        self._before: QWidget | None = None  # the widget that had the focus before the search
        self._made_of: tuple[object, ...] | None = None
        self._theme: Theme = LIGHT
        self._scale = 1.0
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 8)
        column.setSpacing(8)

        top = QHBoxLayout()
        self.heading = QLabel("Next token")
        self.heading.setObjectName("heading")
        self.heading.setTextFormat(Qt.TextFormat.PlainText)
        self.heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.to_last = tool("Last", "Back to the distribution after the last token")
        self.to_last.clicked.connect(self.last_position_asked)
        self.find_button = tool("Find", tip_of("find_token", "Find a token and pin it"))
        self.find_button.setCheckable(True)
        self.find_button.toggled.connect(self._show_search)
        top.addWidget(self.heading, 1)
        top.addWidget(self.find_button)
        top.addWidget(self.to_last)
        column.addLayout(top)

        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a token, as in ' Paris' or #12")
        self.search.setAccessibleName("Find a token")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._show_found)
        self.search.returnPressed.connect(self._pin_found)
        self.found = QLabel()
        self.found.setObjectName("dim")
        self.found.setTextFormat(Qt.TextFormat.PlainText)
        self.found.setWordWrap(True)
        self.found.hide()
        self.search.hide()
        self.search.installEventFilter(self)
        column.addWidget(self.search)
        column.addWidget(self.found)
        self.exactness = QLabel()
        self.exactness.setObjectName("warning")
        self.exactness.setTextFormat(Qt.TextFormat.PlainText)
        self.exactness.setWordWrap(True)
        self.exactness.hide()
        column.addWidget(self.exactness)
        self.bars = BarsView()
        self.bars.resized.connect(self._show_bars)
        column.addWidget(self.bars, 1)

        self.controls = SamplingControls()
        column.addWidget(self.controls)

        self.settings = self._button("", "sampling", tip_of("sampling", "Show temperature, top-k, top-p and seed"))
        self.settings.hide()
        column.addWidget(self.settings)

        self.u_label = QLabel()
        self.u_label.setObjectName("dim")
        self.u_label.setTextFormat(Qt.TextFormat.PlainText)
        column.addWidget(self.u_label)

        buttons = QHBoxLayout()
        self.draw = self._button("Draw", "draw", "Draw again: the next number of this seed")
        self.append = self._button("Append", "append", tip_of("append"))
        self.append.setObjectName("primary")
        self.count = QSpinBox()
        self.count.setRange(1, 1024)
        self.count.setValue(20)
        self.count.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.count.setAccessibleName("Number of tokens to append")
        self.run = push("Run on", "Draw and append this many tokens")
        self.run.clicked.connect(lambda: self.run_asked.emit(self.count.value()))
        self.stop = self._button("Stop", "stop", "Stop running on")
        self.stop.hide()
        buttons.addWidget(self.append)
        buttons.addWidget(self.draw)
        buttons.addStretch(1)
        buttons.addWidget(self.run)
        buttons.addWidget(self.stop)
        buttons.addWidget(self.count)
        column.addLayout(buttons)

    def _button(self, title: str, command: str, tip: str) -> QPushButton:
        button = push(title, tip)
        button.clicked.connect(lambda: self.command.emit(command))
        return button

    def set_tight(self, tight: bool) -> None:
        """Reduce the spacing."""
        layout = self.layout()
        assert layout is not None
        layout.setContentsMargins(16, 6 if tight else 12, 16, 4 if tight else 8)
        layout.setSpacing(4 if tight else 8)
        self.controls.set_tight(tight)

    def show_controls(self, *, on: bool) -> None:
        """Show the sliders, or their settings in one line."""
        self.controls.setVisible(on)
        self.settings.setVisible(not on)

    def wanted_height(self, rows: int) -> int:
        """The height in which this number of bars and the two dividing lines fit."""
        bars = round((22 * rows + 38) * self._scale)
        return self.minimumSizeHint().height() - self.bars.minimumSizeHint().height() + bars

    def show_scene(
        self, scene: Scene, theme: Theme, scale: float, *, has_room: bool, running: bool, hidden: bool = False
    ) -> None:
        """Show the distribution at the scene's position."""
        self._scene, self._theme, self._scale = scene, theme, scale
        self.show_running(has_room=has_room, running=running)
        # Going from step to step does not change this panel.
        made_of = (chances_key(scene), theme, scale, self.bars.rows_that_fit(), hidden)
        if made_of == self._made_of:
            return
        self._made_of = made_of
        self.to_last.setVisible(scene.state.position is not None)
        self._show_heading()
        panel = self._bars_panel(scene)
        self.bars.show_panel(cover_bars(panel) if hidden else panel, theme, scale)
        self.controls.show_sampling(scene.state.sampling, len(scene.ranked))
        self.settings.setText(sampling_words(scene.state.sampling))
        cut = 0 if scene.state.position is None else len(scene.trace) - 1 - scene.position
        self.append.setText(f"Append, cut {cut:,}" if cut else "Append")
        after = f"; the {cut:,} tokens after this position are cut off" if cut else ""
        self.append.setToolTip(f"{tip_of('append')}{after}")
        self.run.setToolTip(f"Draw and append this many tokens{after}")
        token = int(scene.ranked.order[scene.landed])
        how = "greedy" if scene.state.sampling.greedy else f"draw {scene.state.draws}: u = {scene.u:.4f}"
        self.u_label.setText(f"{how} → {HIDDEN if hidden else scene.tokenizer.quoted(token)}")
        self._show_found()

    def _bars_panel(self, scene: Scene) -> BarsPanel:
        """As many bars as fit completely; the dividing lines take the space of one more."""
        rows = self.bars.rows_that_fit()
        panel = bars_panel(scene, rows)
        return panel if rows <= LEAST_ROWS or self.bars.fits(panel) else bars_panel(scene, rows - 1)

    def show_running(self, *, has_room: bool, running: bool) -> None:
        """Show the button that appends many tokens, or the one that stops; the focus moves from one to the other."""
        self.append.setEnabled(has_room)
        self.run.setEnabled(has_room and not running)
        coming, going = (self.stop, self.run) if running else (self.run, self.stop)
        coming.show()
        self.stop.setEnabled(running)
        if going.hasFocus():
            # Otherwise Qt would move the focus to the next field, which would handle Ctrl+Z itself.
            coming.setFocus()
        going.hide()

    def show_nothing(self, sampling: Sampling, vocabulary: int, theme: Theme, scale: float) -> None:
        """Show that there is no distribution, with the current settings."""
        self._scene, self._theme, self._scale = None, theme, scale
        self._made_of = None
        self.heading.setText("Next token")
        self.heading.setToolTip("")
        self.to_last.hide()
        self.bars.show_panel(BarsPanel(), theme, scale)
        self.controls.show_sampling(sampling, vocabulary)
        self.settings.setText(sampling_words(sampling))
        self.u_label.setText("")
        for button in (self.append, self.run, self.stop):
            button.setEnabled(False)
        self._show_found()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leave Ctrl+E and, while nothing is typed, undo to the window; otherwise the field would use both."""
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return super().eventFilter(watched, event)
        undoes = event.matches(QKeySequence.StandardKey.Undo) or event.matches(QKeySequence.StandardKey.Redo)
        exports = event.key() == Qt.Key.Key_E and event.modifiers() == Qt.KeyboardModifier.ControlModifier
        if exports or (undoes and not self.search.text()):
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def set_scale(self, scale: float) -> None:
        """Adjust fields of fixed width to a type size."""
        self.controls.set_scale(scale)
        self.count.setFixedWidth(round(48 * scale))

    def open_search(self) -> None:
        """Show the search field and put the caret into it."""
        focus = QApplication.focusWidget()
        if focus is not self.search:
            self._before = focus
        self.find_button.setChecked(True)
        self.search.setFocus()

    def _show_search(self, on: bool) -> None:
        self.search.setVisible(on)
        if on:
            self.search.setFocus()
        else:
            self.search.clear()

    def _show_heading(self) -> None:
        assert self._scene is not None
        scene = self._scene
        forms = []
        for lead in ("Next token after", "After"):
            for first in range(max(0, scene.position - 3), scene.position + 1):
                before = "".join(scene.labels[first : scene.position + 1]).replace("·", " ").strip()
                forms.append(f"{lead} “{'… ' if first else ''}{before}”")
        layout = self.layout()
        if layout is not None:
            layout.activate()  # until then the label has its old width
        room = self.heading.width()
        metrics = self.heading.fontMetrics()
        # Preceding tokens are left out first, then words; only a single token that fills the space is elided.
        words = next((form for form in forms if metrics.horizontalAdvance(form) <= room), forms[-1])
        self.heading.setText(metrics.elidedText(words, Qt.TextElideMode.ElideMiddle, max(room, 60)))
        self.heading.setToolTip(forms[0])

    def resizeEvent(self, event: object) -> None:
        if self._scene is not None:
            self._show_heading()

    def _show_bars(self) -> None:
        """Show as many bars as fit now."""
        if self._scene is not None:
            self.bars.show_panel(self._bars_panel(self._scene), self._theme, self._scale)

    def _found_ids(self) -> list[int]:
        text = self.search.text()
        if not text or self._scene is None:
            return []
        return [i for i in self._scene.tokenizer.find(text) if i < len(self._scene.ranked)]

    def _show_found(self) -> None:
        text = self.search.text()
        self.found.setVisible(bool(text))
        if not text or self._scene is None:
            return
        ids = self._found_ids()
        if ids:
            lines = [found_words(self._scene, i) for i in ids[:3]]
            self.found.setText("\n".join(lines) + "\nEnter pins the first among the bars.")
        else:
            self.found.setText("No token of this vocabulary is spelled like this.")

    def _pin_found(self) -> None:
        ids = self._found_ids()
        if ids:
            self.pin_asked.emit(ids[0])
            self.find_button.setChecked(False)
            if self._before is not None:
                self._before.setFocus()
