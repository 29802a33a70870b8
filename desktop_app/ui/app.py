"""Opens the window and runs the event loop until it closes."""

import signal
import sys
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from desktop_app.core.bundle import default_model
from desktop_app.core.settings import load_settings
from desktop_app.ui import fonts
from desktop_app.ui.window import Window, initial_state


def make_application(argv: list[str] | None = None) -> QApplication:
    """The one QApplication, with the program's name, fonts and style."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    app = QApplication(argv if argv is not None else sys.argv[:1])
    app.setApplicationName("Logitscope")
    app.setDesktopFileName("logitscope")
    app.setStyle("Fusion")
    fonts.register()
    return app


def run_window(model: Path | None, text: str | None, session: Path | None) -> int:
    """Open the window on a model, a prompt and a session file where given. Returns the exit code."""
    app = make_application()
    settings = load_settings()
    folder = model or default_model()
    window = Window(initial_state(settings, folder, text), settings)
    # Ctrl+C in the terminal closes the window as its own button does.
    signal.signal(signal.SIGINT, lambda *_: window.close())
    heartbeat = QTimer()
    heartbeat.timeout.connect(lambda: None)
    heartbeat.start(500)
    window.show()
    window.controller.open_model(folder)
    if session is not None:
        window.files.open_session(session)
    code = app.exec()
    heartbeat.stop()
    return code
