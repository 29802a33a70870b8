"""Mapped arrays: their pages are dropped and read again, with the same numbers."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.mapped import release, released
from tests.checkpoints import TINY, random_weights, write_checkpoint


def resident(path: Path) -> int:
    """Bytes of a file's mapping that are resident in this process, as Linux counts them."""
    found, counting = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0] and ":" not in line.split(" ")[0]:
            counting = line.endswith(str(path))
        elif counting and line.startswith("Rss:"):
            found += 1024 * int(line.split()[1])
    return found


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's account of mappings")
def test_pages_are_let_go_and_read_again_with_the_same_numbers(tmp_path):
    path = tmp_path / "numbers"
    numbers = np.arange(1 << 20, dtype=np.float32)
    numbers.tofile(path)
    mapped = np.memmap(path, np.float32, "r").view(np.ndarray)[7:]
    assert (mapped == numbers[7:]).all() and resident(path) == numbers.nbytes
    release([mapped, mapped[3:]])
    assert resident(path) == 0
    assert (mapped == numbers[7:]).all()
    with released([mapped]):
        assert mapped.sum() > 0
    assert resident(path) == 0


def test_arrays_that_are_not_mapped_or_may_be_written_to_are_left_alone(tmp_path):
    plain = np.arange(10.0)
    (tmp_path / "file").write_bytes(bytes(mmap.PAGESIZE))
    written = np.memmap(tmp_path / "file", np.uint8, "c")
    written[:] = 7
    release([plain, written])
    assert plain.sum() == 45 and (written == 7).all(), "what was written to a private copy is in no file"


def test_packing_leaves_no_page_of_the_weights_behind(tmp_path):
    config = TINY | {"n_embd": 384, "n_layer": 4}
    folder = write_checkpoint(tmp_path, config, random_weights(config), tokenizer=False)
    engine = Engine(load_checkpoint(folder))
    before = engine.trace((3, 1, 4))["logits"]
    engine.prepack()
    if Path("/proc/self/smaps").exists():
        assert resident(folder / "model.safetensors") == 0
    assert np.allclose(engine.trace((3, 1, 4))["logits"], before, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's account of mappings")
@pytest.mark.parametrize(("limit", "held"), [(1, False), (1 << 40, True)])
def test_what_is_computed_from_a_long_text_leaves_no_page_of_the_weights_behind(tmp_path, monkeypatch, limit, held):
    config = TINY | {"n_embd": 384, "n_layer": 4}
    folder = write_checkpoint(tmp_path, config, random_weights(config), tokenizer=False)
    engine = Engine(load_checkpoint(folder))
    engine.prepack()
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", limit)  # with 1, every text is long
    with engine.sparing(3):
        assert all(np.isfinite(weight).all() for weight in engine.checkpoint.weights.values())
    assert (resident(folder / "model.safetensors") > 0) == held
