"""What a window keeps in memory after long use: the pass that is shown, and nothing of earlier ones."""

import ctypes
import gc
import os
import re
import subprocess
import sys
import weakref
from collections import Counter
from dataclasses import replace

import psutil
import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from desktop_app.core.session.fields import Change
from desktop_app.core.steps import workspaces
from desktop_app.gpt2 import edited
from desktop_app.gpt2.system import usable_cores
from desktop_app.gpt2.tensors import size_in_bytes
from desktop_app.ui.desks.collector import GarbageCollector
from desktop_app.ui.desks.lanes import Lane
from tests.checkpoints import write_checkpoint
from tests.conftest import ROOT
from tests.ui.conftest import BYTES
from tests.ui.driver import Desk


@pytest.fixture
def seen(desk):
    """Weak references to every scene and trace that was shown."""
    found = []

    def note(scene):
        found.append((weakref.ref(scene), weakref.ref(scene.trace)))

    desk.c.scene_changed.connect(note)
    return found


@pytest.fixture
def uncollected(qapp):
    """Nothing is collected during the test: what reference counts do not free stays."""
    gc.collect()
    collector = qapp.findChild(GarbageCollector)
    collector.stop()
    assert not gc.isenabled()
    yield
    collector.start()


def freed(desk):
    """Wait until what is no longer shown has been freed."""
    lane = desk.c.freeing
    desk.until(lambda: not (lane._timer.isActive() or lane.busy))
    gc.collect()


def test_of_all_that_was_shown_the_present_pass_alone_is_held(desk, seen):
    for text in ("A long walk through the garden", "A cat", "Another text altogether"):
        desk.write(text)
        for key in ("blocks.0.attn.pattern", "blocks.1.mlp.post", "probabilities", "blocks.1.ln1"):
            desk.go(key)
    for again in (desk.c.undo, desk.c.undo, desk.c.redo):
        again()
        desk.settle()
    desk.write("AB")
    freed(desk)
    assert len(seen) > 12
    assert {id(trace()) for _, trace in seen if trace() is not None} == {id(desk.scene.trace)}
    assert {id(scene()) for scene, _ in seen if scene() is not None} == {id(desk.scene)}


def test_what_the_present_pass_holds_is_no_more_than_its_tensors(desk):
    desk.write("A text that is looked at from all sides")
    for step in desk.c.steps:
        desk.go(step.key)
    trace = desk.scene.trace
    held = sum(array.nbytes for name in trace.captured for array in trace.first_rows(name, len(trace)))
    logits = 4 * desk.scene.config.vocab_size * len(trace)
    # Derived tensors count too: each once, whole or by heads and rows.
    assert held + trace._cached_bytes <= 2 * size_in_bytes(desk.scene.config, len(trace)) + logits


def test_of_everything_that_the_window_makes_there_is_no_more_after_eight_rounds_than_after_four(desk, monkeypatch):
    """What is created for each prompt, place and number is freed, or kept up to a bound that is soon reached here."""
    monkeypatch.setattr("desktop_app.core.session.history._LIMIT", 4)
    monkeypatch.setattr("desktop_app.ui.parts.side_tabs._KEPT", 4)

    def rounds(first, last):
        for number in range(first, last):
            desk.write(f"A text that stands for {number:03}")
            for key in ("blocks.1.mlp.post", "blocks.0.attn.pattern"):
                desk.go(key)
                desk.click(desk.window.canvas, 400, 260)
                desk.settle()
            for workspace in ("lens", "walk"):
                desk.window.do(f"workspace:{workspace}")
                desk.settle()
            desk.c.append_drawn()
            desk.settle()
            desk.c.undo()
            desk.settle()
        freed(desk)
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        found = Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in gc.get_objects())
        # How many marks, phrases and percentages a page has depends on its text; pages and views are counted.
        ours = re.compile(r"(desktop_app|PySide6)\.(?!figures\.marks\.(?!Page)|gpt2\.phrase\.|core\.levels\.Percent)")
        return {kind: n for kind, n in found.items() if ours.match(kind)}

    before = rounds(0, 4)
    after = rounds(4, 8)
    more = {kind: (before.get(kind, 0), n) for kind, n in after.items() if n > before.get(kind, 0) + 2}
    assert not more


def test_a_closed_window_lets_go_of_its_model_without_pythons_search_for_cycles(qapp, qtbot, tiny, other, uncollected):
    """Its sessions have threads, mapped files and memory, which would add up if they waited for garbage collection."""
    from desktop_app.ui.app import open_window

    counts = []
    for number in range(6):
        window = open_window((tiny, other)[number % 2], "Hello, you", int8=number % 3 == 1)
        desk = Desk(window, qtbot)
        desk.settle()
        if number % 2:
            desk.c.open_model(tiny)
            desk.settle()
            window.do("workspace:heads")
            window.do("check_all")
            desk.settle()
        held = [weakref.ref(o) for o in (desk.c.model, desk.c.model.engine, desk.scene, desk.scene.trace)]
        if number == 4:
            window.prompt.insertPlainText(" and more")  # its pass is running, and a timer to free memory is pending
            qapp.processEvents()
        window.close()
        window.deleteLater()
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        del window, desk
        assert [ref() for ref in held] == [None] * 4
        counts.append(psutil.Process().num_threads())
    assert max(counts) <= counts[0], f"threads after each window: {counts}"


def test_a_closed_window_lets_go_of_the_snapshots_that_it_opened_ahead(qapp, qtbot, tmp_path, uncollected):
    from desktop_app.ui.app import open_window

    steps = [write_checkpoint(tmp_path / "run" / f"checkpoint-{n}", BYTES, seed=n) for n in range(4)]
    window = open_window(steps[1], "Hello, you")
    desk = Desk(window, qtbot)
    desk.settle()
    kept = [weakref.ref(desk.c.loads.shelf.find(step, int8=False)) for step in steps]
    assert None not in [model() for model in kept]
    window.close()
    window.deleteLater()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    del window, desk
    assert [model() for model in kept] == [None] * 4


def test_what_a_workspace_computed_leaves_nothing_of_the_weights_file_behind(desk, monkeypatch):
    desk.write("A long walk")
    desk.until(lambda: desk.c.model.engine.packed)
    freed(desk)
    given_back = []
    monkeypatch.setattr(desk.c.model.engine, "give_back", lambda: given_back.append(1))
    desk.window.do("workspace:heads")
    desk.settle()
    desk.until(lambda: desk.c.products.lane.busy is False)
    freed(desk)
    assert given_back


def test_over_ten_windows_objects_and_threads_stay_level(qapp, qtbot, tiny, other):
    """Each window types, opens workspaces, edits, and sets another mask; every third is closed while busy."""
    from desktop_app.ui.app import open_window

    kinds, threads = {}, {}
    for number in range(10):
        window = open_window((tiny, other)[number % 2], "Hello, you")
        desk = Desk(window, qtbot)
        desk.settle()
        for step in ("lens", "heads"):
            window.do(f"workspace:{step}")
            desk.settle()
        desk.c.set(replace(desk.state, edits=(Change("blocks.0.attn.z[1]=0"),), mask="window:2"))
        if number % 3:
            desk.settle()
        window.close()
        window.deleteLater()
        del window, desk
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if number in (3, 9):
            gc.collect()
            kinds[number] = Counter(type(o) for o in gc.get_objects())
            threads[number] = psutil.Process().num_threads()
    ours = {"desktop_app", "PySide6", "pyqtgraph", "onnxruntime", "threading"}
    more = {k: n for k, n in (kinds[9] - kinds[3]).items() if n > 2 and k.__module__.partition(".")[0] in ours}
    assert not more
    assert threads[9] <= threads[3]


def test_a_window_has_few_threads_after_every_workspace_and_an_edit_of_every_block(open_desk, tmp_path):
    """A session of onnxruntime has a thread for each core but one: of the sessions there are few, however deep."""
    before = psutil.Process().num_threads()
    desk = open_desk(write_checkpoint(tmp_path / "deep", {**BYTES, "n_layer": 8}), "Hello, you")
    for place in workspaces(desk.c.model.config):
        desk.c.set(replace(desk.state, workspace=place.key))
        desk.settle()
    desk.window.do("workspace:lens")
    for block in range(8):
        for site in ("attn.z[1]", "mlp_out", "mlp.post[:, 5]"):
            desk.c.set(replace(desk.state, edits=(Change(f"blocks.{block}.{site}=0"),)))
            desk.settle()
    whole = 6  # sessions: the head, the lean and the full graph, each while its packed successor is being made, too
    more = psutil.Process().num_threads() - before
    assert more <= (edited._SHARED + whole) * max(1, usable_cores() - 1) + len(desk.window.findChildren(Lane))


HEAPS = """
import ctypes, os, tempfile, threading
from desktop_app.ui.app import make_application

def heaps():
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    path = tempfile.mktemp()
    file = ctypes.c_void_p(libc.fopen(path.encode(), b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
    return open(path).read().count("<heap nr=")

app = make_application(["logitscope"])
before, libc = heaps(), ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
barrier = threading.Barrier(12)
threads = [threading.Thread(target=lambda: (libc.malloc(50_000), barrier.wait())) for _ in range(12)]
for each in threads: each.start()
for each in threads: each.join()
print(before, heaps())
"""


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_info"), reason="glibc's heaps")
def test_threads_of_the_program_take_no_heaps_of_their_own():
    """As glibc itself counts them: each heap keeps the most that its threads ever held."""
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-P", "-c", HEAPS], env=around, capture_output=True, text=True, check=True)
    before, after = map(int, ran.stdout.split())
    assert after == before
