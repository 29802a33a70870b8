"""The window in a separate process: however and whenever it is closed, it exits with 0 and reports nothing."""

import os
import signal
import subprocess
import sys
import time
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest

from desktop_app.core.model import open_model
from desktop_app.core.passes import Asked
from desktop_app.core.runs import compute_passes
from desktop_app.core.session.last_session import load_last
from tests.checkpoints import TINY, write_checkpoint

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")

BEGIN = """
import signal, sys
from pathlib import Path
from PySide6.QtCore import QTimer
from desktop_app.ui import app as program

made = program.open_window
def after(window, what, condition=lambda: True):
    '''Call `what` in the first turn of the event loop in which `condition` holds.'''
    timer = QTimer(window)
    def look():
        if condition():
            timer.stop()
            what()
    timer.timeout.connect(look)
    timer.start(5)
def open_window(*arguments, **how):
    window = made(*arguments, **how)
    plot(window)
    return window
program.open_window = open_window
"""
END = """
if __name__ == "__main__":
    sys.exit(program.run_window(Path(sys.argv[1]), sys.argv[2], None))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    config = {**TINY, "vocab_size": 257, "n_positions": 128}
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", config)


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A model of 60 MB; a pass over its full context takes some tenths of a second."""
    config = {**TINY, "vocab_size": 257, "n_positions": 1024, "n_embd": 384, "n_head": 6, "n_layer": 8}
    return write_checkpoint(tmp_path_factory.mktemp("models") / "slow", config)


@pytest.fixture
def play(tmp_path, model):
    """Starts a window in which a script, the function `plot(window)`, runs; returns the process."""
    processes = []

    def start(plot, folder=model, text="Hello, you", **environ):
        script = tmp_path / "script.py"
        script.write_text(BEGIN + plot + END)
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder), text],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process, timeout=60):
    out, err = process.communicate(timeout=timeout)
    # The offscreen platform warns that it has no window manager for sizes, raising windows or the keyboard.
    err = "".join(line for line in err.splitlines(True) if not line.startswith("This plugin does not support "))
    return process.returncode, err, out


QUIET = (0, "", "")

CLOSINGS = {
    "at once": "QTimer.singleShot(0, window.close)",
    "when idle": "after(window, window.close, lambda: window.controller.scene is not None)",
    "by the menu": "after(window, lambda: window.do('quit'), lambda: window.controller.scene is not None)",
    "after a theme": """
    after(window, lambda: (window.do('theme'), window.do('larger'), window.close()),
          lambda: window.controller.scene is not None)""",
    "with the palette open": """
    after(window, lambda: (window.do('palette'), QTimer.singleShot(50, window.close)),
          lambda: window.controller.scene is not None)""",
    "with a menu open": """
    after(window, lambda: (window.menu_button.menu().popup(window.pos()), QTimer.singleShot(50, window.close)),
          lambda: window.controller.scene is not None)""",
    "while playing": """
    def go():
        window.scrubber.set_speed(4.0)
        window.do('first'); window.do('play')
        QTimer.singleShot(600, window.close)
    after(window, go, lambda: window.controller.scene is not None)""",
    "while running on": """
    def go():
        window.controller.run_on(100)
        after(window, window.close, lambda: len(window.controller.state.appended) > 5)
    after(window, go, lambda: window.controller.scene is not None)""",
    "while exporting": """
    from desktop_app.figures.export import Options
    def go():
        window.files.export_figure(Options('svg'), Path(sys.argv[0]).with_name('never.svg'))
        QTimer.singleShot(300, window.close)
    after(window, go, lambda: window.controller.scene is not None)""",
    "while every tensor is checked": """
    after(window, lambda: (window.do("check_all"), window.close()),
          lambda: window.controller.scene is not None)""",
    "as an export begins": """
    from desktop_app.figures.export import Options
    def go():
        window.files.export_figure(Options('svg'), Path(sys.argv[0]).with_name('never.svg'))
        window.close()
    after(window, go, lambda: window.controller.scene is not None)""",
    "after an export": """
    from desktop_app.figures.export import Options
    place = Path(sys.argv[0]).with_name('made.svg')
    after(window, lambda: window.files.export_figure(Options('svg'), place),
          lambda: window.controller.scene is not None)
    after(window, window.close, lambda: place.exists() and not window.files.exports.busy)""",
    "after a copy": """
    from PySide6.QtGui import QGuiApplication
    after(window, lambda: window.do('copy'), lambda: window.controller.scene is not None)
    after(window, window.close, lambda: not QGuiApplication.clipboard().image().isNull())""",
    "after a copy of text": """
    def go():
        window.prompt.setFocus(); window.prompt.selectAll(); window.prompt.copy(); window.close()
    after(window, go, lambda: window.controller.scene is not None)""",
}


@pytest.mark.parametrize("moment", CLOSINGS)
def test_a_closed_window_is_a_process_that_ended_well(play, moment):
    assert ended(play(f"def plot(window):\n    {CLOSINGS[moment].strip()}\n")) == QUIET


SIGNALLED = {
    "idle": "after(window, lambda: print('now', flush=True), lambda: window.controller.scene is not None)",
    "playing": """
    after(window, lambda: (window.do('play'), print('now', flush=True)),
          lambda: window.controller.scene is not None)""",
    "exporting": """
    from desktop_app.figures.export import Options
    def go():
        window.files.export_figure(Options('pdf'), Path(sys.argv[0]).with_name('never.pdf'))
        QTimer.singleShot(1200, lambda: print('now', flush=True))
    after(window, go, lambda: window.controller.scene is not None)""",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("busy", SIGNALLED)
def test_a_signal_to_the_whole_group_closes_the_window(play, busy, number):
    process = play(f"def plot(window):\n    {SIGNALLED[busy].strip()}\n")
    assert process.stdout.readline() == "now\n"
    os.killpg(process.pid, number)  # like Ctrl+C in a terminal: the worker gets it too
    assert ended(process) == QUIET


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=["SIGHUP", "SIGKILL"])
def test_the_next_start_has_what_was_typed_before_the_end(play, model, number):
    kept = f"kept({number == signal.SIGKILL})"  # SIGKILL cannot be handled, so first wait for the save
    plot = f"""
def kept(must):
    from desktop_app.core.session.last_session import load_last
    last = load_last()
    return not must or (last is not None and last.text == "Hello, you there")
def plot(window):
    def typed():
        window.controller.edit_text("Hello, you there")
        after(window, lambda: print("now", flush=True), lambda: {kept})
    after(window, typed, lambda: window.controller.scene is not None)
"""
    process = play(plot)
    assert process.stdout.readline() == "now\n"
    process.send_signal(number)
    process.wait(60)
    last = load_last()
    assert (last.text, last.model) == ("Hello, you there", str(model))


def test_edits_survive_a_kill_and_the_next_start_shows_the_edited_pass(play, model):
    edits = ("blocks.1.attn.z[0]=mean", "blocks.0.resid_pre[2]+=3*tokens[40, 50]", "blocks.1.resid_pre[5]=other")
    plot = f"""
def plot(window):
    from dataclasses import replace
    from desktop_app.core.session.fields import Change
    from desktop_app.core.session.last_session import load_last
    c = window.controller
    def kept():
        last = load_last()
        return last and last.edits
    def edit():
        found = tuple(map(Change, {edits}))
        off = Change("blocks.0.mlp_out=0", on=False)
        c.set(replace(c.state, edits=(*found, off), mask="window:4", other="Jello, you", alignment="end"))
        after(window, lambda: print("now", flush=True),
              lambda: c.is_current and c.scene.trace.run.changes and kept() == c.state.edits)
    after(window, edit, lambda: c.scene is not None)
"""
    process = play(plot)
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    again = """
run = program.run_window
program.run_window = lambda *_: run(None, None, None)
def plot(window):
    c = window.controller
    def tell():
        print(repr((c.scene.trace.run.changes, [float(x) for x in c.scene.trace.logits(-1)])), flush=True)
        chips = [(e.text, e.on) for e in c.state.edits]
        print(repr(chips), c.state.alignment, window.edits_bar.isVisible(), flush=True)
        window.close()
    after(window, tell, lambda: c.is_current)
"""
    code, err, out = ended(play(again))
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    changes, logits = literal_eval(first)
    assert changes == (*edits, "mask window:4")
    opened = open_model(model)
    ids, other = (opened.tokenizer.encode(text).ids for text in ("Hello, you", "Jello, you"))
    asked = Asked(ids, edits, "window:4", other)
    expected = compute_passes(opened.engine, opened.tokenizer, asked).trace.logits(-1)
    assert np.allclose(logits, expected, atol=1e-4)
    assert second == f"{[(text, True) for text in edits] + [('blocks.0.mlp_out=0', False)]} end True"


def test_closing_stops_a_pass_that_is_under_way(play, slow):
    plot = """
def plot(window):
    def close():
        assert window.controller.passes.busy
        window.close()
        print("scenes", window.controller.scene)
    after(window, close, lambda: window.controller.passes.busy)
"""
    assert ended(play(plot, slow, "x" * 1000)) == (0, "", "scenes None\n")


def test_closing_stops_a_model_that_is_being_opened(play, slow):
    plot = """
def plot(window):
    stages = []
    window.controller.loading.connect(stages.append)
    after(window, lambda: (window.close(), print(window.controller.model)), lambda: len(stages) > 1)
"""
    assert ended(play(plot, slow)) == (0, "", "None\n")


def test_at_200_per_cent_everything_is_drawn_at_twice_the_detail(play):
    plot = """
def plot(window):
    def look():
        from PySide6.QtGui import QImage
        import numpy as np
        for part in (window.canvas, window.map, window.chips, window.probabilities.bars):
            image = part.viewport().grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
            rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
            rows = rows[: image.height() // 2 * 2, : image.width() // 2 * 2].astype(int)
            assert image.width() == 2 * part.viewport().width()
            # Enlarged from one pixel, each square of two by two would be one colour.
            squares = rows.reshape(rows.shape[0] // 2, 2, -1, 2).swapaxes(1, 2).reshape(-1, 4)
            busy = squares[(squares != squares[0, 0]).any(1)]
            print(part.accessibleName(), (np.ptp(busy, axis=1) > 8).mean() > 0.1, flush=True)
        window.close()
    after(window, look, lambda: window.controller.scene is not None)
"""
    code, err, out = ended(play(plot, QT_SCALE_FACTOR="2"))
    assert (code, err) == (0, "")
    assert [line.rsplit(" ", 1)[1] for line in out.splitlines()] == ["True"] * 4, out


def test_an_idle_window_sleeps(play):
    process = play("def plot(window):\n    " + SIGNALLED["idle"])
    assert process.stdout.readline() == "now\n"

    def wakings():
        tasks = Path(f"/proc/{process.pid}/task").glob("*/status")
        words = [line.split() for task in tasks for line in task.read_text().splitlines()]
        return sum(int(n[1]) for n in words if n[0] == "voluntary_ctxt_switches:")

    # The end of the start may take a while on a busy machine; a timer left running would wake it for ever.
    for _ in range(10):
        before = wakings()
        time.sleep(2)
        awake = wakings() - before
        if awake <= 2:
            break
    process.send_signal(signal.SIGTERM)
    assert ended(process) == QUIET
    assert awake <= 2, f"an idle window woke {awake} times in two seconds"
