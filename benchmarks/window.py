"""The window: frames after a change of slider, step, head or block; its longest stall; its CPU load when idle.

Runs in a separate process, offscreen unless QT_QPA_PLATFORM says otherwise.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.child import apart, ask
from benchmarks.shapes import checkpoint, text
from benchmarks.table import Row, bounded, ms, percentile, timed

_HERE = "benchmarks.window"
_SIZE = (1440, 900)
_FRAME = 1000 / 60  # ms
_UPDATES = 20  # per second, while an edit's slider is moved


def rows(root: Path, runs: int) -> Iterator[Row]:
    """Every row of this module."""
    found = ask(_HERE, str(checkpoint(root, "small")), str(runs))
    blank = f"a blank window {ms(statistics.median(found['blank']))}"
    same = found["steady"]
    steady = f"the same arithmetic again and again: median {ms(statistics.median(same))}, 99th {ms(percentile(same))}"
    yield bounded("sampling of 50,257 tokens: the maths", 1000 * percentile(found["maths"]), 1, "ms")
    for name, key, most in (
        ("temperature, top-k or top-p moved, 50,257 tokens: painted, 99th percentile", "sampling", _FRAME),
        ("step, head or block changed, 64 tokens: painted, 99th percentile", "steps 64", _FRAME),
        ("step, head or block changed, 1,024 tokens: painted, 99th percentile", "steps 1024", 2 * _FRAME),
        ("the map of 50,257 tokens dragged and zoomed: painted, 99th percentile", "map", _FRAME),
    ):
        times = found[key]
        note = f"median {ms(statistics.median(times))}, {len(times)} frames; {blank}; {steady}"
        yield bounded(name, 1000 * percentile(times), most, "ms", note)
    moved = found["strength"]
    name = "strength of an edit moved, 20 tokens of the bundled model: computed and painted, median"
    yield bounded(name, 1000 * statistics.median(moved), 1000 / _UPDATES, "ms", f"99th {ms(percentile(moved))}")
    for what, seconds in found["stalls"].items():
        yield bounded(f"the event loop's longest stall during {what}", 1000 * seconds, 50, "ms")
    yield bounded("idle: processor", 100 * found["idle"], 0.5, "%", f"{found['timers']} timers awake")
    yield bounded("idle: timers awake", found["timers"], 0.5, "timers")


def measure(folder: Path, runs: int) -> dict[str, Any]:
    """Open the window on a model and use it; all times are in seconds."""
    from desktop_app.launch import loading

    with loading():  # as the program does
        from dataclasses import replace

        import numpy as np
        from PySide6.QtCore import QEventLoop, QTimer
        from PySide6.QtGui import QPainter
        from PySide6.QtWidgets import QWidget

        from desktop_app.core.program.settings import Settings
        from desktop_app.core.session.last_session import beginning
        from desktop_app.core.steps import step_list
        from desktop_app.figures.export import Options
        from desktop_app.gpt2.sampling import Ranked, Sampling, stages
        from desktop_app.ui.app import make_application
        from desktop_app.ui.window import Window

    app = make_application()
    window = Window(beginning(folder, text(64)).state, Settings(theme="light"))
    window.resize(*_SIZE)
    window.show()
    c = window.controller

    def until(done: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not done() and time.monotonic() < end:
            app.processEvents()
            time.sleep(0.001)
        if not done():
            raise RuntimeError("the window did not get done in two minutes")

    def quiet() -> bool:
        lanes = (c.passes, c.loads, c.packing, window.files.exports)
        return c.scene is not None and not c.pending and not any(lane.busy for lane in lanes)

    beat = Heartbeat(app)
    found: dict[str, Any] = {"stalls": {}}
    found["stalls"]["loading"] = beat.during(lambda: (c.open_model(folder), until(quiet)))

    class Blank(QWidget):
        def paintEvent(self, _event: Any) -> None:
            QPainter(self).fillRect(self.rect(), self.palette().window())

    blank = Blank()
    blank.resize(*_SIZE)
    blank.show()
    app.processEvents()
    found["blank"] = [timed(blank.repaint) for _ in range(20 * runs)]
    blank.close()

    # For the machine's own variation: the same arithmetic on one matrix, repeated.
    cells = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)
    found["steady"] = [timed(lambda: np.exp(cells)) for _ in range(250)]

    assert c.scene is not None and c.model is not None
    ranked = Ranked(c.scene.trace.logits(-1))
    settings = [Sampling(0.5 + n / 100, n % 60, 0.5 + n / 400) for n in range(100)]
    found["maths"] = [timed(lambda s=s: stages(ranked, s)) for s in settings for _ in range(max(1, runs // 3))]

    def frame(change: Callable[[], object]) -> float:
        return timed(lambda: (change(), app.processEvents()))

    moves: list[dict[str, Any]] = []
    for n in range(12 * runs):
        moves += [{"temperature": 0.5 + n % 100 / 100}, {"top_k": 1 + n % 80}, {"top_p": 0.4 + n % 50 / 100}]
    found["sampling"] = [
        frame(lambda m=m: c.set(c.state.with_sampling(**m), ("sampling", next(iter(m))))) for m in moves
    ]

    def walk() -> list[float]:
        steps = [s for s in step_list(c.model.config) if s.layer in (None, 0, 3, 7)]
        times = [frame(lambda s=s: c.go_to(s)) for s in steps]
        c.go_to(next(s for s in steps if s.spec.op == "pattern"))
        app.processEvents()
        times += [frame(lambda: c.go_head(1)) for _ in range(12)]
        times += [frame(lambda: c.go_block(1)) for _ in range(10)]
        return times

    walk()  # loads fonts and fills caches
    found["steps 64"] = [seconds for _ in range(max(2, runs // 3)) for seconds in walk()]

    def retype(tokens: int) -> None:
        c.set(replace(c.state, text=text(tokens), token=None, position=None))
        until(quiet)

    found["stalls"]["a pass over 1,024 tokens"] = beat.during(lambda: retype(1024))
    walk()
    found["steps 1024"] = [seconds for _ in range(max(2, runs // 3)) for seconds in walk()]
    retype(64)
    found["map"] = _map_frames(window, until, quiet, 20 * runs)
    with tempfile.TemporaryDirectory() as out:
        path = Path(out) / "figure.pdf"

        def export() -> None:
            window.files.export_figure(Options("pdf"), path)
            until(quiet)

        found["stalls"]["an export"] = beat.during(export)

    # A notice about the export is shown for some seconds and removed by a timer.
    until(lambda: quiet() and not any(timer.isActive() for timer in window.findChildren(QTimer)))
    idle, loop = 5.0, QEventLoop()
    begun = time.process_time()
    QTimer.singleShot(int(1000 * idle), loop.quit)  # the application's own quit would close the window
    loop.exec()
    found["idle"] = (time.process_time() - begun) / idle
    found["timers"] = sum(timer.isActive() for timer in window.findChildren(QTimer))
    found["strength"] = _strengths(window, until, quiet, 10 * runs)
    window.close()
    app.processEvents()
    return found


def _map_frames(
    window: Any, until: Callable[[Callable[[], bool]], None], quiet: Callable[[], bool], count: int
) -> list[float]:
    """Seconds of each frame while the map of all tokens is zoomed in and out, and pushed to and fro."""
    from PySide6.QtCore import QPointF

    c, canvas = window.controller, window.canvas
    window.do("workspace:map")
    until(lambda: quiet() and not c.products.lane.busy and bool(canvas.page.movable))
    planes = canvas._planes

    def move(n: int) -> None:
        if n % 2:
            planes.zoom(1.25 if n % 40 < 20 else 0.8, None)
        else:
            planes.press(QPointF(canvas.page.movable[0].box.x + 50, canvas.page.movable[0].box.y + 50))
            planes.drag(planes._pressed + QPointF(9 if n % 60 < 30 else -9, 5))
            planes._pressed = None
        canvas.viewport().repaint()

    move(1)
    times = [timed(lambda n=n: move(n)) for n in range(count)]
    until(quiet)
    window.do("workspace:walk")
    until(quiet)
    return times


def _strengths(
    window: Any, until: Callable[[Callable[[], bool]], None], quiet: Callable[[], bool], count: int
) -> list[float]:
    """Seconds from each move of an edit's slider until its pass is shown, on the bundled model."""
    from dataclasses import replace

    from PySide6.QtWidgets import QApplication

    from desktop_app.core.program.bundle import default_model
    from desktop_app.core.session.fields import Change
    from desktop_app.core.session.state import cut_after

    c = window.controller
    c.open_model(default_model())
    until(lambda: quiet() and c.model.folder == default_model())
    words = "Once upon a time there was a little creature who lived in a forest and saw a bird every day of the year"
    c.set(
        replace(cut_after(replace(c.state, text=words, appended=()), 20, c.model.tokenizer), token=None, position=None)
    )
    c.set(replace(c.state, edits=(Change("blocks.1.resid_pre+=1*tokens[5, 6]"),), step="probabilities"))
    until(quiet)
    assert len(c.scene.trace) == 20

    def move(value: int) -> None:
        was = c.scene.trace
        window.edits_bar.slider.setValue(value)
        until(lambda: c.scene.trace is not was and c.is_current)
        QApplication.processEvents()

    move(-150)  # builds the edited blocks' graphs, which are kept
    return [timed(lambda n=n: move(n % 300 - 149)) for n in range(count)]


class Heartbeat:
    """Measures how long the event loop does not respond: a second thread posts to it every few milliseconds."""

    def __init__(self, app: Any) -> None:
        from PySide6.QtCore import QObject, Qt, Signal

        class Echo(QObject):
            asked = Signal()

            def __init__(self) -> None:
                super().__init__()
                self.answered = threading.Event()
                self.asked.connect(self.answered.set, Qt.ConnectionType.QueuedConnection)

        self._app, self._echo = app, Echo()

    def during(self, work: Callable[[], object]) -> float:
        """The longest time in seconds that an event posted to the loop waited while `work` ran."""
        longest, over = [0.0], threading.Event()

        def ask_on() -> None:
            while not over.is_set():
                self._echo.answered.clear()
                begun = time.perf_counter()
                self._echo.asked.emit()
                self._echo.answered.wait(5)
                longest[0] = max(longest[0], time.perf_counter() - begun)
                time.sleep(0.003)

        asking = threading.Thread(target=ask_on)
        asking.start()
        work()
        over.set()
        while asking.is_alive():
            self._app.processEvents()
            time.sleep(0.001)
        asking.join()
        return longest[0]


if __name__ == "__main__":
    with apart():
        print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
