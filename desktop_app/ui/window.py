"""The window: puts the parts in place, wires state to views and commands to state."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMenu,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop_app import __version__
from desktop_app.core.bundle import bundled_models
from desktop_app.core.commands import COMMANDS, PACE
from desktop_app.core.examples import Example, examples, open_in, sentence_at
from desktop_app.core.model import Model
from desktop_app.core.navigation import at_workspace
from desktop_app.core.panels import View
from desktop_app.core.places import Step
from desktop_app.core.probabilities import found_words
from desktop_app.core.scene import Scene
from desktop_app.core.settings import TYPE_SIZES, Settings, save_settings
from desktop_app.core.state import State, begins, spaced, unplaced, with_option
from desktop_app.core.steps import find_step, view_key
from desktop_app.core.views import look
from desktop_app.core.views.limits import limit_field, read_limit
from desktop_app.core.views.weights import weight_names
from desktop_app.figures.theme import THEMES, Theme
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.sampling import MAX_SEED
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.ui import looks
from desktop_app.ui.autosave import Autosave
from desktop_app.ui.canvas import Canvas
from desktop_app.ui.chips import Chips
from desktop_app.ui.columns import Columns
from desktop_app.ui.command_palette import Chooser, CommandPalette
from desktop_app.ui.controller import Controller
from desktop_app.ui.diagnostics import diagnostics
from desktop_app.ui.exactness import Exactness
from desktop_app.ui.file_actions import FileActions
from desktop_app.ui.help_page import HelpPage
from desktop_app.ui.inspection import Inspection
from desktop_app.ui.inspector import Inspector
from desktop_app.ui.lecture import Lecture, first_sentence
from desktop_app.ui.map_view import MapView
from desktop_app.ui.model_library import ModelLibrary
from desktop_app.ui.panes import PARTS, Panes, is_tight, lecture_scale, type_scale
from desktop_app.ui.place_words import PlaceWords
from desktop_app.ui.probability_panel import ProbabilityPanel
from desktop_app.ui.prompt import PromptEditor
from desktop_app.ui.scrubber import Scrubber
from desktop_app.ui.side_pane import SidePane
from desktop_app.ui.side_tabs import SideTabs
from desktop_app.ui.token_chooser import TokenChooser
from desktop_app.ui.top_bar import TopBar
from desktop_app.ui.view_bar import ViewBar
from desktop_app.ui.workspace_bar import WorkspaceBar

log = logging.getLogger(__name__)
_SLOW_MS = 250
_PATIENCE_MS = 300
_CHANGES = {command.id: command.change for command in COMMANDS if command.change is not None}


class Window(QMainWindow):
    """The one window."""

    def __init__(self, state: State, settings: Settings) -> None:
        super().__init__()
        self.setWindowTitle("Logitscope")
        self.setMinimumSize(480, 320)  # parts fold in a small window; their own least sizes would keep it from it
        self.setAcceptDrops(True)
        self.settings = self._settings_before = settings
        self.controller = Controller(state, self)
        self.files = FileActions(self.controller, self, settings.export_folder)
        self.autosave = Autosave(self.controller, self)
        self.actions_: dict[str, QAction] = {}
        self.panes = Panes()
        self._fitted = (1.0, False)  # type size, rows closer
        self._closing = False
        self._with_view = ""
        self._shown: object = None
        self._view: View | None = None
        self._waited = False
        self._product_since: float | None = None
        self._says_progress = False
        self._build()
        self._make_actions()
        self._handlers = self._make_handlers()
        self._connect()
        self._set_theme(self._theme_name())
        self._restore()

    # Parts

    def _build(self) -> None:
        self.models = QToolButton()
        self.models.setText("Opening …")
        self.models.setAccessibleName("Model")
        self.models.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.prompt = PromptEditor()
        self.examples = QToolButton()
        self.examples.setText("Examples ▾")
        self.examples.setAccessibleName("Examples")
        self.examples.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.undo, self.redo, self.themes = QToolButton(), QToolButton(), QToolButton()
        self.menu_button = QToolButton()
        self.menu_button.setText("☰")
        self.menu_button.setAccessibleName("Menu")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.export = QPushButton("Export figure")
        self.export.setObjectName("primary")
        buttons = (self.examples, self.undo, self.redo, self.themes, self.export, self.menu_button)
        self.top_bar = top = TopBar([self.models], self.prompt, buttons)
        self.trouble = QLabel()
        self.trouble.setObjectName("trouble")
        self.trouble.setTextFormat(Qt.TextFormat.PlainText)
        self.trouble.setWordWrap(True)
        self.trouble.hide()
        self.chips = Chips()
        self.count = QLabel()
        self.count.setObjectName("dim")
        chip_bar, chip_line = self._bar("chipBar", margins=(0, 0, 16, 1))
        self.chip_bar = chip_bar
        chip_line.addWidget(self.chips)
        chip_line.addWidget(self.count)

        self.map = MapView()
        self.canvas = Canvas()
        self.inspector = Inspector()
        self.inspector.hide()
        self.centre = QSplitter(Qt.Orientation.Vertical)
        self.centre.setHandleWidth(5)
        self.centre.setChildrenCollapsible(False)
        self.centre.addWidget(self.canvas)
        self.centre.addWidget(self.inspector)
        self.probabilities = ProbabilityPanel()
        self.tabs = SideTabs()
        self.inspection = Inspection(self.controller, self.canvas, self.inspector, self.tabs, self.centre)
        self.right = right = SidePane(self.probabilities, self.tabs)
        left = QWidget()
        left.setObjectName("leftPane")
        left_column = QVBoxLayout(left)
        left_column.setContentsMargins(0, 0, 1, 0)
        left_column.addWidget(self.map)
        self.left = left
        self.place_words = PlaceWords()
        centre = QWidget()
        centre_column = QVBoxLayout(centre)
        centre_column.setContentsMargins(0, 0, 0, 0)
        centre_column.setSpacing(0)
        centre_column.addWidget(self.centre, 1)
        centre_column.addWidget(self.place_words)
        self.splitter = Columns(left, centre, right)
        self.lecture = Lecture(self, self._step_back)
        self.scrubber = Scrubber()
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(top)
        column.addWidget(self.trouble)
        column.addWidget(chip_bar)
        column.addWidget(self.splitter, 1)
        column.addWidget(self.lecture.sentence)
        column.addWidget(self.scrubber)
        self.setCentralWidget(middle)
        self.notice = QLabel(self)
        self.notice.setObjectName("trouble")
        self.notice.setTextFormat(Qt.TextFormat.PlainText)
        self.notice.setWordWrap(True)
        self.notice.hide()
        self._notice_timer = QTimer(self)
        self._notice_timer.setSingleShot(True)
        self._notice_timer.timeout.connect(self.notice.hide)
        self._slow_timer = QTimer(self)
        self._slow_timer.setSingleShot(True)
        self._slow_timer.timeout.connect(self._show_count)
        # A view whose products are not ready leaves the one before it on the screen for as long as nobody minds.
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(lambda: self._show_scene(self.controller.scene))
        # Tab goes from the prompt to what one does next, not through every button on the way.
        order = (self.prompt, self.chips, self.map, self.canvas, self.probabilities.bars, self.scrubber.track)
        for one, next_ in pairwise(order):
            QWidget.setTabOrder(one, next_)

    def _bar(self, name: str, margins: tuple[int, int, int, int]) -> tuple[QWidget, QHBoxLayout]:
        bar = QWidget()
        bar.setObjectName(name)
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        bar.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        line = QHBoxLayout(bar)
        line.setContentsMargins(*margins)
        line.setSpacing(8)
        return bar, line

    def _make_actions(self) -> None:
        menus: dict[str, QMenu] = {}
        main = QMenu(self)
        for command in COMMANDS:
            action = QAction(command.title, self)
            action.setShortcuts([QKeySequence(k) for k in command.keys])
            action.setCheckable(command.checkable)
            action.triggered.connect(lambda _checked=False, name=command.id: self.do(name))
            self.addAction(action)
            self.actions_[command.id] = action
            if command.menu not in menus:
                menus[command.menu] = main.addMenu(command.menu)
            menus[command.menu].addAction(action)
        self.menu_button.setMenu(main)
        for button, name, sign in ((self.undo, "undo", "↶"), (self.redo, "redo", "↷"), (self.themes, "theme", "◐")):
            button.setText(sign)
            button.setAccessibleName(self.actions_[name].text())
            keys = self.actions_[name].shortcut().toString()
            button.setToolTip(f"{self.actions_[name].text()} ({keys})")
            button.clicked.connect(self.actions_[name].trigger)
        self.export.clicked.connect(self.actions_["export"].trigger)
        menu = QMenu(self)
        for example in examples():
            action = menu.addAction(example.title, lambda e=example: self.open_example(e))
            action.setToolTip(example.look)
        self.examples.setMenu(menu)
        self.workspaces = WorkspaceBar(self.actions_, self.canvas)
        self.view_bar = ViewBar(self.actions_, self.workspaces, self.canvas)
        self.canvas.resized.connect(self.view_bar.place)
        self.view_bar.limit_typed.connect(self._set_limit)
        self._limit_field: str | None = None
        self.library = ModelLibrary(self.models, self.controller, self)
        self.exactness = Exactness(self.controller, self.probabilities.exactness)

    def _connect(self) -> None:
        c = self.controller
        c.state_changed.connect(self._show_state)
        c.scene_changed.connect(self._show_scene)
        c.model_changed.connect(self._show_model)
        c.trouble.connect(self._show_trouble)
        c.notice.connect(self.say)
        c.loading.connect(self._show_loading)
        self.lecture.changed.connect(self._show_lecture)
        self.lecture.command.connect(self.do)
        c.working.connect(self._show_working)
        self.prompt.edited.connect(c.edit_text)
        self.chips.chosen.connect(self._choose_token)
        self.chips.position_chosen.connect(self._choose_position)
        self.map.chosen.connect(c.go_to)
        self.map.command.connect(self.do)
        self.canvas.picked.connect(self._picked)
        inside = self.inspector.canvas
        inside.picked.connect(lambda what, value: self.do(str(value)) if what == "command" else None)
        self.inspector.export_asked.connect(lambda: self.files.ask_export(self._theme_name(), opened=True))
        c.products.progressed.connect(self._show_progress)
        self.inspection.said.connect(self.say)
        self.library.said.connect(self.say)
        p = self.probabilities
        p.bars.appended.connect(c.append)
        p.bars.pinned.connect(self._pin)
        p.bars.asked.connect(self.inspection.open_probability)
        p.bars.explained.connect(lambda token: self._explain(target=token))
        p.bars.compared.connect(lambda token: self._explain(against=token))
        p.pin_asked.connect(self._pin)
        p.command.connect(self.do)
        p.run_asked.connect(c.run_on)
        p.last_position_asked.connect(lambda: c.set(replace(c.state, position=None)))
        p.controls.changed.connect(self._change_sampling)
        p.controls.released.connect(c.history.close_entry)
        p.controls.refused.connect(self.say)
        p.controls.reseed.clicked.connect(self._new_seed)
        self.tabs.tensor_asked.connect(self._go_to_tensor)
        self.scrubber.chosen.connect(self._go_to_index)
        self.scrubber.command.connect(self.do)
        self.scrubber.played.connect(self.actions_["play"].setChecked)
        self.files.said.connect(lambda words, stays: self.say(words, lasting=stays))
        self.autosave.said.connect(self.say)

    # Showing

    @property
    def theme(self) -> Theme:
        """The theme that is on."""
        return THEMES[self._theme_name()]

    @property
    def scale(self) -> float:
        """The type size: the one that was chosen, larger in a large window."""
        if self.lecture.on:
            return lecture_scale(self.settings.type_size, self.height())
        return type_scale(self.settings.type_size, self.width(), self.height())

    def _theme_name(self) -> str:
        if self.settings.theme in THEMES:
            return self.settings.theme
        dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        return "dark" if dark else "light"

    def _set_theme(self, name: str) -> None:
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.setPalette(looks.palette(THEMES[name]))
        scale, tight = self.scale, is_tight(self.scale, self.height())
        self._fitted = scale, tight
        self.setStyleSheet(looks.style_sheet(THEMES[name], scale, tight=tight))
        for bar in (self.top_bar, self.chips, self.scrubber, self.probabilities):
            bar.set_tight(tight)
        self.prompt.refit()
        self._fit_panes()
        self.inspection.set_look(THEMES[name], self.scale)
        self._show_state(self.controller.state)
        self._show_scene(self.controller.scene)

    def _fit_panes(self) -> None:
        """Give the side panes the width that their text needs at this type size."""
        self.probabilities.set_scale(self.scale)
        self.splitter.set_scale(self.scale)
        self._show_parts()

    def _fit(self) -> None:
        """Follow the window's size: type that can be read from further away, parts that fold."""
        scale = self.scale
        if (scale, is_tight(scale, self.height())) == self._fitted:
            self._show_parts()
            return
        self._set_theme(self._theme_name())

    def _show_parts(self) -> None:
        """Show the parts that this size has room for, or that were asked for."""
        scale = self.scale
        shown = self.panes.shown(scale, self.width(), self.height())
        self.left.setVisible("map" in shown)
        self.right.setVisible("bars" in shown)
        self.chip_bar.setVisible("chips" in shown)
        self.right.words.setVisible("explain" in shown)
        self.probabilities.show_controls(on="sampling" in shown)
        for bar in (self.top_bar, self.scrubber):
            bar.setHidden(self.lecture.on)
        self.top_bar.fold(self.width() / scale < 1100)
        for part in PARTS:
            self.actions_[part.command].setChecked(part.command in shown)
        self.splitter.share()
        self.right.share(scale)

    def _show_lecture(self) -> None:
        """The parts of a lecture, or of the plain window again."""
        self.panes.lecture = self.lecture.on
        self.actions_["lecture"].setChecked(self.lecture.on)
        self.canvas.set_spotlight(self.lecture.on)
        self.actions_["spotlight"].setChecked(self.lecture.on)
        if not self.lecture.on:
            self.canvas.focus_panel(None)
        self.canvas.setFocus()
        self._set_theme(self._theme_name())

    def _step_back(self) -> bool:
        """What Esc does in a lecture before it ends that: leave a panel, close the inspector."""
        if self.canvas.focused is not None:
            self.canvas.focus_panel(None)
        elif self.controller.path:
            self.controller.open_path(())
        else:
            return False
        return True

    def _toggle_spotlight(self) -> None:
        self.canvas.set_spotlight(not self.canvas.spotlight)
        self.actions_["spotlight"].setChecked(self.canvas.spotlight)

    def _focus_panel(self) -> None:
        if self.canvas.focused is None:
            self.canvas.focus_panel(self.canvas.panel_at())
        else:
            self.canvas.focus_panel(None)

    def _show_place_words(self, view: View | None) -> None:
        """What is to be seen here: an example's sentence, or in a lecture the view's own."""
        state, model = self.controller.state, self.controller.model
        words = sentence_at(state, str(model.folder)) if model is not None else ""
        self.place_words.show_words(words, here=not self.lecture.on)
        if self.lecture.on:
            self.lecture.say(words or (first_sentence(view.lead) if view is not None else ""), self.theme)

    def _toggle_part(self, command: str) -> None:
        self.panes.toggle(command, self.panes.shown(self.scale, self.width(), self.height()))
        self._show_parts()

    def _show_state(self, state: State) -> None:
        model = self.controller.model
        if model is not None:
            appended = model.tokenizer.decode(state.appended)
            self.prompt.show_text(state.text + appended, len(appended), self.theme.accent)
            sizes = (model.config.n_embd, model.config.d_mlp)
            self.map.show_steps(self.controller.steps, self.controller.walk_step, self.theme, self.scale, sizes)
        else:
            self.prompt.show_text(state.text, 0, self.theme.accent)
            self.map.show_steps((), None, self.theme, self.scale, (0, 0))
        self.scrubber.show_steps(self.controller.steps, self.controller.walk_step, self.theme, self.scale)
        for name, on in (
            ("projector", self._theme_name() == "projector"),
            *((name, name == f"{PACE}{self.controller.pace}") for name in self.actions_ if name.startswith(PACE)),
            ("prepend", self._is_on(begins)),
            ("space", self._is_on(spaced)),
            *((command.id, command.on(state)) for command in COMMANDS if command.on is not None),
        ):
            self.actions_[name].setChecked(on)
        self._enable()

    def _show_scene(self, scene: Scene | None) -> None:
        step = self.controller.step
        if scene is None or step is None:
            self._show_nothing()
            return
        self.chips.show_scene(scene, self.theme, self.scale)
        self._show_count()
        if self._with_view:
            self.say(self._with_view, lasting=True)
            self._with_view = ""
        # A moved slider must not draw a block's heads again: only what a view is made from makes it anew.
        made_from = (view_key(scene, step), self.theme, self.scale, self.lecture.on)
        missing = any(scene.result(want) is None for want in step.spec.wants(scene))
        if missing and self._shown is not None and not self._waited:
            self._waited = True
            self._patience.start(_PATIENCE_MS)
        elif made_from != self._shown and not (missing and self._patience.isActive()):
            self._waited = missing
            self._patience.stop()
            self._shown = made_from
            shown = self.controller.present_view(scene, step)
            self._limit_field = limit_field(shown)
            self._view = shown
            self.canvas.walks = step.index >= 0
            self.canvas.show_view(replace(shown, lead="") if self.lecture.on else shown, self.theme, self.scale)
        on = {command.id for command in COMMANDS if command.on is not None and command.on(scene.state)}
        self._show_limit()
        self.view_bar.show_options(step.spec.options, on)
        self.workspaces.show_workspace(scene.state.workspace)
        for bar in (self.view_bar, self.workspaces) if self.lecture.on else ():
            bar.hide()
        self._show_place_words(self._view)
        self.inspection.show()
        self.tabs.show_step(scene, step)
        self.probabilities.show_scene(
            scene, self.theme, self.scale, has_room=self.controller.has_room, running=self.controller.running
        )
        self._enable()

    def _show_count(self) -> None:
        scene = self.controller.scene
        words = "" if scene is None else f"{len(scene.trace):,} of {scene.config.n_positions:,} tokens"
        # A pass that takes its time is told: until it is done, what is shown is of the prompt before.
        slow = self.controller.passes.busy and not self._slow_timer.isActive()
        self.count.setText("computing …" if slow else words)

    def _show_working(self, on: bool) -> None:
        if not on:
            self._slow_timer.stop()
            self._show_count()
        elif not self._slow_timer.isActive():
            self._slow_timer.start(_SLOW_MS)
        self._enable()

    def _show_progress(self, words: str, part: float) -> None:
        """Say what a view waits for, once that has taken a while."""
        if not words:
            self._product_since = None
            if self._says_progress:
                self._says_progress = False
                self.notice.hide()
        elif self._product_since is None:
            self._product_since = monotonic()
        elif 1000 * (monotonic() - self._product_since) > _PATIENCE_MS:
            self._says_progress = True
            self.say(f"{words} … {part:.0%}   (Ctrl+. stops)", lasting=True)
        self._enable()

    def _show_nothing(self) -> None:
        """There is no pass whose numbers could be shown."""
        self._shown = self._view = None
        self._show_place_words(None)
        self.chips.show_scene(None, self.theme, self.scale)
        self._show_count()
        self.canvas.show_view(None, self.theme, self.scale)
        self.view_bar.show_limit(None, there=False)
        self.view_bar.show_options((), set())
        self.inspection.show()
        self.probabilities.show_nothing(self.theme, self.scale)
        self._enable()

    def _show_model(self, model: Model) -> None:
        c = model.config
        self.models.setText(f"{model.name} · {c.n_layer} blocks × {c.n_head} heads ▾")
        self.models.setToolTip(str(model.folder))
        first = "".join(map(model.tokenizer.label, model.tokenizer.first)) or "<|endoftext|>"
        self.actions_["prepend"].setText(f"Begin with {first}".replace("&", "&&"))
        self._show_state(self.controller.state)

    def _show_trouble(self, words: str) -> None:
        self.trouble.setText(words)
        self.trouble.setVisible(bool(words))
        self._enable()

    def _show_loading(self, stage: str) -> None:
        if stage:
            self.say(f"{stage[0].upper()}{stage[1:]} …", lasting=True)
        else:
            self.notice.hide()
        if self.controller.model is None:
            self.models.setText("Opening …" if stage else "No model ▾")
        self._enable()

    def say(self, words: str, *, lasting: bool = False, seconds: int = 6) -> None:
        """Show a sentence at the foot of the view for a while; none takes the last one away."""
        self.notice.setText(words)
        if not words:
            self.notice.hide()
            return
        text = self.notice.fontMetrics().horizontalAdvance(words) + round(32 * self.scale)
        width = min(text, self.width() - 32)
        self.notice.resize(width, self.notice.heightForWidth(width))
        foot = self.scrubber.y() - self.notice.height() - 12
        self.notice.move(max(8, (self.width() - self.notice.width()) // 2), foot)
        self.notice.raise_()
        self.notice.show()
        if lasting:
            self._notice_timer.stop()
        else:
            self._notice_timer.start(1000 * seconds)

    def say_with_view(self, words: str) -> None:
        """Show a sentence as soon as the next view is there; what is said while a model opens would replace it."""
        self._with_view = words

    def _enable(self) -> None:
        c = self.controller
        tokenizer = c.model.tokenizer if c.model is not None else None
        met = {
            "always": True,
            "model": c.model is not None,
            "scene": c.scene is not None,
            "undo": c.history.can_undo,
            "redo": c.history.can_redo,
            "room": c.has_room,
            "running": c.running or c.products.lane.busy,
            "path": bool(c.path),
            "loading": c.is_loading,
            "space": tokenizer is not None and tokenizer.has_space,
            "first": tokenizer is not None and bool(tokenizer.first),
        }
        for command in COMMANDS:
            self.actions_[command.id].setEnabled(met[command.needs])
        self.undo.setEnabled(met["undo"])
        self.redo.setEnabled(met["redo"])
        self.export.setEnabled(met["scene"])
        self.probabilities.show_running(has_room=met["room"], running=c.running)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._fit()
        if self.notice.isVisible():
            self.say(self.notice.text(), lasting=not self._notice_timer.isActive())

    # What widgets ask for

    def _choose_token(self, token: int) -> None:
        self.controller.set(replace(self.controller.state, token=token, key=None))

    def _choose_position(self, position: int) -> None:
        scene = self.controller.scene
        last = scene is not None and position == len(scene.trace) - 1
        self.controller.set(
            replace(self.controller.state, position=None if last else position, token=position, key=None)
        )

    def _picked(self, what: str, value: Any) -> None:
        c = self.controller
        if what == "token":
            self._choose_token(int(value))
        elif what == "head":
            c.set(replace(c.state, head=int(value)))
        elif what == "key":
            key = int(value)
            c.set(replace(c.state, key=None if c.state.key == key else key))
        elif what == "stage" and c.model is not None:
            c.go_to(find_step(f"blocks.{c.state.layer}.attn.{value}", c.model.config))
        elif what == "append":
            c.append(int(value))
        elif what == "command":
            self.do(str(value))

    def _pin(self, token: int) -> None:
        pinned = self.controller.state.pinned
        changed = tuple(t for t in pinned if t != token) if token in pinned else (*pinned, token)
        self.controller.set(replace(self.controller.state, pinned=changed))

    def _explain(self, **tokens: int) -> None:
        """Show why a token is as likely as it is (`target`), or why not another one (`against`)."""
        c = self.controller
        c.set(replace(at_workspace(c.state, "why"), **tokens))  # type: ignore[arg-type] # names are State's

    def _choose_why(self, name: str) -> None:
        """Ask which token is explained, or which one it is measured against."""
        scene = self.controller.scene
        if scene is None:
            return
        dialog = TokenChooser(scene, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.chosen.connect(lambda token: self._explain(**{name: int(token)}))
        dialog.finished.connect(lambda _: self._show_scene(self.controller.scene))
        dialog.open()

    def _change_sampling(self, name: str, value: object) -> None:
        try:
            self.controller.set(self.controller.state.with_sampling(**{name: value}), ("sampling", name))
        except LogitscopeError as reason:
            self.say(str(reason))

    def _new_seed(self) -> None:
        seed = (self.controller.state.sampling.seed + 1) % (MAX_SEED + 1)
        self.controller.set(replace(self.controller.state.with_sampling(seed=seed), draws=0))

    def _go_to_tensor(self, name: str) -> None:
        c = self.controller
        if c.model is None:
            return
        if name in c.model.checkpoint.weights:
            self.inspection.open_weight(name)
        else:
            c.go_to(find_step(name, c.model.config))

    def _go_to_index(self, index: int) -> None:
        if 0 <= index < len(self.controller.steps):
            self.controller.go_to(self.controller.steps[index])

    def open_example(self, example: Example) -> None:
        """Type an example's prompt, go where it is to be looked at, and say what is to be seen."""
        wanted = open_in(example, self.controller.state)
        folder = bundled_models().get(example.model)
        if folder is not None and wanted.model != str(folder):
            self.controller.open_model(folder, replace(wanted, model=str(folder)))
        else:
            self.controller.set(wanted)

    # Commands

    def do(self, name: str) -> None:
        """Run the command with this id, if it is enabled."""
        if not self.actions_[name].isEnabled():
            self._enable()
            self.scrubber.set_playing(self.scrubber.playing)  # a button that was pressed in vain comes up again
            return
        c = self.controller
        change = _CHANGES.get(name)
        if change is not None:
            c.set(change(c.state))
            return
        self._handlers[name]()

    def _make_handlers(self) -> dict[str, Callable[[], object]]:
        """What the commands do that are more than a change of the state."""
        c = self.controller
        return {
            "undo": c.undo,
            "redo": c.redo,
            "next": lambda: c.go_by(1),
            "previous": lambda: c.go_by(-1),
            "next_block": lambda: c.go_block(1),
            "previous_block": lambda: c.go_block(-1),
            "next_head": lambda: c.go_head(1),
            "previous_head": lambda: c.go_head(-1),
            "first": lambda: self._go_to_index(0),
            "last": lambda: self._go_to_index(len(c.steps) - 1),
            "back": lambda: c.go_back(-1),
            "forward": lambda: c.go_back(1),
            "play": self._play,
            "draw": lambda: c.set(replace(c.state, draws=c.state.draws + 1), ("draw",)),
            "append": c.append_drawn,
            "run": lambda: c.run_on(self.probabilities.count.value()),
            "stop": self._stop,
            "theme": self._switch_theme,
            "larger": lambda: self._type_size(1),
            "smaller": lambda: self._type_size(-1),
            "normal": lambda: self._type_size(0),
            "lecture": lambda: self.lecture.set_on(not self.lecture.on),
            "spotlight": self._toggle_spotlight,
            "focus_panel": self._focus_panel,
            "projector": self._switch_projector,
            "limit": self.view_bar.limit.setFocus,
            **{part.command: partial(self._toggle_part, part.command) for part in PARTS},
            "prepend": lambda: c.set(replace(unplaced(c.state), start=not self._is_on(begins))),
            "space": lambda: c.set(replace(unplaced(c.state), space=not self._is_on(spaced))),
            "focus_prompt": self.prompt.setFocus,
            "find_token": self.probabilities.open_search,
            "export": lambda: self.files.ask_export(self._theme_name()),
            "deck": lambda: self.files.ask_deck(self._theme_name()),
            "copy": lambda: self.files.copy_figure(self._theme_name()),
            "open_session": self.files.ask_session,
            "save_session": self.files.ask_save_session,
            "open_models": self.library.show,
            "open_model": self.library.ask_folder,
            "stop_loading": c.cancel_loading,
            "why_look": self._why_look,
            "close_inspector": lambda: c.open_path(()),
            "check_all": self.inspection.check_all,
            "open_weight": self._choose_weight,
            "why_target": lambda: self._choose_why("target"),
            "why_against": lambda: self._choose_why("against"),
            "open_census": self.inspection.open_census,
            "copy_numpy": self.inspection.copy_numpy,
            **{name: partial(self._set_pace, name) for name in self.actions_ if name.startswith(PACE)},
            "palette": self._palette,
            "help": self._help,
            "copy_diagnostics": self._copy_diagnostics,
            "about": self._about,
            "quit": self.close,
        }

    def _is_on(self, switch: Callable[[State, Tokenizer], bool]) -> bool:
        """Whether a switch of how the text begins is on: by a person, or by the tokenizer's files."""
        model = self.controller.model
        return model is not None and switch(self.controller.state, model.tokenizer)

    def _show_limit(self) -> None:
        field = self._limit_field
        limit = None if field is None else getattr(self.controller.state.view, field)
        self.view_bar.show_limit(limit, there=field is not None)

    def _set_limit(self, typed: str) -> None:
        """Fix the limit of the colours of this view and of all that go by the same."""
        try:
            limit = read_limit(typed)
        except LogitscopeError as reason:
            self.say(str(reason))
            self._show_limit()
            return
        if self._limit_field is not None:
            self.controller.set(with_option(self.controller.state, self._limit_field, limit))
            self._show_limit()

    def _play(self) -> None:
        c, on = self.controller, not self.scrubber.playing
        if on and c.walk_step is c.steps[-1]:
            self._go_to_index(0)
        self.scrubber.set_playing(on)

    def _stop(self) -> None:
        self.scrubber.set_playing(False)
        self.controller.stop()
        self.controller.products.stop()
        if self.controller.scene is not None:
            self._show_scene(self.controller.scene)

    def _switch_theme(self) -> None:
        self._choose_theme("light" if self._theme_name() == "dark" else "dark")

    def _switch_projector(self) -> None:
        self._choose_theme("light" if self._theme_name() == "projector" else "projector")

    def _choose_theme(self, name: str) -> None:
        self.settings = replace(self.settings, theme=name)
        self._remember()
        self._set_theme(name)

    def _type_size(self, by: int) -> None:
        at = TYPE_SIZES.index(self.settings.type_size)
        at = TYPE_SIZES.index(1.0) if by == 0 else min(max(at + by, 0), len(TYPE_SIZES) - 1)
        self.settings = replace(self.settings, type_size=TYPE_SIZES[at])
        self._remember()
        self._set_theme(self._theme_name())

    def _why_look(self) -> None:
        """Open the score of the attention cell that is pointed at or opened; else that of what is shown."""
        cell = self.inspection.cell
        if self.controller.model is not None:
            self.controller.set(look.at_cell(self.controller.model.config, self.controller.state, cell))

    def _choose_weight(self) -> None:
        model = self.controller.model
        if model is None:
            return
        rows = ((name, name, True) for name in weight_names(model.config))
        dialog = Chooser("Weights", "Find a weight, as in blocks.2.attn.W_Q", rows, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.chosen.connect(self.inspection.open_weight)
        dialog.open()

    def _palette(self) -> None:
        dialog = CommandPalette(self.actions_, self, self._places(), self._tokens_spelled)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.chosen.connect(self.do)
        dialog.open()

    def _copy_diagnostics(self) -> None:
        QGuiApplication.clipboard().setText(diagnostics(self.settings, self.controller.model))
        self.say("Copied: versions, settings and the log. Neither your text nor a token is in it.")

    def _places(self) -> list[tuple[str, Callable[[], object]]]:
        """Steps, heads, tensors and examples, each with what goes there."""
        c = self.controller
        found: list[tuple[str, Callable[[], object]]] = []
        if c.model is not None:
            for step in c.steps:
                where = f"Block {step.layer} · " if step.layer is not None else ""
                found.append((f"{where}{step.text.name}    {step.key}", partial(c.go_to, step)))
            for layer in range(c.model.config.n_layer):
                step = find_step(f"blocks.{layer}.attn.pattern", c.model.config)
                for head in range(c.model.config.n_head):
                    found.append((f"Block {layer}, head {head}", partial(self._go_to_head, step, head)))
            names = weight_names(c.model.config)
            found += [(f"Weight {name}", partial(self.inspection.open_weight, name)) for name in names]
        found += [(f"Example: {example.title}", partial(self.open_example, example)) for example in examples()]
        return found

    def _go_to_head(self, step: Step, head: int) -> None:
        self.controller.set(replace(self.controller.state, head=head))
        self.controller.go_to(step)

    def _tokens_spelled(self, text: str) -> list[tuple[str, Callable[[], object]]]:
        """Tokens of the vocabulary that are spelled so; one that is chosen is pinned among the bars."""
        scene = self.controller.scene
        if scene is None:
            return []
        # What is no token as a whole is left to the other rows, unlike in Find, which takes its first token.
        ids = [i for i in scene.tokenizer.find(text) if i < len(scene.ranked)]
        if not text.startswith(("#", "'")):
            ids = [i for i in ids if scene.tokenizer.decode((i,)).strip() == text.strip()]
        return [(f"Token {found_words(scene, i)}", partial(self._pin, i)) for i in ids]

    def _set_pace(self, command: str) -> None:
        self.controller.pace = int(command.removeprefix(PACE))
        self._show_state(self.controller.state)

    def _help(self) -> None:
        page = HelpPage(self)
        page.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        page.show()

    def _about(self) -> None:
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("About Logitscope")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(
            f"Logitscope {__version__}\n\nA desktop microscope for GPT-2. Every number and colour on the screen was "
            "computed by the loaded model on the typed prompt.\n\nMIT licence. Uses Qt for Python under the LGPL, "
            "and the fonts Inter and JetBrains Mono under the Open Font License."
        )
        box.open()

    # Dropping

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        for url in event.mimeData().urls():
            path = Path(url.toLocalFile())
            if path.is_dir():
                self.library.open_folder(path)
            elif path.suffix == ".logitscope":
                self.files.open_session(path)
            else:
                self.say(f"{path.name} is neither a model's folder nor a session.")
            return

    # Beginning and end

    def _restore(self) -> None:
        self.canvas.setFocus()
        self.scrubber.set_speed(self.settings.speed)
        # A damaged memory, of whatever characters, restores nothing.
        geometry, splitter = (
            QByteArray.fromHex(kept.encode("ascii", "replace"))
            for kept in (self.settings.geometry, self.settings.splitter)
        )
        if not self.restoreGeometry(geometry):
            room = self.screen().availableSize()
            self.resize(min(1440, room.width()), min(900, room.height() - 40))  # less the title bar
        if self.splitter.restoreState(splitter):
            self.splitter.keep()

    def _remember(self) -> None:
        changed = replace(
            self.settings,
            geometry=bytes(self.saveGeometry().toHex().data()).decode(),
            splitter=bytes(self.splitter.saveState().toHex().data()).decode(),
            speed=self.scrubber.steps_a_second,
            export_folder=self.files.folder,
        )
        try:
            save_settings(changed, self._settings_before)
        except LogitscopeError as reason:
            # A theme is not worth a sentence in the window, which may be closing.
            log.warning("%s", reason)

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._closing:
            self._closing = True
            self.scrubber.set_playing(False)
            self._notice_timer.stop()
            self._slow_timer.stop()
            self._remember()
            self.lecture.set_on(False)
            self.autosave.close()
            self.files.close()
            self.library.close()
            self._patience.stop()
            self.exactness.close()
            self.controller.close()
        super().closeEvent(event)
