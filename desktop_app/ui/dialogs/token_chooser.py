"""A dialog that finds a token of the vocabulary by its text."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QListWidgetItem, QWidget

from desktop_app.core.probabilities import found_words
from desktop_app.core.scene import Scene
from desktop_app.ui.dialogs.command_palette import Chooser

_SHOWN = 60


class TokenChooser(Chooser):
    """Lists the likeliest tokens, or those that match the typed text; emits the id of the chosen token."""

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        self._scene = scene
        super().__init__("Find a token", "Find a token, as in Paris", (), parent)

    def _narrow(self, text: str) -> None:
        scene, count = self._scene, len(self._scene.ranked)
        likeliest = (int(token) for token in scene.ranked.order[:_SHOWN])
        ids = [i for i in scene.tokenizer.find(text) if i < count][:_SHOWN] if text else list(likeliest)
        self.list.clear()
        for token in ids:
            item = QListWidgetItem(found_words(scene, token))
            item.setData(Qt.ItemDataRole.UserRole, str(token))
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self._show_none()
