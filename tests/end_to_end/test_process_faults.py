"""Faults planted in a window's process: each is in the log and in Copy diagnostics, and the window goes on running."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from desktop_app.core.session.last_session import aside_file, keep, last_file, load_last
from desktop_app.core.session.session_file import load_session
from desktop_app.core.session.state import State
from tests.checkpoints import TINY, write_checkpoint

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "Blancmange recipe"
TOKEN = "hf_PLANTEDxTOKEN"

PLANTED = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer, qWarning
from PySide6.QtGui import QGuiApplication
from desktop_app.figures import draw
from desktop_app.gpt2.engine import Engine

def make_figure(*arguments, **how):
    raise RuntimeError("planted in a worker, of Blancmange recipe")

if __name__ == "__mp_main__":
    draw.make_figure = make_figure

if __name__ == "__main__":
    from desktop_app.cli import main
    from desktop_app.figures.export import Options
    from desktop_app.ui import app
    from desktop_app.ui.picture.canvas import Canvas

    trace, made, paint = Engine.trace, app.open_window, Canvas.paintEvent
    left = {"lane": 1, "paint": 0}

    def failing_trace(self, ids, **how):
        if len(ids) == 18 and left["lane"]:
            left["lane"] -= 1
            raise RuntimeError("planted in a lane, of Blancmange recipe")
        return trace(self, ids, **how)

    def failing_paint(self, event):
        if left["paint"]:
            left["paint"] -= 1
            raise RuntimeError("planted in a paint event, of Blancmange recipe")
        return paint(self, event)

    def failing_slot():
        raise RuntimeError("planted in a slot, of Blancmange recipe")

    Engine.trace, Canvas.paintEvent = failing_trace, failing_paint

    def open_window(*arguments, **how):
        window = made(*arguments, **how)
        c = window.controller

        def plant_in_paint():
            left["paint"] = 2
            window.canvas.viewport().repaint()
            window.canvas.viewport().repaint()

        def end():
            window.do("copy_diagnostics")
            Path("diagnostics.txt").write_text(QGuiApplication.clipboard().text())
            Path("shown.txt").write_text(f"{window.isVisible()} {len(c.scene.trace)}")
            window.close()

        deeds = [
            (lambda: c.scene is not None and not c.pending, lambda: c.edit_text("Blancmange recipe!")),
            (lambda: "lane" in window.trouble.text(), lambda: c.edit_text("Blancmange recipe!!")),
            (lambda: c.is_current and len(c.scene.trace) == 19, lambda: QTimer.singleShot(0, failing_slot)),
            (lambda: "a slot" in window.trouble.text(), plant_in_paint),
            (lambda: not left["paint"], lambda: qWarning("planted by Qt")),
            (lambda: True, lambda: window.files.export_figure(Options("svg"), Path("never.svg"))),
            (lambda: "a worker" in window.trouble.text(), lambda: c.edit_text("Blancmange")),
            (lambda: c.is_current and len(c.scene.trace) == 10, end),
        ]
        timer = QTimer(window)
        def look():
            if deeds and deeds[0][0]():
                deeds.pop(0)[1]()
        timer.timeout.connect(look)
        timer.start(5)
        return window

    app.open_window = open_window
    sys.exit(main(["--model", sys.argv[1], "--prompt", "Blancmange recipe"]))
"""


@pytest.fixture
def run(tmp_path):
    """Runs a script in an empty folder, with its own home folder and a token for the hub."""

    def start(script, *arguments):
        (tmp_path / "script.py").write_text(script)
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "HF_TOKEN": TOKEN, "QT_QPA_PLATFORM": "offscreen"}
        return subprocess.run(
            [sys.executable, "script.py", *map(str, arguments)],
            cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip

    return start


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    config = {**TINY, "vocab_size": 257, "n_positions": 128}
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", config)


def test_faults_of_every_kind_are_logged_with_their_traceback_and_the_window_lives_on(run, model, tmp_path, own_home):
    done = run(PLANTED, model)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shown.txt").read_text() == "True 10"
    log = (own_home / "state" / "logitscope" / "logitscope.log").read_text()
    copied = (tmp_path / "diagnostics.txt").read_text()
    frames = {
        "a lane": "failing_trace",
        "a slot": "failing_slot",
        "a paint event": "failing_paint",
        "a worker": "make_figure",
    }
    for place, frame in frames.items():
        for text in (log, copied):
            assert f"RuntimeError: planted in {place}" in text, text
            assert f", in {frame}\n" in text, text
        assert f"planted in {place}, of Blancmange recipe" in done.stderr  # the user's own terminal may show it
    assert "WARNING" in log and "planted by Qt" in log and "planted by Qt" in copied
    for text in (log, copied):
        assert "lancmange" not in text and "recipe" not in text and TOKEN not in text
    assert "numpy: " in copied and "theme: system" in copied and "platform: offscreen" in copied
    assert not list((own_home / "state" / "logitscope").glob("crash-*"))


CRASHING = """
import ctypes, sys
from PySide6.QtCore import QTimer
from desktop_app.cli import main
from desktop_app.ui import app

made = app.open_window
def open_window(*arguments, **how):
    window = made(*arguments, **how)
    QTimer.singleShot(0, lambda: ctypes.string_at(0))
    return window
app.open_window = open_window
main(["--model", sys.argv[1], "--prompt", "Blancmange recipe"])
"""
NEXT = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from desktop_app.cli import main
from desktop_app.ui import app

made = app.open_window
def open_window(*arguments, **how):
    window = made(*arguments, **how)
    def look():
        if window.controller.scene is not None and not window.controller.pending:
            timer.stop()
            Path("said.txt").write_text(window.notice.text())
            window.close()
    timer = QTimer(window)
    timer.timeout.connect(look)
    timer.start(5)
    return window
app.open_window = open_window
sys.exit(main(["--model", sys.argv[1], "--prompt", "Blancmange recipe"]))
"""


def test_a_crash_of_the_window_is_told_by_the_next_start_alone(run, model, tmp_path, own_home):
    assert run(CRASHING, model).returncode < 0
    assert run(NEXT, model).returncode == 0
    assert "crashed last time" in (tmp_path / "said.txt").read_text()
    log = (own_home / "state" / "logitscope" / "logitscope.log").read_text()
    assert log.count("Segmentation fault") == 1 and "lancmange" not in log
    assert run(NEXT, model).returncode == 0
    assert "crashed" not in (tmp_path / "said.txt").read_text()


DEADLY = """
import ctypes, os, sys
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QMessageBox
from desktop_app.cli import main
from desktop_app.core.program.starts import Start
from desktop_app.ui import app
from desktop_app.ui.picture.canvas import Canvas

made, paint, done = app.open_window, Canvas.paintEvent, Start.done
kind, wanted, answer, over = *sys.argv[1:3], [], []

def deadly_paint(canvas, event):
    if kind != "none" and window.controller.scene is not None and window.controller.scene.state.text == "deadly":
        ctypes.string_at(0) if kind == "crash" else os.kill(os.getpid(), 9)
    return paint(canvas, event)

def open_window(*arguments, **how):
    global window
    window = made(*arguments, **how)
    if kind == "raise" and window.controller.state.text == "deadly":
        raise RuntimeError("planted")
    def look():
        scene, boxes = window.controller.scene, window.findChildren(QMessageBox)
        if scene is None or window.controller.pending or not over:
            return
        if boxes and not answer:
            answer.append(boxes[0].informativeText())
            [b for b in boxes[0].buttons() if b.text() == wanted][0].click()
        elif not window.controller.is_loading:
            timer.stop()
            Path("said.txt").write_text(f"{window.prompt.text()}|{''.join(answer)}")
            window.close()
    timer = QTimer(window)
    timer.timeout.connect(look)
    timer.start(20)
    return window

def counted(start):
    over.append(True)
    done(start)

app.open_window, Canvas.paintEvent, Start.done = open_window, deadly_paint, counted
sys.exit(main(["--log-level", "info"]))
"""


SLOW = pytest.mark.skipif(os.environ.get("LOGITSCOPE_SLOW") != "yes", reason="three starts each; LOGITSCOPE_SLOW=yes")


@pytest.mark.parametrize("kind", ["crash", pytest.param("kill", marks=SLOW), pytest.param("raise", marks=SLOW)])
def test_a_session_that_ends_the_program_as_it_opens_is_offered_the_next_time(run, model, tmp_path, own_home, kind):
    keep(replace(State(), text="deadly", model=str(model)))
    folder = last_file().parent
    assert run(DEADLY, kind, "").returncode not in (0, 2)
    assert len(list(folder.glob("starting-*"))) == 1
    done = run(DEADLY, kind, "Leave it there")
    text, _, words = (tmp_path / "said.txt").read_text().partition("|")
    assert done.returncode == 0 and text not in ("", "deadly") and str(aside_file()) in words, done.stderr
    assert load_session(aside_file()).text == "deadly" and not list(folder.glob("starting-*"))
    assert run(DEADLY, "none", "").returncode == 0  # the last session is now what was shown instead
    assert (tmp_path / "said.txt").read_text() == f"{text}|"


def test_the_offered_session_opens_where_somebody_wants_it(run, model, tmp_path, own_home):
    keep(replace(State(), text="deadly", model=str(model)))
    assert run(DEADLY, "kill", "").returncode < 0
    assert run(DEADLY, "none", "Open it").returncode == 0
    assert (tmp_path / "said.txt").read_text().startswith("deadly|")
    assert load_last().text == "deadly"


def test_the_selftest_as_json_holds_the_log_of_earlier_starts_and_no_text(run, own_home):
    program = "import sys\nfrom desktop_app.cli import main\nif __name__ == '__main__': sys.exit(main(sys.argv[1:]))"
    assert run(program, "generate", PROMPT, "-n", 1, "--log-level", "debug").returncode == 0
    done = run(program, "--selftest", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [check["failure"] for check in found["checks"]] == [""] * len(found["checks"])
    assert {"versions", "window"} <= {check["title"] for check in found["checks"]}
    assert any(line.endswith(", generate") for line in found["log"]) and found["log_file"].startswith(str(own_home))
    assert "lancmange" not in done.stdout and TOKEN not in done.stdout
    assert found["packages"]["onnxruntime"] and found["settings"] and found["memory"]["total"] > 0
    refused = run(program, "--json")
    assert refused.returncode == 2 and "--selftest" in refused.stderr
