"""The program started as by a user, on a real X server: it opens, draws the model's numbers, and closes cleanly."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from desktop_app import launch
from tests.checkpoints import TINY, write_checkpoint
from tests.end_to_end.xwindows import Screen

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="an X server is Linux's")


@pytest.fixture
def started(xserver, tmp_path):
    """`python -m desktop_app` with a tiny model, and the screen on which it opens."""
    environ = {**os.environ, "DISPLAY": xserver, "QT_QPA_PLATFORM": "xcb", "PYTHONPATH": str(ROOT)}
    lacking = [words for words in launch.problems(environ) if "libraries" in words]
    if lacking:
        pytest.skip(lacking[0])
    model = write_checkpoint(tmp_path / "tiny", {**TINY, "vocab_size": 257})
    process = subprocess.Popen(
        [sys.executable, "-m", "desktop_app", "--model", str(model), "--prompt", "Hello, you"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    screen = Screen(xserver)
    yield process, screen
    screen.close()
    if process.poll() is None:
        process.kill()
    process.communicate()


def drawn(process, screen):
    """Wait until the window shows a view; returns its pixels."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        window = screen.window("Logitscope")
        if window is not None:
            picture = screen.pixels(window)
            if len(np.unique(picture)) > 300:
                return window, picture
        time.sleep(0.1)
    if process.poll() is None:
        process.kill()
    pytest.fail(f"no window drew anything: {process.communicate()}")


def test_the_window_opens_draws_and_closes_by_its_title_bar(started):
    process, screen = started
    window, picture = drawn(process, screen)
    assert picture.shape[0] >= 600 and picture.shape[1] >= 900
    screen.ask_to_close(window)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_a_polite_kill_closes_the_window(started):
    process, screen = started
    drawn(process, screen)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


_DIALOG = """
from PySide6.QtWidgets import QDialogButtonBox as Box
from desktop_app.figures.theme import THEMES
from desktop_app.ui import looks
from desktop_app.ui.app import make_application
app = make_application([])
app.setStyleSheet(looks.style_sheet(THEMES["light"], 1.0))
box = Box(Box.StandardButton.Save | Box.StandardButton.Cancel)
print([button.text() for button in box.buttons() if not button.icon().isNull()])
"""


def test_buttons_of_dialogs_carry_words_and_no_pictures_of_qt(xserver):
    environ = {**os.environ, "DISPLAY": xserver, "QT_QPA_PLATFORM": "xcb", "PYTHONPATH": str(ROOT)}
    lacking = [words for words in launch.problems(environ) if "libraries" in words]
    if lacking:
        pytest.skip(lacking[0])
    command = [sys.executable, "-P", "-c", _DIALOG]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "[]\n", done.stdout + done.stderr
