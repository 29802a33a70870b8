"""What the analyses find in the bundled model: the textbook induction circuit of two heads."""

import numpy as np
import pytest

from desktop_app.core.analysis import heads, labels, score
from desktop_app.core.model import open_model


@pytest.fixture(scope="module")
def model(bundled_folder):
    return open_model(bundled_folder)


@pytest.fixture(scope="module")
def measured(model):
    return heads.compute(model.engine, begin=model.tokenizer.eos_id)


def strongest(measured, name):
    layer, head = np.unravel_index(int(measured.scores[name].argmax()), measured.scores[name].shape)
    return int(layer), int(head)


@pytest.mark.parametrize("name", ["previous", "induction"])
def test_the_strongest_head_of_its_kind_is_called_so(measured, name):
    assert name in [label.score for label in labels.labels_of(measured, *strongest(measured, name))]


def test_heads_called_after_the_first_token_are_those_that_nothing_else_fits(measured):
    """Nearly every head sometimes attends mainly to the first token; its label says what it does otherwise."""
    named = labels.labels(measured)
    first = {(label.layer, label.head) for label in named if label.score == "first"}
    assert not first & {(label.layer, label.head) for label in named if label.score != "first"}


def test_the_induction_head_s_score_opens_to_the_previous_token_head(model, measured):
    """On a repeated made-up word: the head finds the key by the token before it."""
    first, second = "My friend", " Vexilo came. I like"
    query = len(model.tokenizer.encode(first + second).ids) + 1  # the second token of the word's second occurrence
    key = len(model.tokenizer.encode(first).ids) + 2  # the third token of its first
    ids = model.tokenizer.encode(f"{first}{second} Vexilo").ids[: query + 1]
    assert ids[query] == ids[key - 1]
    trace = model.engine.trace(ids)
    layer, head = strongest(measured, "induction")
    looks = trace.read(f"blocks.{layer}.attn.pattern", head=head, row=query)
    assert looks.argmax() == key
    made = score.compute(model.checkpoint, trace, layer=layer, head=head, query=query, key=key)
    answered = made.by_key_part(relative=True)
    part = made.key_parts[int(answered.argmax())]
    assert (part.layer, part.head) == strongest(measured, "previous")
    assert made.relative_score > 1
