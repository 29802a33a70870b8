"""Saves the session in the background: at most a second after a change, atomically, in a separate thread."""

import logging
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal

from desktop_app.core.last_session import aside_file, keep
from desktop_app.core.state import State
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.session import Stop
from desktop_app.ui.controller import Controller
from desktop_app.ui.lanes import Lane

log = logging.getLogger(__name__)
_AFTER_MS = 500
"""Milliseconds from the first unsaved change to saving. Counted from the last change, steady typing would delay it."""


class KeepLane(Lane):
    """Writes the session in the background while the user goes on."""

    def request(self, state: State) -> None:
        """Write `state` after those requested earlier."""
        self.submit(partial(_keep, state), in_turn=True)


class Autosave(QObject):
    """Listens to the controller; `said` reports once why a session cannot be saved."""

    said = Signal(str)

    def __init__(self, controller: Controller, parent: QObject) -> None:
        super().__init__(parent)
        self._controller = controller
        self._kept: State | None = None
        self._told = ""
        self._lane = KeepLane("keep", self)
        self._lane.failed.connect(self._tell)
        self._timer = QTimer(self, interval=_AFTER_MS, singleShot=True)
        self._timer.timeout.connect(self._save)
        controller.state_changed.connect(self._changed)
        controller.given_up.connect(self._set_aside)

    def _changed(self, _state: State) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _save(self) -> None:
        state = self._controller.state
        if state != self._kept:
            self._kept = state
            self._lane.request(state)

    def _set_aside(self, state: State) -> None:
        """Save the state that could not be opened at the start to a file that nothing overwrites, and say so."""
        try:
            keep(state, aside_file())
        except LogitscopeError as reason:
            self._tell(str(reason))
        else:
            where = f"What was open is kept in {aside_file()}; Undo brings its text to this model."
            self._controller.complain(" ".join(filter(None, (self._controller.complaint, where))))

    def _tell(self, words: str) -> None:
        if words != self._told:
            self._told = words
            self.said.emit(words)

    def close(self) -> None:
        """Save the last change; nothing is written afterwards."""
        self._timer.stop()
        self._lane.close()
        try:
            keep(self._controller.state)
        except LogitscopeError as reason:
            # The window is closing, so this can be shown only in the terminal it was started from.
            log.warning("%s", reason)


def _keep(state: State, _stop: Stop) -> None:
    keep(state)
