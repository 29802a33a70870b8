"""A scripted user, for `logitscope --smoke FILE.svg`: waits for a pass, types, steps, exports a figure, quits.

It tests an installed program on the machine and screen where it will run. It prints "ready" when the first pass has
been drawn, and then one line for each action.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from desktop_app.core.asking.navigation import at_workspace
from desktop_app.core.session.state import WALK
from desktop_app.core.steps import find_step
from desktop_app.figures.export import Options
from desktop_app.ui.window import Window

log = logging.getLogger(__name__)
_PROMPT = "The smoke test types this"
_STEP = "blocks.0.attn.pattern"
_LOOK_MS = 5
_PATIENCE_MS = 120_000


class Smoke(QObject):
    """Performs a list of actions on the window, each as soon as what it waits for is ready."""

    def __init__(self, window: Window, out: Path) -> None:
        super().__init__(window)
        self._window, self._out = window, out
        self.status = 0
        """The exit code: 1 if anything went wrong."""
        self._written = False
        self._deeds: list[tuple[Callable[[], bool], Callable[[], None]]] = [
            (self._drawn, lambda: self._say("ready")),
            (lambda: True, lambda: window.controller.edit_text(_PROMPT)),
            (self._typed, lambda: self._say(f"typed {_PROMPT!r}")),
            (lambda: True, self._walk),
            (self._drawn, self._export),
            (lambda: self._written, lambda: self._say(f"wrote {out}")),
            (lambda: True, self._quit),
        ]
        window.controller.trouble.connect(self._fail)
        window.files.said.connect(self._hear)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(_LOOK_MS)
        self._end = QTimer(self)
        self._end.setSingleShot(True)
        self._end.timeout.connect(lambda: self._fail(f"it did not finish within {_PATIENCE_MS // 1000} seconds"))
        self._end.start(_PATIENCE_MS)

    def _look(self) -> None:
        while self._deeds and self._deeds[0][0]():
            self._deeds.pop(0)[1]()

    def _drawn(self) -> bool:
        """Whether the pass over the prompt is done; if so, it is drawn at once, so that it is on the screen, too."""
        controller = self._window.controller
        if controller.scene is None or controller.pending or controller.loads.busy:
            return False
        self._window.repaint()
        self._window.canvas.viewport().repaint()
        return True

    def _typed(self) -> bool:
        scene = self._window.controller.scene
        return self._drawn() and scene is not None and scene.state.text == _PROMPT

    def _walk(self) -> None:
        """Leave the sheet, step through the whole pass, and stop at an attention grid."""
        controller = self._window.controller
        controller.set(at_workspace(controller.state, WALK))
        self._window.do("first")
        for _ in controller.steps:
            self._window.do("next")
        if controller.step is not controller.steps[-1]:
            self._fail(f"stepping ended at {controller.step and controller.step.key}")
        self._say(f"stepped through {len(controller.steps)} steps")
        if controller.model is not None:
            controller.go_to(find_step(_STEP, controller.model.config))

    def _export(self) -> None:
        self._window.files.export_figure(Options("svg"), self._out)

    def _hear(self, words: str, _lasting: bool) -> None:
        self._written = self._written or words == f"Wrote {self._out.name}."

    def _quit(self) -> None:
        self._timer.stop()
        self._end.stop()
        self._window.close()

    def _say(self, words: str) -> None:
        try:
            print(words, flush=True)
        except OSError as reason:  # a full disk or a closed pipe: nothing can be reported
            log.warning("The result cannot be printed: %s", reason.strerror)
            self._end_with_fault()

    def _fail(self, words: str) -> None:
        if words and not self.status:
            self._say(f"error: {words}")
            self._end_with_fault()

    def _end_with_fault(self) -> None:
        self.status = 1
        self._deeds.clear()
        self._quit()
