"""Models compared in full with transformers: saved by its save_pretrained and opened here."""

import numpy as np
import pytest

from desktop_app.core.generate import Drawn, generate
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.sampling import Sampling
from tests.checkpoints import random_config, random_ids, random_weights, write_random_checkpoint
from tests.parity.make_golden import SMALL

torch = pytest.importorskip("torch", reason="the live comparison needs torch and transformers")
transformers = pytest.importorskip("transformers", reason="the live comparison needs torch and transformers")

from tests.parity.transformers_pass import TENSORS, build, tensors  # noqa: E402 - needs what is skipped for above

# Ignore warnings in libraries that only this module uses.
pytestmark = pytest.mark.filterwarnings("ignore")

SEEDS = range(20, 34)


def equal(trace, expected):
    templates = {
        name.replace(f"blocks.{layer}.", "") for layer in range(8) for name in expected if f".{layer}." in name
    }
    assert templates | set(expected) >= TENSORS
    for name, array in expected.items():
        finite = np.isfinite(array)
        found = trace[name]
        assert found.shape == array.shape, name
        assert np.array_equal(np.isfinite(found), finite), name
        limit = 1e-4 * max(1, np.abs(array[finite]).max(initial=0))
        assert np.abs(found[finite] - array[finite]).max(initial=0) <= limit, name
    return True


@pytest.fixture
def pretrained(tmp_path):
    """Saves a model with transformers and opens it here: (their model, our engine)."""

    def make(config, seed, scale=0.3):
        model = build(config, random_weights(config, seed, scale))
        model.save_pretrained(tmp_path)
        return model, Engine(load_checkpoint(tmp_path))

    yield make
    (tmp_path / "model.safetensors").unlink()  # half a gigabyte for the shape of GPT-2 small


@pytest.mark.parametrize("seed", SEEDS)
def test_every_tensor_of_a_random_model_is_equal(pretrained, seed):
    config = random_config(seed)
    model, engine = pretrained(config, seed)
    ids = random_ids(config, seed)
    assert equal(engine.trace(ids), tensors(model, ids))


def test_every_tensor_of_a_model_of_the_shape_of_gpt2_small_is_equal(pretrained):
    model, engine = pretrained(SMALL, 7, 0.05)
    ids = random_ids(SMALL, 1, 40)
    assert equal(engine.trace(ids), tensors(model, ids))


@pytest.mark.parametrize("seed", [seed for seed in SEEDS if seed % 4 == 0 and seed % 5 not in (1, 2)])
def test_transformers_reads_the_checkpoints_of_the_other_tests_as_they_are_meant(tmp_path, seed):
    config, weights = write_random_checkpoint(tmp_path, seed)
    model = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ids = random_ids(config, seed)
    assert equal(Engine(load_checkpoint(tmp_path)).trace(ids), tensors(model, ids))
    assert np.array_equal(model.transformer.wte.weight.detach().numpy(), weights["wte.weight"])


@pytest.mark.parametrize("seed", [21, 24, 28])
def test_greedy_generation_draws_the_same_tokens(pretrained, seed):
    config = random_config(seed)
    model, engine = pretrained(config, seed)
    ids = random_ids(config, seed, 4)
    events = generate(engine, ids, Sampling(greedy=True), 10, ends=())
    ours = [event.token for event in events if isinstance(event, Drawn)]
    options = {"do_sample": False, "max_new_tokens": 10, "eos_token_id": None, "pad_token_id": 0}
    theirs = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, 4, dtype=torch.long), **options)
    assert theirs[0, 4:].tolist() == ours
