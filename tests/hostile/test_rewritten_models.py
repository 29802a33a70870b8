"""A model's file is written to while it is open: reported before a pass or before reading a weight, never a crash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.int8 import round_checkpoint
from tests.checkpoints import write_checkpoint

ROOT = Path(__file__).resolve().parents[2]
IDS = (3, 1, 4, 1, 5)


@pytest.fixture
def models(tmp_path):
    """The weight files of two models of the same shape."""
    return [
        write_checkpoint(tmp_path / name, seed=seed, tokenizer=False) / "model.safetensors"
        for name, seed in (("old", 0), ("new", 1))
    ]


def overwrite(old, new):
    """As `cp new old` does: the same inode, other bytes."""
    shutil.copyfile(new, old)
    os.utime(old, ns=(1, 1))  # so that a coarse clock does not matter


@pytest.mark.parametrize("packed", [False, True])
def test_a_pass_after_it_is_a_sentence(models, packed):
    old, new = models
    engine = Engine(load_checkpoint(old.parent))
    if packed:
        engine.prepack()
    trace = engine.trace(IDS)
    overwrite(old, new)
    for call in (
        lambda: engine.trace((*IDS, 7)),
        lambda: engine.trace((*IDS, 7), reuse=trace),
        lambda: engine.logits(np.ascontiguousarray(trace["ln_final.out"])),
        lambda: next(engine.tensors(IDS, ["embed"])),
        lambda: engine.checkpoint.weights["embed.W_E"],
        engine.checkpoint.require_unchanged,
    ):
        with pytest.raises(ModelError, match=r"old/model\.safetensors was written to while it was open"):
            call()
    assert Engine(load_checkpoint(old.parent)).trace(IDS).logits(-1) is not None


def test_a_rounded_model_is_no_other_case(models):
    old, new = models
    checkpoint = round_checkpoint(load_checkpoint(old.parent))
    overwrite(old, new)
    with pytest.raises(ModelError, match="written to"):
        checkpoint.require_unchanged()


def test_a_file_that_was_cut_does_not_end_the_process(models):
    """It was SIGBUS, exit code -7, which closed the window and lost all that was typed."""
    script = f"""
import os
from pathlib import Path
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
path = Path({str(models[0])!r})
engine = Engine(load_checkpoint(path.parent))
engine.trace((1, 2, 3))
os.truncate(path, 0)
try:
    engine.trace((1, 2, 3, 4))
except ModelError as reason:
    print(reason)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "was written to while it was open" in done.stdout, (done.returncode, done.stderr)


def test_a_file_that_was_replaced_by_a_rename_or_deleted_changes_nothing(models):
    old, new = models
    engine = Engine(load_checkpoint(old.parent))
    before = engine.trace(IDS).logits(-1)
    new.replace(old)
    assert np.array_equal(engine.trace(IDS).logits(-1), before)
    old.unlink()
    assert np.array_equal(engine.trace(IDS).logits(-1), before)
