"""The start of a window: detects when its first view is shown, and offers the session of a start that failed."""

from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QMessageBox

from desktop_app.core.program.starts import Start
from desktop_app.ui.window import Window

_PAINTED_MS = 200


class FirstView(QObject):
    """Marks the start as successful when the first view is fully painted, or the reason why there is none is shown."""

    def __init__(self, window: Window, start: Start) -> None:
        super().__init__(window)
        self._controller, self._start = window.controller, start
        self._timer = QTimer(self, interval=_PAINTED_MS, singleShot=True)
        self._timer.timeout.connect(self._done)
        self._controller.scene_changed.connect(self._seen)
        self._controller.trouble.connect(self._seen)

    def _seen(self, shown: object) -> None:
        # Later views do not restart the timer, because the user may go on typing while the first view is painted.
        if shown and not self._controller.waiting_for and not self._timer.isActive():
            self._timer.start()

    def _done(self) -> None:
        self._controller.scene_changed.disconnect(self._seen)
        self._controller.trouble.disconnect(self._seen)
        self._start.done()


def offer_session(window: Window, kept: Path) -> None:
    """Ask whether to open the session in `kept`, although the program ended while opening it last time."""
    box = QMessageBox(window)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setWindowTitle("The last start failed")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText("Logitscope ended while it was opening your last session, so that was not reopened automatically.")
    box.setInformativeText(f"Nothing is lost: it is kept in {kept}.")
    again = box.addButton("Open it", QMessageBox.ButtonRole.AcceptRole)
    leave = box.addButton("Leave it there", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(leave)
    box.setEscapeButton(leave)
    box.buttonClicked.connect(lambda pressed: window.files.open_session(kept) if pressed is again else None)
    box.open()
