"""Opens the window and runs the event loop until it closes."""

import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QSocketNotifier, QTimer
from PySide6.QtWidgets import QApplication

from desktop_app.core.program.crashes import take_crashes, watched
from desktop_app.core.program.settings import load_settings
from desktop_app.core.program.starts import begun, set_aside
from desktop_app.core.session.last_session import beginning
from desktop_app.gpt2.errors import fault_words
from desktop_app.gpt2.system import closing_signals, share_one_heap
from desktop_app.ui import fonts
from desktop_app.ui.desks.collector import GarbageCollector
from desktop_app.ui.first_view import FirstView, offer_session
from desktop_app.ui.icon import window_icon
from desktop_app.ui.qt_log import qt_logged
from desktop_app.ui.smoke import Smoke
from desktop_app.ui.window import Window

log = logging.getLogger(__name__)


def make_application(argv: list[str] | None = None) -> QApplication:
    """The one QApplication, with the program's name, fonts and style; from then on its thread collects the garbage."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    share_one_heap()
    app = QApplication(argv if argv is not None else sys.argv[:1])
    app.setApplicationName("Logitscope")
    app.setDesktopFileName("logitscope")
    app.setWindowIcon(window_icon())
    app.setStyle("Fusion")
    fonts.register()
    GarbageCollector(app)
    return app


def open_window(
    model: Path | None = None,
    text: str | None = None,
    session: Path | None = None,
    *,
    int8: bool = False,
    restored: bool = True,
) -> Window:
    """Show the window (if `restored`, with the last session) and return it while its model and session are opening."""
    begin = beginning(model, text, int8=int8, restored=restored)
    window = Window(begin.state, load_settings())
    window.show()
    window.controller.instead = list(begin.instead)
    window.controller.open_model(Path(begin.state.model))
    if session is not None:
        window.files.open_session(session, model)
    return window


def run_window(
    model: Path | None, text: str | None, session: Path | None, *, int8: bool = False, smoke: Path | None = None
) -> int:
    """Open the window and run it; return the exit code. Model, prompt text and session file may be None.

    `smoke` is the path of an SVG file. If it is given, a script operates the window instead of a user, writes that file
    and quits.
    """
    with qt_logged(), watched(), begun() as start:
        kept = set_aside() if start.failed_before else None
        crashed = _crashed_before()
        app = make_application()
        window = open_window(model, text, session, int8=int8, restored=kept is None)
        FirstView(window, start)
        if kept is not None and smoke is None:
            offer_session(window, kept)
        if crashed:
            window.say_with_view(crashed)
        worked = Smoke(window, smoke) if smoke is not None else None
        with _closed_by_signals(window), _faults_shown(window):
            status = app.exec()
    return status or (worked.status if worked is not None else 0)


def _crashed_before() -> str:
    """Log where earlier runs crashed; return a sentence about it, or "" if none did."""
    crashes = take_crashes()
    for crash in crashes:
        log.error("Logitscope has crashed before:\n%s", crash)
    return "Logitscope crashed last time; Help > Copy diagnostics includes where." if crashes else ""


@contextmanager
def _faults_shown(window: Window) -> Iterator[None]:
    """In this context, an error in an event handler is logged and reported in the window, which goes on."""

    def show(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
        before(kind, fault, trace)
        window.controller.trouble.emit(fault_words(fault))

    before, sys.excepthook = sys.excepthook, show
    try:
        yield
    finally:
        sys.excepthook = before


@contextmanager
def _closed_by_signals(window: Window) -> Iterator[None]:
    """In this context, Ctrl+C in the terminal, the closing of the terminal and SIGTERM close the window.

    Python runs a signal handler only between two Python instructions, and an idle event loop executes none. Therefore
    each signal is also written to a socket, which wakes the loop.
    """
    numbers = closing_signals()
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    notifier = QSocketNotifier(reader.fileno(), QSocketNotifier.Type.Read)
    notifier.activated.connect(lambda: reader.recv(64))

    def close(*_: object) -> None:
        QTimer.singleShot(0, window.close)  # executed by the event loop, which may not have started yet

    handlers = [signal.signal(number, close) for number in numbers]
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
        notifier.setEnabled(False)
        reader.close()
        writer.close()
