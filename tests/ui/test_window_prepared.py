"""What a pass prepares in its worker thread, and what happens to what was shown before."""

import threading
import weakref

import pytest

from desktop_app.core import prepared
from desktop_app.core.steps import view_key


@pytest.fixture
def built(monkeypatch):
    """The threads in which views were built, by step."""
    seen = []
    real = prepared.build_view

    def build_view(scene, step):
        seen.append((step.key, threading.current_thread() is threading.main_thread()))
        return real(scene, step)

    for module in ("desktop_app.core.prepared", "desktop_app.ui.desks.scene_desk"):
        monkeypatch.setattr(f"{module}.build_view", build_view)
    return seen


def test_a_view_of_a_new_text_is_built_beside_the_window_and_once(desk, built):
    desk.go("blocks.1.attn.pattern")
    built.clear()
    desk.paste(" more")
    desk.settle()
    assert built
    assert all(step == "blocks.1.attn.pattern" and not in_window for step, in_window in built)
    count = len(built)
    desk.go("blocks.1.mlp.post")
    assert built[count:] == [("blocks.1.mlp.post", True)]


def test_a_prepared_view_is_not_shown_for_another_step_head_or_text(desk):
    desk.go("blocks.0.attn.pattern")
    scene, step = desk.scene, desk.c.step
    view, key = prepared.build_view(scene, step), view_key(scene, step)
    ready = prepared.Prepared(desk.c.model, scene.passes, scene, view, key)
    assert ready.view_of(scene, step) is ready.view
    desk.c.go_head(1)
    assert ready.view_of(desk.scene, step) is not ready.view
    desk.c.go_head(-1)
    assert ready.view_of(desk.scene, step) is ready.view
    desk.c.go_by(1)
    assert ready.view_of(desk.scene, desk.c.step) is not ready.view
    desk.c.go_by(-1)
    desk.paste("x")
    desk.settle()
    assert ready.view_of(desk.scene, desk.c.step) is not ready.view


def test_a_view_that_cannot_be_prepared_leaves_the_pass_and_every_other_step(desk, monkeypatch):
    real = prepared.build_view

    def build_view(scene, step):
        if threading.current_thread() is not threading.main_thread() or step.key == "tokens":
            raise MemoryError
        return real(scene, step)

    for module in ("desktop_app.core.prepared", "desktop_app.ui.desks.scene_desk"):
        monkeypatch.setattr(f"{module}.build_view", build_view)
    desk.go("blocks.0.ln1")
    desk.paste(" more")
    desk.settle()
    assert desk.c.is_current
    assert desk.c.present_view(desk.scene, desk.c.step).title.startswith("Block 0")


def test_a_model_goes_although_the_next_one_cannot_run_the_text(desk, other):
    desk.until(lambda: not desk.c.freeing.busy)
    desk.write("")
    desk.settle()
    old = weakref.ref(desk.c.model.checkpoint)
    desk.c.open_model(other)
    desk.settle()
    desk.until(lambda: old() is None)


def test_a_trace_that_is_not_shown_any_more_is_freed(desk):
    old = weakref.ref(desk.scene.trace)
    desk.paste(" more")
    desk.settle()
    desk.until(lambda: old() is None)


def test_a_model_that_was_closed_is_freed(desk, other):
    desk.go("embed")  # this step caches what it read from the model's tables
    old = weakref.ref(desk.c.model.checkpoint)
    desk.c.open_model(other)
    desk.settle()
    desk.until(lambda: old() is None)
