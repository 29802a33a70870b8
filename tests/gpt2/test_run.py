"""What may be reused from an earlier pass, and which passes must not be confused."""

from dataclasses import replace

import numpy as np
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.int8 import exact_checkpoint, round_checkpoint
from desktop_app.gpt2.run import Run
from tests.checkpoints import write_checkpoint

IDS = (3, 1, 4, 1, 5, 9)
RUN = Run(1, IDS)


def random_checkpoint(folder, seed):
    return load_checkpoint(write_checkpoint(folder, seed=seed, tokenizer=False))


def test_one_position_at_least_is_left_to_compute():
    assert RUN.reusable(RUN) == len(IDS) - 1
    assert Run(1, (*IDS, 7)).reusable(RUN) == len(IDS)
    assert Run(1, IDS[:4]).reusable(RUN) == 3
    assert Run(1, (9, *IDS[1:])).reusable(RUN) == 0
    assert Run(1, (3,)).reusable(RUN) == 0
    assert Run(1, ()).reusable(RUN) == 0


@pytest.mark.parametrize("change", [{"model": 2}, {"edits": ("an edit",)}, {"mask": "none"}])
def test_nothing_is_taken_over_from_another_model_edit_or_mask(change):
    other = replace(RUN, **change)
    assert RUN.reusable(other) == other.reusable(RUN) == 0


def test_equal_edits_share_what_stands_before_and_no_mask_but_the_causal_one_does():
    edited = replace(RUN, edits=("an edit",))
    assert replace(edited, ids=(*IDS, 7)).reusable(edited) == len(IDS)
    unmasked = replace(RUN, mask="none")
    assert replace(unmasked, ids=(*IDS, 7)).reusable(unmasked) == 0


def test_every_set_of_weights_has_a_key_of_its_own(tmp_path):
    one, again = random_checkpoint(tmp_path / "a", 1), random_checkpoint(tmp_path / "b", 1)
    rounded = round_checkpoint(one)
    assert len({c.key for c in (one, again, rounded, exact_checkpoint(rounded))}) == 4


def test_a_pass_takes_nothing_over_from_other_weights(tmp_path):
    """Equal ids with other weights: every position is computed, and the result is that model's own."""
    one, other = (Engine(random_checkpoint(tmp_path / str(seed), seed)) for seed in (1, 2))
    earlier = other.trace(IDS)
    trace = one.trace((*IDS, 7), reuse=earlier)
    assert trace.computed == len(IDS) + 1
    np.testing.assert_array_equal(trace.logits(-1), one.trace((*IDS, 7)).logits(-1))
    assert one.trace((*IDS, 7), reuse=one.trace(IDS)).computed == 1
