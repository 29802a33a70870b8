"""Perform random actions in the real window: `./run fuzz.window [--seconds 180]`.

Typing, steps, workspaces, sliders, models, exports, sessions, and closing while busy, from a seed. Reported, with exit
code 1: an exception, a logged error, a message of an unexpected error, a warning of Python, numpy or Qt, threads or
workers that outlive their window, and memory, descriptors or threads that grow after the second ten minutes of a run
(`fuzz/level.py`). How many models a closed window leaves to Python's search for reference cycles is printed too.
"""

import argparse
import faulthandler
import gc
import logging
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from fuzz.level import Sample, level

_ACTS = 150  # in one window, before it is closed and the next one opened
_PATIENCE = 600.0  # seconds: a worker starting slowly on a busy machine is not a hang


class _Waiting:
    """The part of pytest-qt that the tests' Desk uses: waiting for a condition."""

    def waitUntil(self, condition: Callable[[], bool], timeout: int) -> None:
        from PySide6.QtWidgets import QApplication

        until = time.monotonic() + max(_PATIENCE, timeout / 1000)
        while not condition():
            QApplication.processEvents()
            if time.monotonic() > until:
                faulthandler.dump_traceback()  # where every thread is
                raise TimeoutError(f"the window does not come to rest: {_at_work()}")
            time.sleep(0.001)


def main() -> int:
    """Read the command line and fuzz; return the exit code."""
    parser = argparse.ArgumentParser(prog="./run fuzz.window", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=180, help="how long; 180 by default")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other actions")
    arguments = parser.parse_args()
    faulthandler.enable()  # a crash says where every thread was
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "HF_HOME"):
            folder = Path(scratch, variable)
            folder.mkdir()
            os.environ[variable] = str(folder)
        return _drive(arguments.seconds, arguments.seed, Path(scratch))


def _drive(seconds: float, seed: int, scratch: Path) -> int:
    from PySide6.QtCore import QEvent, QtMsgType, qInstallMessageHandler
    from PySide6.QtWidgets import QApplication

    from desktop_app.gpt2.engine import Engine
    from desktop_app.gpt2.errors import UNEXPECTED
    from desktop_app.ui.app import make_application, open_window
    from tests.checkpoints import write_checkpoint
    from tests.ui.conftest import BYTES
    from tests.ui.driver import Desk, threads
    from tests.ui.test_window_anything import Somebody

    faults: list[str] = []

    def caught(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
        faults.append("".join(traceback.format_exception(kind, fault, trace))[-3000:])

    def told(words: str) -> None:
        if words.startswith(UNEXPECTED):
            faults.append(words)

    class Logged(logging.Handler):
        """Collects logged errors: a thread's full traceback is only logged; the sentence shown may be overwritten."""

        def emit(self, record: logging.LogRecord) -> None:
            faults.append(logging.Formatter().format(record)[-3000:])

    def said(kind: QtMsgType, _where: object, words: str | None) -> None:
        # The offscreen platform has no window manager and warns when a window asks to be raised.
        if kind != QtMsgType.QtDebugMsg and "This plugin does not support" not in (words or ""):
            faults.append(f"Qt says: {words}")

    def warned(message: Warning | str, _kind: type[Warning], place: str, line: int, *_: object) -> None:
        faults.append(f"warning at {place}:{line}: {message}")

    sys.excepthook = caught
    warnings.showwarning = warned
    logging.getLogger().addHandler(Logged(logging.ERROR))
    qInstallMessageHandler(said)
    make_application(["logitscope"])
    models = [
        write_checkpoint(scratch / name, BYTES | more)
        for name, more in (("one", {}), ("two", {"n_layer": 3}), ("like one", {}))
    ]
    run = scratch / "run"
    models += [write_checkpoint(run / f"checkpoint-{n}", BYTES, seed=n) for n in range(3)]
    (run / "curves.csv").write_text("step,loss,score\n0,6,nan\n1,5,0.5\n2,4,-1\n", encoding="utf-8")
    process, chance = psutil.Process(), random.Random(seed)
    ends, began, acts, number = time.monotonic() + seconds, time.monotonic(), 0, 0
    seen: list[Sample] = []
    before = threads()

    def live() -> int:
        """Open a window, act in it, and close it; return how many actions. Its locals, which hold models, end here."""
        window = open_window(models[(0, 1, 0, 3)[number % 4]], "Hello, you")
        window.resize(1280, 800)
        window.controller.trouble.connect(told)
        desk = Desk(window, _Waiting())
        somebody = Somebody(desk, models, chance.randrange(1 << 30))
        done = 0
        try:
            while done < _ACTS and time.monotonic() < ends and not faults:
                _act(window, somebody, done, scratch)
                done += 1
            if number % 3:  # every third window is closed while busy
                desk.settle()
        except Exception as reason:  # noqa: BLE001 - what this looks for
            caught(type(reason), reason, reason.__traceback__)
        if faults:
            faults.append(f"seed {seed}, window {number}, the last actions: {somebody.did[-12:]}")
        window.close()
        if left := threads() - before:
            faults.append(f"threads left by a closed window: {left}")
        if children := process.children():
            time.sleep(1)
            children = [other for other in children if other.is_running() and "tracker" not in _line(other)]
            faults.extend(f"a process left by a closed window: {other}" for other in children)
        window.deleteLater()
        return done

    def models_left() -> int:
        return sum(isinstance(each, Engine) for each in gc.get_objects())

    while time.monotonic() < ends and not faults:
        acts += live()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QApplication.processEvents()
        if left := models_left():
            print(f"window {number}: {left} models wait for the search for cycles", flush=True)  # told; no leak yet
        gc.collect()
        if left := models_left():
            faults.append(f"models left by a closed window (seed {seed}, window {number}): {left}")
        files = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
        seen.append(Sample(time.monotonic() - began, process.memory_info().rss, files, process.num_threads()))
        number += 1
    words, growth = level(seen)
    faults += growth
    last = seen[-1]
    print(f"{acts:,} actions in {number} windows, {last.seconds:.0f} s; {last.memory / 1e6:.0f} MB, {last.descriptors} "
          f"descriptors, {last.threads} threads. {words}")  # fmt: skip
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _act(window: Any, somebody: Any, number: int, scratch: Path) -> None:
    """One action: now and then an export or a session, else what `somebody` likes."""
    from desktop_app.figures.export import Options

    training, scene, step = window.training.training, window.controller.scene, window.controller.step
    if number % 25 == 24 and scene is not None:
        window.files.export_figure(Options("svg"), scratch / "figure.svg")
    elif number % 40 == 39:
        window.files.save_session(scratch / "kept.logitscope")
    elif number % 40 == 10 and (scratch / "kept.logitscope").exists():
        window.files.open_session(scratch / "kept.logitscope")
    elif number % 30 == 28 and training is not None:
        if scene is not None and step is not None:
            window.training.clip.export(training, window.training.number, scene, step, scratch / "learned.gif")
    else:
        somebody.act()


def _at_work() -> str:
    """The busy lanes of the open windows, and what their controllers are waiting for."""
    from PySide6.QtWidgets import QApplication

    from desktop_app.ui.desks.lanes import Lane
    from desktop_app.ui.window import Window

    found = []
    for window in QApplication.topLevelWidgets():
        if isinstance(window, Window):
            c = window.controller
            busy = [lane._name for lane in window.findChildren(Lane) if lane.busy]
            found.append(f"busy {busy}, pending {c.pending}, running {c.running}, waits for {c.waiting_for}")
    return "; ".join(found)


def _line(process: Any) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return "tracker"


if __name__ == "__main__":
    sys.exit(main())
