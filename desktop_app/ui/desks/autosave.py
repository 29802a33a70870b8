"""Saves the session soon after each change; a background thread writes the file."""

import logging
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal

from desktop_app.core.session.last_session import aside_file, keep
from desktop_app.core.session.state import State
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.desks.lanes import Lane

log = logging.getLogger(__name__)
_DELAY_MS = 500
"""Milliseconds from the first unsaved change to saving. Later changes do not restart this delay: otherwise nothing
would be saved while the user types without a pause."""


class SaveLane(Lane):
    """Writes the last session's file in a background thread."""

    def request(self, state: State) -> None:
        """Write `state` once all states requested before it have been written."""
        self.submit(partial(_write, state), in_turn=True)


class Autosave(QObject):
    """Saves the controller's state after each change; `said` is emitted with the reason if that fails.

    The same reason is not emitted twice in a row, since saving is tried again after every change.
    """

    said = Signal(str)

    def __init__(self, controller: Controller, parent: QObject) -> None:
        super().__init__(parent)
        self._controller = controller
        self._saved: State | None = None
        self._reported = ""
        self._lane = SaveLane("save", self)
        self._lane.failed.connect(self._report)
        self._timer = QTimer(self, interval=_DELAY_MS, singleShot=True)
        self._timer.timeout.connect(self._save)
        controller.state_changed.connect(self._changed)
        controller.given_up.connect(self._set_aside)

    def _changed(self, _state: State) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _save(self) -> None:
        state = self._controller.state
        if state != self._saved:
            self._saved = state
            self._lane.request(state)

    def _set_aside(self, state: State) -> None:
        """Save the last session, whose model was not opened at the start, as `aside_file()`, and report where it is.

        Autosave does not write to that file again, but a later start that sets a session aside replaces it.
        """
        try:
            keep(state, aside_file())
        except LogitscopeError as reason:
            self._report(str(reason))
        else:
            where = f"The last session is saved in {aside_file()}; Undo opens its text with this model."
            self._controller.complain(" ".join(filter(None, (self._controller.complaint, where))))

    def _report(self, reason: str) -> None:
        if reason != self._reported:
            self._reported = reason
            self.said.emit(reason)

    def close(self) -> None:
        """Save the current state; changes after this are not saved."""
        self._timer.stop()
        self._lane.close()
        try:
            keep(self._controller.state)
        except LogitscopeError as reason:
            # The window is closing and can no longer show the reason.
            log.warning("%s", reason)


def _write(state: State, _stop: Stop) -> None:
    keep(state)
