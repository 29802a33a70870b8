"""What a window holds after long use: the pass that is shown and nothing of those before it."""

import gc
import weakref

import pytest

from desktop_app.gpt2.tensors import size_in_bytes


@pytest.fixture
def seen(desk):
    """Weak references to every scene and trace that was shown."""
    found = []

    def note(scene):
        found.append((weakref.ref(scene), weakref.ref(scene.trace)))

    desk.c.scene_changed.connect(note)
    return found


def freed(desk):
    """Wait until what is not shown any more was let go of."""
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
    # What was derived counts with it: each tensor once, whole or by heads and rows.
    assert held + trace._cached_bytes <= 2 * size_in_bytes(desk.scene.config, len(trace)) + logits
