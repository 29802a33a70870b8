"""What the command palette finds by name: steps, heads, weights, examples and tokens, each with its intent."""

from collections.abc import Sequence

from desktop_app.core.asking.intents import GoTo, Intent, Open, Pin, Show, ShowHead
from desktop_app.core.lessons.examples import examples
from desktop_app.core.model import Model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.places import Step
from desktop_app.core.probabilities import found_words
from desktop_app.core.scene import Scene
from desktop_app.core.views.weights import weight_names

Found = tuple[str, Intent]
"""A line of the command palette, and its intent."""


def places(model: Model | None, steps: Sequence[Step]) -> list[Found]:
    """The steps, heads and weights of the open model, if any, and the examples."""
    found: list[Found] = []
    if model is not None:
        for step in steps:
            where = f"Block {step.layer} · " if step.layer is not None else ""
            found.append((f"{where}{step.text.name}    {step.key}", GoTo(step.key)))
        for layer in range(model.config.n_layer):
            heads = range(model.config.n_head)
            found += [(f"Block {layer}, head {head}", ShowHead(head, layer)) for head in heads]
        found += [(f"Weight {name}", Open(Cell(name, ()))) for name in weight_names(model.config)]
    return found + [(f"Example: {example.title}", Show(example)) for example in examples()]


def tokens_spelled(text: str, scene: Scene) -> list[Found]:
    """Tokens of the vocabulary with this text; choosing one pins it in the list of probabilities."""
    # A text that is not a single token finds nothing here; the command Find takes its first token instead.
    ids = [i for i in scene.tokenizer.find(text) if i < len(scene.ranked)]
    if not text.startswith(("#", "'")):
        ids = [i for i in ids if scene.tokenizer.decode((i,)).strip() == text.strip()]
    return [(f"Token {found_words(scene, i)}", Pin(i)) for i in ids]
