"""From the start of the process to a live window with the bundled model's first pass drawn."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.child import ROOT
from benchmarks.table import Row, against, interleaved

_EMPTY = """
import numpy, onnxruntime, pyqtgraph
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication([])
window = QWidget()
window.resize(1440, 900)
window.show()
QTimer.singleShot(0, app.quit)
app.exec()
"""

_LIVE = """
import sys
from PySide6.QtCore import QTimer
from desktop_app.ui.app import make_application, open_window
app = make_application()
window = open_window()
window.controller.scene_changed.connect(lambda _scene: QTimer.singleShot(0, app.quit))
app.exec()
assert window.controller.scene is not None
sys.stdout.flush()
import os
os._exit(0)
"""


def rows(runs: int) -> Iterator[Row]:
    """The one row of this module."""
    with tempfile.TemporaryDirectory() as config:
        environment = {**os.environ, "XDG_CONFIG_HOME": config}
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")

        def run(program: str) -> float:
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True)
            return time.perf_counter() - begun

        times = interleaved(lambda: run(_LIVE), lambda: run(_EMPTY), runs=runs)
    yield against("start to the first pass drawn, against imports and an empty window", *times, 2.0)
