"""The cache shared with transformers, in both directions, and what its save_pretrained writes; needs torch."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from desktop_app.core.library.cache import hub_cache
from desktop_app.core.library.find import find_model
from desktop_app.core.library.hub import download
from desktop_app.core.library.references import parse_hub_name
from desktop_app.core.model import open_model
from tests.checkpoints import random_weights
from tests.hub.conftest import CONFIG, ROOT
from tests.hub.fixtures import NAME

pytest.importorskip("torch", reason="the comparison needs torch and transformers")
pytest.importorskip("transformers", reason="the comparison needs torch and transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

TEXT = "The cat, naïve 猫"
THEIRS = """
import json, sys, torch
from transformers import AutoTokenizer, GPT2LMHeadModel
name, text = sys.argv[1:]
model, tokenizer = GPT2LMHeadModel.from_pretrained(name), AutoTokenizer.from_pretrained(name)
ids = tokenizer(text)["input_ids"]
print(json.dumps([ids, model(torch.tensor([ids])).logits[0].tolist()]))
"""


def theirs(name, **environment):
    """Token ids and logits of TEXT from transformers, in a separate process."""
    done = subprocess.run(
        [sys.executable, "-c", THEIRS, name, TEXT],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    ids, logits = json.loads(done.stdout.splitlines()[-1])
    return ids, np.array(logits)


def ours(folder):
    model = open_model(folder)
    ids = model.tokenizer.encode(TEXT).ids
    return list(ids), model.engine.trace(ids)["logits"]


def assert_equal(one, other):
    assert one[0] == other[0]
    assert np.abs(one[1] - other[1]).max() <= 1e-4 * np.abs(other[1]).max()


def test_what_transformers_fetched_is_simply_there(hub):
    expected = theirs(NAME, HF_HUB_OFFLINE="0", HF_HUB_DISABLE_XET="1")
    assert_equal(ours(find_model(NAME)), expected)
    hub.requests.clear()
    download(parse_hub_name(NAME))
    assert not any(r["path"].endswith("safetensors") for r in hub.requests), "its weights are not fetched again"


def test_what_was_fetched_here_transformers_finds_offline(hub):
    folder = download(parse_hub_name(NAME))
    asked = len(hub.requests)
    assert_equal(ours(folder), theirs(NAME, HF_HUB_OFFLINE="1"))
    assert len(hub.requests) == asked


def test_the_library_finds_our_snapshot_and_counts_it_as_one_repository(hub):
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    folder = download(parse_hub_name(NAME))
    scan = scan_cache_dir(hub_cache())
    assert [(r.repo_id, len(r.revisions), r.nb_files) for r in scan.repos] == [(NAME, 1, 4)] and not scan.warnings
    assert try_to_load_from_cache(NAME, "config.json", cache_dir=hub_cache()) == str(folder / "config.json")


def test_a_sharded_save_pretrained_opens_unchanged_with_equal_logits(tiny, tmp_path):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(**CONFIG)).eval()
    weights = {f"transformer.{n}": torch.from_numpy(w.copy()) for n, w in random_weights(CONFIG, 5, 0.2).items()}
    model.load_state_dict(weights, strict=False)
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 1
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(tiny / name, tmp_path / name)
    ids, found = ours(tmp_path)
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_stored_and_float32_is_computed(tiny, tmp_path, dtype):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(**CONFIG)).eval().to(getattr(torch, dtype))
    model.save_pretrained(tmp_path)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(tiny / name, tmp_path / name)
    opened = open_model(tmp_path)
    assert all(w.dtype == np.float32 for w in opened.checkpoint.weights.values())
    ids = opened.tokenizer.encode(TEXT).ids
    with torch.no_grad():
        expected = model.float()(torch.tensor([list(ids)])).logits[0].numpy()
    assert np.abs(opened.engine.trace(ids)["logits"] - expected).max() <= 1e-4 * np.abs(expected).max()
