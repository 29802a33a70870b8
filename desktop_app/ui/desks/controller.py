"""The window's controller: typing, appending tokens and moving through the pass, as changes of the state."""

from dataclasses import replace

from PySide6.QtCore import QObject

from desktop_app.core.lessons.examples import own_text
from desktop_app.core.runs import too_long
from desktop_app.core.session import state as states
from desktop_app.core.session.history import typing_key
from desktop_app.core.session.state import State
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.ui.desks.model_keeper import ModelKeeper
from desktop_app.ui.desks.run_on import RunOn


class Controller(ModelKeeper):
    """Widgets call its methods and connect to its signals; they do not hold state."""

    def __init__(self, state: State, parent: QObject | None = None) -> None:
        super().__init__(state, parent)
        self.runner = RunOn(self)
        self.runner.due.connect(self._run_next)
        self.scenes.answered.connect(self.runner.go_on)
        self.scenes.given_up.connect(self.runner.stop)
        self.model_changed.connect(self.runner.stop)
        scenes = self.scenes
        self.passes, self.products, self.packing, self.freeing = (
            scenes.passes,
            scenes.products,
            scenes.packing,
            scenes.freeing,
        )

    def undo(self) -> None:
        """Undo the last change."""
        self.runner.stop()
        super().undo()

    def edit_text(self, text: str) -> None:
        """Apply `text`, the editor's new contents, to the state."""
        if self.model is None:
            self.set(replace(self.state, text=text), "typing")
            return
        self.runner.stop()
        old = states.full_text(self.state, self.model.tokenizer)
        try:
            changed, note = states.edit(self.state, text, self.model.tokenizer)
        except LogitscopeError:
            # A text that cannot be tokenized stays as typed; the next pass reports what is wrong with it.
            changed, note = replace(states.unplaced(self.state), text=text, appended=()), ""
        self.set(changed, typing_key(old, text))
        if note:
            self.notice.emit(note)

    def append(self, token: int, *, drawn: bool = False) -> None:
        """Append a token after the position whose probabilities are shown."""
        if self.model is None or not self.is_current:
            return
        if not self.has_room:
            self.notice.emit(f"The context of {self.model.config.n_positions:,} tokens is full: nothing can follow.")
            return
        try:
            changed = states.append(self.state, token, self.model.tokenizer, drawn=drawn)
        except LogitscopeError as reason:
            self.complain(str(reason))
            return
        self.set(changed, ("run",) if self.running else None)

    def append_drawn(self) -> None:
        """Append the token that the current draw selects."""
        if self.scene is not None:
            self.append(int(self.scene.ranked.order[self.scene.landed]), drawn=True)

    def run_on(self, count: int) -> None:
        """Append `count` drawn tokens, with one pass each; stop at an end-of-text token or when the context is full."""
        self.runner.stop()
        self.history.close_entry()
        if self.is_current:
            self.runner.begin(count)
            self._run_next()

    def stop(self) -> None:
        """Stop appending tokens. A pass that is running still finishes."""
        self.runner.stop()
        self.working.emit(self.scenes.passes.busy)

    @property
    def running(self) -> bool:
        """Whether tokens are being appended one after the other."""
        return self.runner.left > 0

    def _run_next(self) -> None:
        scene, model = self.scene, self.model
        if not self.running or scene is None or model is None:
            self.runner.stop()
            return
        if not self.is_current:
            return  # a pass is running; its result continues the series
        last = self.state.appended[-1] if self.state.position is None and self.state.appended else None
        if last in model.ends:
            self._end_run(f"Stopped at {model.tokenizer.label(last)}.")
        elif len(scene.trace) >= model.config.n_positions:
            self._end_run(f"Stopped at the context's end, {model.config.n_positions:,} tokens.")
        else:
            self.runner.count()
            token = int(scene.ranked.order[scene.landed])
            self.set(states.append(self.state, token, model.tokenizer, drawn=True), ("run",))
            if not self.runner.left:
                self.history.close_entry()

    def _end_run(self, words: str) -> None:
        self.runner.stop()
        self.history.close_entry()
        self.notice.emit(words)
        self.working.emit(False)

    @property
    def has_room(self) -> bool:
        """Whether the context has room for one more token."""
        if self.scene is None or not self.is_current:
            return False
        return self.scene.position + 1 < self.scene.config.n_positions

    @property
    def offer(self) -> str:
        """A text that the open model can tokenize, if it cannot tokenize the typed one; otherwise ""."""
        if not self._prompt_trouble or self._complaint or self.model is None:
            return ""
        tokenizer = self.model.tokenizer
        try:
            if not too_long(self.state, tokenizer, self.model.config.n_positions):
                states.encode(self.state, tokenizer)
        except LogitscopeError:  # reported already: it is the reason for proposing another text
            return own_text(self.model)
        return ""

    def take_offer(self) -> None:
        """Replace the text that cannot be tokenized by the offered one."""
        if text := self.offer:
            self.set(replace(states.unplaced(self.state), text=text, appended=()))

    def close(self) -> None:
        """End the worker threads and release the model and its pass; nothing is emitted afterwards."""
        self.runner.close()
        self.loads.close()
        self.scenes.close()
