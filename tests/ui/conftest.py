"""Fixtures of the real window, offscreen, with a model so small that a pass takes a millisecond.

Every test here fails on a Qt warning, and on a timer or thread that outlives its window.
"""

import json
import multiprocessing
from pathlib import Path

import pytest

from tests.checkpoints import TINY, write_checkpoint

ALLOWED = (
    # The offscreen platform has no window manager and warns when a window asks to be raised.
    r"^This plugin does not support .*",
)
"""Qt messages that are not the program's fault, as regular expressions, each with its reason."""

BYTES = {**TINY, "vocab_size": 257, "n_positions": 48}
"""Tokens are the 256 bytes and <|endoftext|>: any text can be encoded, one token per byte."""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.qt_log_level_fail("WARNING"))
            item.add_marker(pytest.mark.qt_log_ignore(*ALLOWED))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a checkpoint: 2 blocks of 3 heads, 48 positions, 257 tokens."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", BYTES)


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """The folder of another checkpoint: 3 blocks of 4 heads, 64 positions, other weights."""
    config = {**BYTES, "n_layer": 3, "n_head": 4, "n_positions": 64}
    return write_checkpoint(tmp_path_factory.mktemp("models") / "other", config, seed=1)


@pytest.fixture(scope="session")
def bundled():
    """The folder of the bundled model."""
    from desktop_app.core.program.bundle import default_model

    return default_model()


@pytest.fixture(scope="session")
def qapp(tmp_path_factory):
    """The application as the program makes it, on a screen of 1920x1080 (the offscreen default is 800x800)."""
    from desktop_app.ui.app import make_application

    screen = {"name": "one", "x": 0, "y": 0, "width": 1920, "height": 1080}
    screen |= {"logicalDpi": 96, "logicalBaseDpi": 96, "dpr": 1}
    config = tmp_path_factory.mktemp("screen") / "offscreen.json"
    config.write_text(json.dumps({"screens": [screen]}))
    app = make_application(["logitscope", "-platform", f"offscreen:configfile={config}"])
    app.setCursorFlashTime(0)  # a blinking caret would make two images of the same window differ
    return app


@pytest.fixture
def open_desk(qtbot):
    """A function that opens windows as the program does; each is closed after the test and must leave nothing."""
    from PySide6.QtCore import QEvent, QTimer
    from PySide6.QtWidgets import QApplication

    from desktop_app.ui.app import open_window
    from tests.ui.driver import Desk, threads

    desks, before = [], threads()

    def make(model=None, text=None, session=None, *, size=(1280, 800), settle=True):
        window = open_window(model, text, session)
        if size is not None:
            window.resize(*size)
        desk = Desk(window, qtbot)
        desks.append(desk)
        if settle:
            desk.settle()
        return desk

    yield make
    for desk in desks:
        desk.window.close()
    awake = [t for d in desks for t in d.window.findChildren(QTimer) if t.isActive() and t.interval()]
    assert not awake, f"timers still awake after closing: {awake}"
    assert not threads() - before, "threads still there after closing"
    assert not multiprocessing.active_children(), "a worker is still there after closing"
    for desk in desks:
        desk.window.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def desk(open_desk, tiny):
    """A window on the tiny model with a short prompt, after the pass over it."""
    return open_desk(tiny, "Hello, you")


@pytest.fixture
def counted(monkeypatch):
    """Counts expensive work: `passes` has (new positions, past positions) of each, `sorts` one entry per ranking."""
    from desktop_app.gpt2 import sampling
    from desktop_app.gpt2.engine import Engine

    class Counts:
        def __init__(self):
            self.passes, self.sorts = [], []

        def clear(self):
            self.passes.clear()
            self.sorts.clear()

    counts = Counts()
    run, descending = Engine.run, sampling._descending

    def counting_run(self, ids, past, names, stop=None):
        counts.passes.append((len(ids), next(iter(past.values())).shape[1] if past else 0))
        return run(self, ids, past, names, stop)

    def counting_sort(logits):
        counts.sorts.append(len(logits))
        return descending(logits)

    monkeypatch.setattr(Engine, "run", counting_run)
    monkeypatch.setattr(sampling, "_descending", counting_sort)
    return counts
