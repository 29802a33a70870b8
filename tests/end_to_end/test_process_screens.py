"""A lecture with two screens, on Qt's offscreen platform: the audience sees the picture, the lecturer the notes."""

import json
import subprocess
import sys
from pathlib import Path

from tests.checkpoints import TINY, write_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SCREEN = {"logicalDpi": 96, "logicalBaseDpi": 96, "dpr": 1, "y": 0}
LAPTOP = SCREEN | {"name": "laptop", "x": 0, "width": 1366, "height": 768}
HALL = SCREEN | {"name": "hall", "x": 1366, "width": 1920, "height": 1080}

SCRIPT = """
import json, sys
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from desktop_app.ui.app import make_application, open_window
app = make_application(["logitscope", "-platform", "offscreen:configfile=" + sys.argv[1]])
window = open_window(sys.argv[2], "Hello, you", None)
window.setGeometry(40, 40, 1200, 680)
window.show()
for _ in range(600):
    QTest.qWait(20)
    if window.controller.scene is not None and not window.controller.pending:
        break
window.controller.go_to(window.controller.steps[3])
QTest.qWait(100)
presenter, found = window.lecture.presenter, []

def look():
    QTest.qWait(200)
    place = window.geometry()
    found.append({
        "window": [place.x(), place.width(), place.height()], "full": window.isFullScreen(),
        "presenter": presenter.isVisible(), "on": presenter.geometry().x(),
        "sentence": presenter.sentence.text(), "room": window.lecture.sentence.text(), "notes": presenter.notes.text(),
        "next": presenter.next_step.text(), "clock": presenter.clock.text(), "step": window.controller.step.key,
    })

look()
QTest.keyClick(window.canvas, Qt.Key.Key_F11)
look()
QTest.keyClick(presenter, Qt.Key.Key_PageDown)
look()
QTest.keyClick(window.canvas, Qt.Key.Key_Escape)
look()
window.close()
print("FOUND" + json.dumps(found))
"""


def run(tmp_path, screens):
    config = tmp_path / "screens.json"
    config.write_text(json.dumps({"screens": list(screens)}))
    model = write_checkpoint(tmp_path / "tiny", {**TINY, "vocab_size": 257, "n_positions": 48})
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, str(config), str(model)],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND")]
    return json.loads(line.removeprefix("FOUND"))


def test_the_room_sees_the_picture_and_the_lecturer_notes_the_next_step_and_a_clock(tmp_path):
    before, lecture, stepped, after = run(tmp_path, (LAPTOP, HALL))
    assert not before["presenter"] and before["window"][0] < LAPTOP["width"]
    assert lecture["full"] and lecture["window"] == [HALL["x"], HALL["width"], HALL["height"]]
    assert lecture["presenter"] and lecture["on"] < LAPTOP["width"]
    assert lecture["sentence"] == lecture["room"] != ""
    assert lecture["notes"] and lecture["next"].startswith("Next: ") and ":" in lecture["clock"]
    assert stepped["step"] != lecture["step"], "the clicker works on either screen"
    assert stepped["sentence"] == stepped["room"] != lecture["sentence"]
    assert not after["presenter"] and not after["full"] and after["window"] == before["window"]


def test_with_one_screen_there_is_no_second_window(tmp_path):
    before, lecture, _, after = run(tmp_path, (LAPTOP,))
    assert lecture["full"] and not lecture["presenter"]
    assert after["window"] == before["window"]
