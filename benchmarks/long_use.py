"""Memory over ten minutes of random use of the window: it must stay level, with short texts and with long ones.

A seeded random user goes through steps, heads and blocks, clicks, opens numbers, types, appends, undoes and redoes,
in a separate process, offscreen unless QT_QPA_PLATFORM says otherwise. The process's private memory (RssAnon) is read
after each action; the row compares the last third of the time with the middle third.
"""

import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.child import apart, ask, status
from benchmarks.shapes import checkpoint, text
from benchmarks.table import RUNS, Row

_HERE = "benchmarks.long_use"
_SIZE = (1440, 900)
MINUTES = 10.0
QUICK = 2.0
_PATIENCE = 120.0  # seconds
TEXTS = {"texts of 5 to 30 tokens": (5, 30), "texts of 350 to 500 tokens": (350, 500)}


def rows(root: Path, runs: int) -> Iterator[Row]:
    """Every row of this module, each of ten minutes of use, or of two if `runs` is below RUNS."""
    minutes = MINUTES if runs >= RUNS else QUICK
    for name, (least, most) in TEXTS.items():
        found = ask(_HERE, str(checkpoint(root, "small")), str(least), str(most), str(minutes))
        yield level(f"{minutes:g} minutes of random use, {name}: memory of the last third", found)


def level(name: str, found: dict[str, Any]) -> Row:
    """The row of one run: the median of the last third of the time against that of the middle third."""
    own = found["own"]
    third = len(own) // 3
    before, last = statistics.median(own[third : 2 * third]), statistics.median(own[2 * third :])
    note = f"at most {max(own) / 1e6:,.0f}, {found['after'] / 1e6:,.0f} with 7 tokens in the end"
    value = f"{last / 1e6:,.0f} / {before / 1e6:,.0f} MB; {note}; {found['actions']:,} actions"
    return Row(name, value, last / before, 1.1)


def measure(folder: Path, least: int, most: int, minutes: float, seed: int = 0) -> dict[str, Any]:
    """Use the window for `minutes`; returns the private bytes after each action, and at the end with a 7-token text."""
    from desktop_app.launch import loading

    with loading():  # as the program does
        from desktop_app.core.program.settings import Settings
        from desktop_app.core.session.last_session import beginning
        from desktop_app.ui.app import make_application
        from desktop_app.ui.window import Window

    app = make_application()
    window = Window(beginning(folder, text(least)).state, Settings(theme="light"))
    window.resize(*_SIZE)
    window.show()
    c = window.controller
    c.open_model(folder)
    own: list[int] = []
    found: dict[str, Any] = {}

    def use() -> Iterator[None]:
        yield
        somebody = Somebody(window, least, most, seed)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            somebody.act()
            yield
            own.append(status()["RssAnon"])
        somebody.write(7)
        for _ in range(5):
            yield
            c.go_by(1)
            time.sleep(0.3)
        yield
        found.update(own=own, after=status()["RssAnon"], actions=len(own))

    def is_quiet() -> bool:
        lanes = (c.passes, c.loads, c.packing, c.freeing)
        return c.scene is not None and not c.pending and not any(lane.busy for lane in lanes)

    in_the_loop(app, use(), is_quiet)
    window.close()
    if not found:
        raise RuntimeError("the window did not get done in two minutes, or something was raised, see above")
    return found


def in_the_loop(app: Any, use: Iterator[None], is_quiet: Callable[[], bool]) -> None:
    """Run the application until `use` ends, advancing it whenever the window is quiet; quit after too long a wait.

    `use` is advanced by a timer in the running event loop, where the program's events arrive too: deferred deletions
    happen only there. With `processEvents` called from outside, they would not happen, and look like a leak.
    """
    from PySide6.QtCore import QTimer

    def tick() -> None:
        nonlocal since
        if time.monotonic() - since > _PATIENCE:
            app.quit()
        elif is_quiet():
            try:
                next(use)
                since = time.monotonic()
            except StopIteration:
                app.quit()
            except BaseException:
                app.quit()  # Qt prints an exception raised in a slot and would run on forever
                raise

    since = time.monotonic()
    timer = QTimer(interval=1)
    timer.timeout.connect(tick)
    timer.start()
    app.exec()
    timer.stop()


class Somebody:
    """A random user, who chooses actions by weight."""

    def __init__(self, window: Any, least: int, most: int, seed: int) -> None:
        self.window, self.least, self.most, self.dice = window, least, most, random.Random(seed)

    def act(self) -> None:
        """Carry out one action."""
        kinds: list[tuple[Callable[[], None], int]] = [
            (self.step, 25), (self.head, 15), (self.block, 15), (self.click, 20), (self.hover, 10), (self.edit, 10),
            (self.append, 5), (self.undo, 5), (self.redo, 2), (self.slide, 5), (self.rewrite, 2),
        ]  # fmt: skip
        (kind,) = self.dice.choices([k for k, _ in kinds], [w for _, w in kinds])
        kind()

    def step(self) -> None:
        c = self.window.controller
        c.go_to(self.dice.choice(c.steps))

    def head(self) -> None:
        self.window.controller.go_head(self.dice.choice((-1, 1)))

    def block(self) -> None:
        self.window.controller.go_block(self.dice.choice((-1, 1)))

    def _place(self) -> Any:
        from PySide6.QtCore import QPoint

        view = self.window.canvas.viewport()
        return QPoint(self.dice.randrange(max(1, view.width())), self.dice.randrange(max(1, view.height())))

    def click(self) -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        view = self.window.canvas.viewport()
        QTest.mouseClick(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, self._place())

    def hover(self) -> None:
        from PySide6.QtTest import QTest

        QTest.mouseMove(self.window.canvas.viewport(), self._place())

    def edit(self) -> None:
        c = self.window.controller
        words = self.window.prompt.text()
        at = self.dice.randrange(len(words) + 1)
        grown = self.dice.random() < 0.5 if self.least < len(words) < self.most else len(words) <= self.least
        c.edit_text(words[:at] + "a" + words[at:] if grown else words[: at - 1] + words[at:] if at else words[1:])

    def append(self) -> None:
        if len(self.window.prompt.text()) < self.most:
            self.window.controller.append_drawn()

    def undo(self) -> None:
        self.window.controller.undo()

    def redo(self) -> None:
        self.window.controller.redo()

    def slide(self) -> None:
        c = self.window.controller
        c.set(c.state.with_sampling(temperature=self.dice.uniform(0.5, 2)), "temperature")

    def rewrite(self) -> None:
        self.write(self.dice.randrange(self.least, self.most + 1))

    def write(self, tokens: int) -> None:
        """Replace the text by one of that many tokens."""
        words = text(tokens + 200)
        start = self.dice.randrange(200)
        self.window.controller.edit_text(words[start : start + tokens])


if __name__ == "__main__":
    with apart():
        print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
