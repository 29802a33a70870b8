"""Shows next to the probabilities how int8 weights change them; shows nothing for float32 weights."""

from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QLabel

from desktop_app.core.comparing.exactness import Effect, effect_of_rounding, words_of
from desktop_app.core.scene import Scene
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.desks.lanes import Lane


class Exactness(QObject):
    """Runs the float32 model on the same prompt in the background, and shows the difference in a label."""

    def __init__(self, controller: Controller, label: QLabel) -> None:
        super().__init__(controller)
        self._controller, self._label = controller, label
        self._shown: object = None
        self.lane = Lane("exact", self)
        self.lane.answered.connect(self._on_effect)
        self.lane.failed.connect(label.setText)
        controller.scene_changed.connect(self._on_scene)

    def _on_scene(self, scene: Scene | None) -> None:
        rounded = scene is not None and scene.config.int8
        self._label.setVisible(rounded)
        if scene is None or not rounded:
            self._shown = None
            self.lane.cancel()
            return
        wanted = (scene.trace, scene.position)
        if wanted != self._shown:
            self._shown = wanted
            self._label.setText("int8 weights: computing with float32 weights …")
            self.lane.submit(self._work(scene))

    def _work(self, scene: Scene) -> Callable[[Stop], tuple[object, Effect] | None]:
        model, trace, position = self._controller.model, scene.trace, scene.position

        def work(stop: Stop) -> tuple[object, Effect] | None:
            if model is None:
                return None
            effect = effect_of_rounding(model, trace.ids, position, trace.logits(position), stop)
            return (trace, position), effect

        return work

    def _on_effect(self, answer: tuple[object, Effect]) -> None:
        of, effect = answer
        model = self._controller.model
        if of == self._shown and model is not None:
            self._label.setText(words_of(effect, model.tokenizer))

    def close(self) -> None:
        """End the worker thread."""
        self.lane.close()
        self._shown = None
