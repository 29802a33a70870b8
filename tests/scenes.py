"""Open models and make scenes for tests of views and figures, and iterate over the panels of a view."""

from pathlib import Path

from desktop_app.core.model import open_model
from desktop_app.core.panels import Box
from desktop_app.core.scene import make_scene
from desktop_app.core.session.state import State
from desktop_app.core.steps import build_view, step_list
from tests.checkpoints import TINY, write_checkpoint

BUNDLED = Path(__file__).resolve().parent.parent / "models" / "bundled"
CONFIG = TINY | {"vocab_size": 300, "n_positions": 256}  # all 256 bytes and <|endoftext|>
TEXT = "The cat sat on the mat; the cat sat"


def open_tiny(folder, config=CONFIG, weights=None):
    return open_model(write_checkpoint(folder, config, weights))


def scene_of(model, text=TEXT, ids=None, trace=None, **state):
    """The scene of a text (or of ids) and a state."""
    ids = model.tokenizer.encode(text).ids if ids is None else ids
    trace = model.engine.trace(ids) if trace is None else trace
    return make_scene(model.name, model.checkpoint, model.tokenizer, trace, State(text=text, **state))


def shown_steps(config, layer):
    """Every step outside the blocks, and the steps of one block."""
    return [step for step in step_list(config) if step.layer in (None, layer)]


def panels(item):
    """The panels of a view or box, in order."""
    if not isinstance(item, Box):
        yield item
        return
    for child in item.children:
        yield from panels(child)


def panels_of(scene, step):
    return list(panels(build_view(scene, step).content))
