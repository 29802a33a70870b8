"""The text of *Help > Copy diagnostics*: what the program reports about itself, and Qt about the screens."""

from PySide6.QtCore import qVersion
from PySide6.QtGui import QGuiApplication

from desktop_app.core.model import Model
from desktop_app.core.program.diagnostics import as_text, collect
from desktop_app.core.program.logs import recent
from desktop_app.core.program.settings import Settings


def diagnostics(settings: Settings, model: Model | None) -> str:
    """Versions, machine, screens, settings, the open model and the last lines of the log."""
    screens = [
        f"{screen.size().width()}x{screen.size().height()} at {screen.devicePixelRatio():g}"
        for screen in QGuiApplication.screens()
    ]
    qt = {"version": qVersion(), "platform": QGuiApplication.platformName(), "screens": ", ".join(screens)}
    opened = {} if model is None else {"name": model.name, "folder": str(model.folder), "config": repr(model.config)}
    return as_text(collect(settings, recent(), qt=qt, model=opened))
