"""The main window: connects the widgets, and shows in them the state that the controller holds."""

from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QMenu

from desktop_app.core.asking.intents import Do, Evidence, Pin, Reseed, Sample, Select
from desktop_app.core.edits.cone import cone_of
from desktop_app.core.lessons.cover import covered
from desktop_app.core.lessons.examples import examples, sentence_at
from desktop_app.core.lessons.stops import Stop
from desktop_app.core.lessons.stories import can_be_told, shipped
from desktop_app.core.model import Model
from desktop_app.core.panels import View, folded, has_carpets
from desktop_app.core.program.settings import Settings
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State, with_option
from desktop_app.core.steps import text_of, view_key, wants_of
from desktop_app.core.views.limits import limit_field, read_limit
from desktop_app.figures.theme import Theme
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.phrase import first_sentence
from desktop_app.ui.acts import Acts
from desktop_app.ui.appearance import Appearance
from desktop_app.ui.desks.autosave import Autosave
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.desks.memory import Memory
from desktop_app.ui.desks.training_desk import TrainingDesk
from desktop_app.ui.dialogs.absent_model import AbsentModel
from desktop_app.ui.dialogs.model_library import ModelLibrary
from desktop_app.ui.file_actions import FileActions
from desktop_app.ui.lessons.telling import Telling
from desktop_app.ui.parts.buttons import keys_of
from desktop_app.ui.parts.exactness import Exactness
from desktop_app.ui.parts.frame import Frame
from desktop_app.ui.parts.inspection import Inspection
from desktop_app.ui.picture.player import Player

_SLOW_MS = 250
_PATIENCE_MS = 300
_OFFERED = 24  # how many letters of a proposed text are visible


class Window(Frame):
    """The main window."""

    def __init__(self, state: State, settings: Settings) -> None:
        super().__init__()
        self.controller = Controller(state, self)
        self.files = FileActions(self.controller, self, settings.export_folder)
        self.memory = Memory(self, self.files, settings)
        self.appearance = Appearance(self, self.memory)
        self.autosave = Autosave(self.controller, self)
        self.library = ModelLibrary(self.models, self.controller, self)
        self.absent = AbsentModel(self.controller, self.library, self)
        self.exactness = Exactness(self.controller, self.probabilities.exactness)
        self.inspection = Inspection(self.controller, self.canvas, self.inspector, self.tabs, self.centre)
        self.telling = Telling(self.controller, self.story_bar)
        self.player = Player(self.controller, self.motion_bar, self)
        self.training = TrainingDesk(self.controller, self)
        self.acts = Acts(
            self,
            self.controller,
            self.appearance,
            self.inspection,
            self.files,
            self.library,
            self.memory,
            self.telling,
            self.training,
            self.player,
        )
        self._closing = False
        self._with_view = ""
        self._shown: object = None
        self._folds = False  # whether some panels of the view can be hidden
        self._view: View | None = None
        self._limit_field: str | None = None
        self._waited = False
        self._product_since: float | None = None
        self._says_progress = False
        self._slow_timer = QTimer(self)
        self._slow_timer.setSingleShot(True)
        self._slow_timer.timeout.connect(self._show_count)
        # While a view's products are not ready, the previous view stays on the screen for a short time.
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self._show_again)
        self._make_examples()
        self._connect()
        self.appearance.apply()
        self.canvas.setFocus()
        self.memory.restore()

    def _make_examples(self) -> None:
        menu = QMenu(self)
        for story in (s for s in shipped().values() if can_be_told(s)):
            action = menu.addAction(f"{story.title}  ({len(story.stops)} stops)", lambda s=story: self.telling.begin(s))
            action.setToolTip(story.say)
        menu.addSeparator()
        for example in examples():
            action = menu.addAction(example.title, lambda e=example: self.acts.open_example(e))
            action.setToolTip(example.say)
        self.examples.setMenu(menu)

    def _connect(self) -> None:
        c, a = self.controller, self.acts
        c.state_changed.connect(self._show_state)
        c.scene_changed.connect(self._show_scene)
        c.model_changed.connect(self._show_model)
        c.trouble.connect(self._show_trouble)
        self.offer.clicked.connect(c.take_offer)
        c.notice.connect(self.say)
        c.loading.connect(self._show_loading)
        a.stale.connect(self._show_again)
        a.said.connect(self.say)
        self.appearance.changed.connect(self._show_all)
        self.lecture.leave = self._step_back
        self.lecture.command.connect(a.step)
        self.telling.said.connect(self.say)
        self.player.said.connect(self.say)
        self.player.shown.connect(self._show_moment)
        self.player.ended.connect(self._show_step_again)
        self.motion_bar.command.connect(a.do)
        self.telling.changed.connect(self._show_again)
        self.training.changed.connect(self._show_training)
        self.library.downloads.answered.connect(self.training.look_again)
        self.training.clip.said.connect(lambda words, stays: self.say(words, lasting=stays))
        self.training.clip.said.connect(lambda _words, _stays: a.enable())
        self.training.clip.lane.idle.connect(a.enable)
        self.training_bar.command.connect(a.do)
        self.training_bar.chosen.connect(self.training.go_to)
        c.working.connect(self._show_working)
        self.prompt.edited.connect(c.edit_text)
        self.chips.chosen.connect(lambda position: a.follow(Select(position)))
        self.chips.position_chosen.connect(a.predict)
        self.map.chosen.connect(c.go_to)
        self.map.command.connect(a.do)
        self.canvas.asked.connect(a.follow)
        # A view in the inspector may belong to another place than the current step. So of its intents, only commands
        # and links to evidence are executed.
        followed = Do | Evidence
        self.inspector.canvas.asked.connect(lambda intent: a.follow(intent) if isinstance(intent, followed) else None)
        self.files.pictures = lambda: self.canvas.titles
        self.inspector.export_asked.connect(lambda: self.files.ask_export(self.appearance.name, opened=True))
        c.products.progressed.connect(self._show_progress)
        self.inspection.said.connect(self.say)
        self.library.said.connect(self.say)
        p = self.probabilities
        p.bars.asked.connect(a.follow)
        p.bars.opened.connect(self.inspection.open_probability)
        p.pin_asked.connect(lambda token: a.follow(Pin(token)))
        p.command.connect(a.do)
        p.run_asked.connect(c.run_on)
        p.last_position_asked.connect(lambda: c.set(replace(c.state, position=None)))
        p.controls.changed.connect(lambda name, value: a.follow(Sample(name, value)))
        p.controls.released.connect(c.history.close_entry)
        p.controls.refused.connect(self.say)
        p.controls.reseed.clicked.connect(lambda: a.follow(Reseed()))
        self.tabs.tensor_asked.connect(a.go_to_tensor)
        self.view_bar.limit_typed.connect(self._set_limit)
        self.view_bar.refused.connect(self.say)
        self.view_bar.entered.connect(lambda option, value: c.set(with_option(c.state, option, value)))
        self.scrubber.chosen.connect(a.go_to_index)
        self.scrubber.command.connect(a.do)
        self.scrubber.played.connect(self.actions_["play"].setChecked)
        self.files.said.connect(lambda words, stays: self.say(words, lasting=stays))
        self.files.model_absent.connect(self.absent.ask)
        self.autosave.said.connect(self.say)

    def do(self, name: str) -> None:
        """Run the command with this id, if it is enabled."""
        self.acts.do(name)

    def open_example(self, example: Stop) -> None:
        """Enter an example's prompt, go to the place that it is about, and show a sentence on what to look for."""
        self.acts.open_example(example)

    def say(self, words: str, *, lasting: bool = False, seconds: int = 6) -> None:
        """Show a sentence at the bottom of the view for some seconds; an empty sentence removes it."""
        self.notice.say(words, lasting=lasting, seconds=seconds)

    # Display

    @property
    def theme(self) -> Theme:
        """The current theme."""
        return self.appearance.theme

    @property
    def scale(self) -> float:
        """The current type size."""
        return self.appearance.scale

    @property
    def settings(self) -> Settings:
        """The window's settings."""
        return self.memory.settings

    def _show_all(self) -> None:
        """Redraw everything, in the current theme and type size."""
        self.inspection.set_look(self.theme, self.scale)
        self._show_training()
        self._show_state(self.controller.state)
        self._show_again()

    def _show_again(self) -> None:
        self._show_scene(self.controller.scene)

    def _show_moment(self, view: View) -> None:
        """Show a moment of the animated operation in place of its step's view."""
        self.player.theme = self.appearance.name
        self.canvas.show_view(view, self.theme, self.scale)
        self.acts.enable()

    def _show_step_again(self) -> None:
        self._shown = None
        self._show_again()

    def _step_back(self) -> bool:
        """Do what Esc does in a lecture instead of ending it: leave the cell cursor or a panel, or close the inspector.

        Returns whether there was anything to leave or close.
        """
        if self.canvas.has_cursor:
            self.canvas.leave_cursor()
        elif self.canvas.focused is not None:
            self.canvas.focus_panel(None)
        elif self.controller.path:
            self.controller.open_path(())
        else:
            return False
        return True

    def _show_place_words(self, view: View | None) -> None:
        """Show what to look for here: an example's sentence or, in a lecture, the view's lead."""
        state, model = self.controller.state, self.controller.model
        words = self.telling.words() or (sentence_at(state, str(model.folder)) if model is not None else "")
        self.telling.show(in_lecture=self.lecture.on)
        self.place_words.show_words(words, here=not self.lecture.on and not state.story)
        if self.lecture.on:
            words = words or (first_sentence(view.lead) if view is not None else "")
            self.lecture.say(words, self.theme, *self._for_the_lecturer())

    def _for_the_lecturer(self) -> tuple[str, str]:
        """Notes for the lecturer on this place (the story's, or the step's explanation), and what comes next."""
        story, stop, c = self.telling.story, self.telling.stop, self.controller
        if story is not None and stop is not None:
            after = story.stops[self.telling.number + 1 :][:1]
            return stop.notes, after[0].title if after else ""
        place = c.walk_step
        after_it = c.steps[place.index + 1 :][:1] if place is not None else ()
        explained = "" if c.step is None or c.scene is None else text_of(c.scene, c.step).explain
        return explained, after_it[0].text.title if after_it else ""

    def _show_state(self, state: State) -> None:
        model = self.controller.model
        if model is not None:
            appended = model.tokenizer.decode(state.appended)
            self.prompt.show_text(state.text + appended, len(appended), self.theme.accent)
            self._show_map(self.controller.scene)
        else:
            self.prompt.show_text(state.text, 0, self.theme.accent)
            self.map.show_steps((), None, self.theme, self.scale, None)
        self.scrubber.show_steps(self.controller.steps, self.controller.walk_step, self.theme, self.scale)
        if not self.lecture.on:
            self.workspaces.show_workspace(state.workspace)
        self.acts.show_checks(state)
        self.acts.enable()

    def _show_map(self, scene: Scene | None) -> None:
        """Show the map of the open model, with marks where edits may have changed something."""
        c = self.controller
        if c.model is not None:
            cone = None if scene is None else cone_of(scene.trace, c.steps)
            self.map.show_steps(c.steps, c.walk_step, self.theme, self.scale, c.model.config, cone)

    def _show_scene(self, scene: Scene | None) -> None:
        step = self.controller.step
        if scene is None or step is None:
            self._show_nothing()
            return
        self._show_map(scene)
        self.chips.show_scene(scene, self.theme, self.scale)
        self.acts.what_if.show(self.controller.state, scene)
        self._show_count()
        if self._with_view:
            self.say(self._with_view, lasting=True)
            self._with_view = ""
        # Moving a slider must not redraw all heads of a block, so a view is rebuilt only if its inputs change.
        hidden, every_number = self.telling.covered, self.settings.every_number
        made_from = (view_key(scene, step), self.theme, self.scale, self.lecture.on, hidden, every_number)
        missing = not all(scene.has(want) for want in wants_of(scene, step))
        if missing and self._shown is not None and not self._waited:
            self._waited = True
            self._patience.start(_PATIENCE_MS)
        elif made_from != self._shown and not (missing and self._patience.isActive()):
            self._waited = missing
            self._patience.stop()
            self._shown = made_from
            self.player.leave()
            shown = self.controller.present_view(scene, step)
            self._folds = has_carpets(shown)
            shown = shown if every_number else folded(shown)
            self._limit_field = limit_field(shown)
            self._view = shown = covered(shown) if hidden else shown
            self.inspection.set_covered(hidden)
            self.canvas.walks = step.index >= 0 or step.spec.along
            self.canvas.show_view(replace(shown, lead="") if self.lecture.on else shown, self.theme, self.scale)
        on = self.acts.on(scene.state) | ({"every_number"} if every_number else set())
        self._show_limit()
        entry = step.spec.entry
        self.view_bar.show_entry(entry, entry and getattr(scene.state.view, entry.option))
        self.view_bar.show_options((*step.spec.options, *(("every_number",) if self._folds else ())), on)
        self.workspaces.show_workspace(scene.state.workspace)
        for bar in (self.view_bar, self.workspaces) if self.lecture.on else ():
            bar.hide()
        self.canvas.has_tabs = not self.lecture.on
        self._show_place_words(self._view)
        self.inspection.show()
        self.tabs.show_step(scene, step)
        self.probabilities.show_scene(
            scene,
            self.theme,
            self.scale,
            has_room=self.controller.has_room,
            running=self.controller.running,
            hidden=hidden,
        )
        self.acts.enable()

    def _show_count(self) -> None:
        scene = self.controller.scene
        words = "" if scene is None else f"{len(scene.trace):,} of {scene.config.n_positions:,} tokens"
        # A slow pass is announced; until it is done, the display belongs to the previous prompt.
        slow = self.controller.passes.busy and not self._slow_timer.isActive()
        self.count.setText("computing …" if slow else words)

    def _show_working(self, on: bool) -> None:
        if not on:
            self._slow_timer.stop()
            self._show_count()
        elif not self._slow_timer.isActive():
            self._slow_timer.start(_SLOW_MS)
        self.acts.enable()

    def _show_progress(self, words: str, part: float) -> None:
        """Show what the view is waiting for, once it has waited for a while."""
        if not words:
            self._product_since = None
            if self._says_progress:
                self._says_progress = False
                self.notice.hide()
        elif self._product_since is None:
            self._product_since = monotonic()
        elif 1000 * (monotonic() - self._product_since) > _PATIENCE_MS:
            self._says_progress = True
            self.say(f"{words} … {part:.0%}   ({keys_of('stop')} stops)", lasting=True)
        self.acts.enable()

    def _show_nothing(self) -> None:
        """Clear the display, because there is no pass to show."""
        self.player.leave()
        self._shown = self._view = None
        self._show_place_words(None)
        self.chips.show_scene(None, self.theme, self.scale)
        self._show_count()
        self.canvas.show_view(None, self.theme, self.scale)
        self.view_bar.show_limit(None, there=False)
        self.view_bar.show_entry(None, None)
        self.view_bar.show_options((), set())
        self.inspection.show()
        model = self.controller.model
        vocabulary = 0 if model is None else model.config.vocab_size
        self.probabilities.show_nothing(self.controller.state.sampling, vocabulary, self.theme, self.scale)
        self.acts.enable()

    def _show_model(self, model: Model) -> None:
        c = model.config
        self.models.setText(f"{model.name} · {c.n_layer} blocks × {c.n_head} heads ▾")
        self.models.setToolTip(str(model.folder))
        first = "".join(map(model.tokenizer.label, model.tokenizer.first)) or "<|endoftext|>"
        self.actions_["prepend"].setText(f"Begin with {first}".replace("&", "&&"))
        self._show_state(self.controller.state)

    def _show_training(self) -> None:
        desk = self.training
        desk.clip.theme = self.appearance.name
        self.training_bar.show_training(
            desk.training, desk.curves, desk.number, self.theme, self.scale, playing=desk.playing
        )
        self.acts.enable()

    def _show_trouble(self, words: str) -> None:
        self.trouble.setText(words)
        self.trouble.setVisible(bool(words))
        offered = self.controller.offer if words else ""
        shown = f"{offered[:_OFFERED]}…" if len(offered) > _OFFERED else offered
        self.offer.setText(f"Type “{shown}” instead")
        self.offer.setToolTip("a text that this model can tokenize")
        self.offer.setVisible(bool(offered))
        self.acts.enable()

    def _show_loading(self, stage: str) -> None:
        if stage and not self.training.moving:
            self.say(f"{stage[0].upper()}{stage[1:]} …", lasting=True)
        else:
            self.notice.hide()
        if self.controller.model is None:
            self.models.setText("Opening …" if stage else "No model ▾")
        self.acts.enable()

    def say_with_view(self, words: str) -> None:
        """Show a sentence together with the next view; messages about the opening of a model would replace it now."""
        self._with_view = words

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self.appearance.fit()
        self.notice.fit()

    def _show_limit(self) -> None:
        field = self._limit_field
        limit = None if field is None else getattr(self.controller.state.view, field)
        self.view_bar.show_limit(limit, there=field is not None)

    def _set_limit(self, typed: str) -> None:
        """Set the colour limit of this view, and of all views that share it, to a typed number."""
        try:
            limit = read_limit(typed)
        except LogitscopeError as reason:
            self.say(str(reason))
            self._show_limit()
            return
        if self._limit_field is not None:
            self.controller.set(with_option(self.controller.state, self._limit_field, limit))
            self._show_limit()

    # Drag and drop

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

    # Start and close

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._closing:
            self._closing = True
            self.scrubber.set_playing(False)
            self.notice.close_down()
            self._slow_timer.stop()
            self.memory.keep()
            self.lecture.set_on(False)
            self.autosave.close()
            self.files.close()
            self.library.close()
            self._patience.stop()
            self.exactness.close()
            self.training.close()
            self.player.close()
            for canvas in (self.canvas, self.inspector.canvas):
                canvas.close_down()
            self.controller.close()
            self._show_nothing()
        super().closeEvent(event)
