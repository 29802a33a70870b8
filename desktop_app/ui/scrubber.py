"""The scrubber: every step on one line, block by block, with buttons to step and to play."""

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from desktop_app.core.places import BLOCK, IN, Step
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.theme import LIGHT, Theme, mix
from desktop_app.ui import fonts
from desktop_app.ui.painting import draw_marks

_SPEEDS = (0.5, 1.0, 2.0, 4.0)  # steps per second


class Track(QWidget):
    """Segments for the steps before the blocks, each block and the steps after them; emits the step's index."""

    chosen = Signal(int)
    command = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Scrubber over all steps")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._steps: tuple[Step, ...] = ()
        self._current = 0
        self._theme: Theme = LIGHT
        self._scale = 1.0

    def show_steps(self, steps: tuple[Step, ...], current: int, theme: Theme, scale: float) -> None:
        """Show the current step."""
        self._steps, self._current, self._theme, self._scale = steps, current, theme, scale
        self.setFixedHeight(round(34 * scale))
        self.update()

    def _segments(self) -> list[tuple[str, int, int, float, float]]:
        """(name, first step, number of steps, x, width) of each segment."""
        parts: list[tuple[str, int, int]] = []
        for step in self._steps:
            name = f"block {step.layer}" if step.spec.part == BLOCK else "in" if step.spec.part == IN else "out"
            if parts and parts[-1][0] == name:
                parts[-1] = (name, parts[-1][1], parts[-1][2] + 1)
            else:
                parts.append((name, step.index, 1))
        gap = 3.0 if len(parts) < 60 else 1.0
        room = self.width() - gap * (len(parts) - 1)
        # The first and last segment would be slivers beside many blocks; they keep a width that can be clicked.
        least = min(26.0 * self._scale, room / 6)
        total = max(len(self._steps), 1)
        ends = ("in", "out")
        widths = [max(least if name in ends else 0, room * count / total) for name, _, count in parts]
        shrink = room / sum(widths) if widths else 1
        found, x = [], 0.0
        for (name, first, count), width in zip(parts, widths, strict=True):
            found.append((name, first, count, x, width * shrink))
            x += width * shrink + gap
        return found

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        page, theme = Page(self._theme, fonts.measure, self._scale), self._theme
        top, height = page.u(8), page.u(6)
        segments = self._segments()
        for _, first, count, x, width in segments:
            passed = (self._current - first + 1) / count
            page.fill(Rect(x, top, width, height), theme.line, radius=page.u(3))
            if passed > 0:
                inside = first <= self._current < first + count
                colour = theme.accent if inside else mix(theme.accent, theme.panel, 0.45)
                page.fill(Rect(x, top, width * min(passed, 1), height), colour, radius=page.u(3))
        self._name_parts(segments, top + page.u(18), page)
        draw_marks(painter, page.marks)
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.accent), 1, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _name_parts(self, segments: list[tuple[str, int, int, float, float]], y: float, page: Page) -> None:
        """Draw names under the segments: the current one's always, then the ends', and the others' if there is room."""
        whole = all(page.width(name, size=10) + page.u(4) < width for name, _, _, _, width in segments)
        taken: list[tuple[float, float]] = []
        if not segments:
            return
        current = next((n for n, s in enumerate(segments) if s[1] <= self._current < s[1] + s[2]), 0)
        for n in dict.fromkeys((current, 0, len(segments) - 1, *range(len(segments)))):
            name, _, _, x, _ = segments[n]
            label = name if whole else name.removeprefix("block ")
            wide = page.width(label, size=10)
            x = max(0.0, min(x, self.width() - wide))
            if all(x + wide + page.u(6) <= left or right + page.u(6) <= x for left, right in taken):
                page.words(x, y, label, size=10, colour=page.theme.ink if n == current else page.theme.dim)
                taken.append((x, x + wide))

    def step_at(self, x: float) -> int:
        """The index of the step at a point of the track."""
        for _, first, count, left, width in self._segments():
            if x < left + width + 2:
                return first + min(count - 1, max(0, int((x - left) / width * count)))
        return max(0, len(self._steps) - 1)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._steps:
            self.chosen.emit(self.step_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self._steps:
            return
        index = self.step_at(event.position().x())
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.chosen.emit(index)
        step = self._steps[index]
        where = f"block {step.layer} · " if step.layer is not None else ""
        self.setToolTip(f"{index + 1} of {len(self._steps)}: {where}{step.text.name}")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        going = {
            Qt.Key.Key_Left: "previous_block" if shift else "previous",
            Qt.Key.Key_Right: "next_block" if shift else "next",
            Qt.Key.Key_Home: "first",
            Qt.Key.Key_End: "last",
        }.get(Qt.Key(event.key()))
        if going is None:
            super().keyPressEvent(event)
        else:
            self.command.emit(going)


class Scrubber(QWidget):
    """Buttons, track, and the step's name in words."""

    chosen = Signal(int)
    command = Signal(str)
    played = Signal(bool)  # playing started or stopped, for any reason

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bottomBar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        line = QHBoxLayout(self)
        line.setContentsMargins(16, 8, 16, 8)
        line.setSpacing(8)
        self._button(line, "|◀", "first", "First step (Ctrl+Home)")
        self._button(line, "◀", "previous", "Previous step (Page Up)")
        self.play = self._button(line, "▶ Play", "play", "Play (F5)")
        self.play.setCheckable(True)
        self._button(line, "▶", "next", "Next step (Page Down)")
        self._button(line, "▶|", "last", "Last step (Ctrl+End)")
        self.speed = QComboBox()
        self.speed.setAccessibleName("Speed")
        self.speed.addItems([f"{s:g} a second" for s in _SPEEDS])
        self.speed.setCurrentIndex(1)
        self.speed.currentIndexChanged.connect(lambda _: self._set_interval())
        line.addWidget(self.speed)
        self.track = Track()
        self.track.chosen.connect(self.chosen)
        self.track.command.connect(self.command)
        line.addWidget(self.track, 1)
        words = QVBoxLayout()
        words.setSpacing(0)
        self.place = QLabel()
        self.place.setObjectName("heading")
        self.name = QLabel()
        self.name.setObjectName("dim")
        for label in (self.place, self.name):
            label.setAlignment(Qt.AlignmentFlag.AlignRight)
            label.setMinimumWidth(190)
            words.addWidget(label)
        line.addLayout(words)
        self._timer = QTimer(self)
        self._timer.timeout.connect(lambda: self.command.emit("next"))
        self._steps: tuple[Step, ...] = ()

    def set_tight(self, tight: bool) -> None:
        """Leave less room above and below."""
        layout = self.layout()
        assert layout is not None
        layout.setContentsMargins(16, 3 if tight else 8, 16, 3 if tight else 8)

    def _button(self, line: QHBoxLayout, text: str, command: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda: self.command.emit(command))
        line.addWidget(button)
        return button

    def show_steps(self, steps: tuple[Step, ...], current: Step | None, theme: Theme, scale: float) -> None:
        """Show the current step."""
        self._steps = steps
        index = current.index if current is not None else 0
        self.track.show_steps(steps, index, theme, scale)
        self.place.setText(f"{index + 1} of {len(steps)}" if steps else "")
        if current is not None:
            where = f"block {current.layer} · " if current.layer is not None else ""
            self.name.setText(f"{where}{current.text.name.lower()}")
        if self.playing and index == len(steps) - 1:
            self.set_playing(False)

    @property
    def playing(self) -> bool:
        """Whether steps advance by themselves."""
        return self._timer.isActive()

    @property
    def steps_a_second(self) -> float:
        """The chosen speed."""
        return _SPEEDS[self.speed.currentIndex()]

    def set_speed(self, steps_a_second: float) -> None:
        """Choose a speed."""
        if steps_a_second in _SPEEDS:
            self.speed.setCurrentIndex(_SPEEDS.index(steps_a_second))

    def _set_interval(self) -> None:
        self._timer.setInterval(round(1000 / self.steps_a_second))

    def set_playing(self, on: bool) -> None:
        """Play or pause."""
        self._set_interval()
        if on:
            self._timer.start()
        else:
            self._timer.stop()
        self.play.setChecked(on)
        self.play.setText("❚❚ Pause" if on else "▶ Play")
        self.played.emit(on)
