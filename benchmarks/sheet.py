"""The sheet of the whole pass and animated operations: frame times while moving, and the memory of the sheet.

Runs in a separate process, offscreen unless QT_QPA_PLATFORM says otherwise. Frames are timed while tiles are being
rendered in their thread, as when a user moves the view.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.child import apart, ask, status
from benchmarks.shapes import checkpoint, text
from benchmarks.table import Row, bounded, percentile, timed
from desktop_app.core.program.bundle import default_model

_HERE = "benchmarks.sheet"
_SIZE = (1440, 900)
_FRAME = 1000 / 60  # ms
_MEMORY = 150.0  # MB in addition to the pass: tiles, pooled numbers, and tensors that the trace derives for them


def rows(root: Path, runs: int) -> Iterator[Row]:
    """Every row of this module."""
    cases = [
        ("the bundled model, 20 tokens", default_model(), 20, 1),
        ("GPT-2 small's shape, 64 tokens", checkpoint(root, "small"), 64, 1),
        ("GPT-2 small's shape, 1,024 tokens", checkpoint(root, "small"), 1024, 2),
    ]
    if runs >= 9:
        cases.append(("GPT-2 XL's shape, 16 tokens", checkpoint(root, "xl"), 16, 2))
    for name, folder, tokens, share in cases:
        found = ask(_HERE, str(folder), str(tokens), str(runs))
        times = found["frames"]
        note = f"{len(times)} frames; all tiles of the whole in {found['whole']:.1f} s"
        moved = f"sheet moved and zoomed, {name}"
        yield bounded(f"{moved}: median frame", 1000 * statistics.median(times), share * _FRAME, "ms", note)
        yield bounded(f"{moved}: 99th percentile", 1000 * percentile(times), share * 33, "ms")
        if tokens <= 64:
            played, most = found["played"], 1 if tokens <= 20 else 2
            moving = f"operations that move, {name}"
            yield bounded(f"{moving}: median frame", 1000 * statistics.median(played), most * _FRAME, "ms")
            yield bounded(f"{moving}: 99th percentile", 1000 * percentile(played), most * 33, "ms")
        yield bounded(f"sheet, {name}: memory beside the pass", found["memory"] / 1e6, _MEMORY, "MB")


def measure(folder: Path, tokens: int, runs: int) -> dict[str, Any]:
    """Open the sheet of a text of `tokens` tokens and move around on it; times in seconds, memory in bytes."""
    from desktop_app.launch import loading

    with loading():  # as the program does
        from dataclasses import replace

        from desktop_app.core.program.settings import Settings
        from desktop_app.core.session.last_session import beginning
        from desktop_app.core.sheet.camera import travel
        from desktop_app.core.sheet.layout import Box
        from desktop_app.gpt2.tokenizer import Tokenizer
        from desktop_app.ui.app import make_application
        from desktop_app.ui.window import Window

    app = make_application()
    words = text(tokens)
    if folder == default_model():
        tokenizer = Tokenizer.load(folder)
        words = tokenizer.decode(tokenizer.encode("Once upon a time there was a little girl. " * 9).ids[:tokens])
    window = Window(beginning(folder, words).state, Settings(theme="light"))
    window.resize(*_SIZE)
    window.show()
    c = window.controller

    def until(done: Callable[[], bool]) -> None:
        end = time.monotonic() + 240
        while not done() and time.monotonic() < end:
            app.processEvents()
            time.sleep(0.001)
        if not done():
            raise RuntimeError("the window did not get done in four minutes")

    def quiet() -> bool:
        return c.scene is not None and not c.pending and not any(lane.busy for lane in (c.passes, c.loads, c.packing))

    c.open_model(folder)
    until(quiet)
    before = status()["RssAnon"]
    c.set(replace(c.state, workspace="sheet", step="blocks.0.attn.pattern"))
    until(lambda: bool(window.canvas.sheets))
    (view,) = window.canvas.sheets
    begun = time.monotonic()
    app.processEvents()
    until(lambda: not view.tiles.lane.busy)
    whole = time.monotonic() - begun
    sheet = view.panel.sheet
    times: list[float] = []
    most = status()["RssAnon"]

    def frame(box: Box) -> None:
        times.append(timed(lambda: (view._show(box), app.processEvents())))

    for turn in range(max(1, runs // 3)):
        cards = [card.box for card in sheet.cards if card.layer is not None]
        card = cards[(3 + turn) % len(cards)]
        plate = sheet.plates[sheet.of_tensor(f"blocks.{(3 + turn) % len(cards)}.attn.pattern", 1)[0]].box
        cell = Box(plate.x, plate.y, plate.w / tokens * 12, plate.w / tokens * 8)
        for target in (card, plate, cell, sheet.box):
            way, _ = travel(view.shot.view, _like(target, view.shot.view))
            for n in range(40):
                frame(way((n + 1) / 40))
            there = view.shot.view
            for n in range(20):  # then sideways by half a view's width
                frame(Box(there.x + there.w * n / 40, there.y, there.w, there.h))
        until(lambda: not view.tiles.lane.busy)
        most = max(most, status()["RssAnon"])
    played = _play(window, app) if tokens <= 64 else []
    window.close()
    return {"frames": times[5:], "whole": whole, "memory": most - before, "played": played}


def _play(window: Any, app: Any) -> list[float]:
    """Seconds of each frame of every animated operation, sixty frames of each."""
    from dataclasses import replace

    from desktop_app.core.motion.operations import operation_of

    times: list[float] = []
    c, player = window.controller, window.player
    for step in [s for s in c.steps if s.layer in (None, 3) and operation_of(s) is not None]:
        c.set(replace(c.state, workspace="walk"))
        c.go_to(step)
        app.processEvents()
        player.toggle()
        player.play()  # pauses the timer: each frame is requested by this function
        for n in range(60):
            player.time = player.motion.length * n / 60
            times.append(timed(lambda: (player._show(), app.processEvents())))
        player.end()
    return times


def _like(box: Any, view: Any) -> Any:
    """The part of the sheet around `box` with the same aspect ratio as `view`."""
    from desktop_app.core.sheet.camera import framed

    return framed(box, view.w, view.h)


if __name__ == "__main__":
    with apart():
        print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
