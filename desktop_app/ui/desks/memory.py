"""What the window remembers between runs: its place on the screen and the settings chosen for it."""

import logging
from dataclasses import replace

from PySide6.QtCore import QByteArray, QObject

from desktop_app.core.program.settings import Settings, save_settings
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.ui.file_actions import FileActions
from desktop_app.ui.parts.frame import Frame

log = logging.getLogger(__name__)


class Memory(QObject):
    """Holds the settings and saves them to their file."""

    def __init__(self, frame: Frame, files: FileActions, settings: Settings) -> None:
        super().__init__(frame)
        self._frame, self._files = frame, files
        self.settings = self._before = settings

    def restore(self) -> None:
        """Restore the window's place and state."""
        frame = self._frame
        frame.scrubber.set_speed(self.settings.speed)
        # Damaged values, of any characters, restore nothing.
        geometry, splitter = (
            QByteArray.fromHex(kept.encode("ascii", "replace"))
            for kept in (self.settings.geometry, self.settings.splitter)
        )
        if not frame.restoreGeometry(geometry):
            room = frame.screen().availableSize()
            frame.resize(min(1440, room.width()), min(900, room.height() - 40))  # minus the title bar
        if frame.splitter.restoreState(splitter):
            frame.splitter.store_widths()

    def choose(
        self, *, theme: str | None = None, type_size: float | None = None, every_number: bool | None = None
    ) -> None:
        """Apply new settings and save them."""
        chosen = self.settings
        self.settings = replace(
            chosen,
            theme=chosen.theme if theme is None else theme,
            type_size=chosen.type_size if type_size is None else type_size,
            every_number=chosen.every_number if every_number is None else every_number,
        )
        self.keep()

    def keep(self) -> None:
        """Write the settings and the window's current geometry; a file that cannot be written is logged."""
        frame = self._frame
        changed = replace(
            self.settings,
            geometry=bytes(frame.saveGeometry().toHex().data()).decode(),
            splitter=bytes(frame.splitter.saveState().toHex().data()).decode(),
            speed=frame.scrubber.steps_a_second,
            export_folder=self._files.folder,
        )
        try:
            save_settings(changed, self._before)
        except LogitscopeError as reason:
            # A lost theme is not worth a message in the window, which may be closing.
            log.warning("%s", reason)
