"""Opening a model: its stages, its name, and stopping in between."""

from pathlib import Path

import pytest

from desktop_app.core.model import open_model
from desktop_app.gpt2.errors import Cancelled, ModelError, TokenizerError
from desktop_app.gpt2.session import Stop
from tests.checkpoints import TINY, write_byte_tokenizer, write_checkpoint


def test_a_model_opens_in_named_stages_and_runs(tmp_path):
    stages = []
    model = open_model(write_checkpoint(tmp_path / "small"), stages.append)
    assert [stage.split(",")[0] for stage in stages] == [
        "reading the config",
        "opening the weights",
        *["checking the weights"] * TINY["n_layer"],
        "reading the tokenizer",
        "building the graph",
    ]
    assert model.name == "small"
    assert model.engine.trace(model.tokenizer.encode("AB").ids).logits(-1).shape == (TINY["vocab_size"],)


def test_a_snapshot_in_the_hub_cache_is_called_by_its_repository(tmp_path):
    folder = write_checkpoint(tmp_path / "models--openai-community--gpt2" / "snapshots" / "607a30d7")
    assert open_model(folder).name == "openai-community/gpt2"


def test_a_model_is_called_by_its_folder_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(write_checkpoint(tmp_path / "here"))
    assert open_model(Path()).name == "here"


def test_stop_ends_the_work_before_the_next_stage(tmp_path):
    folder, stop, stages = write_checkpoint(tmp_path), Stop(), []

    def on_stage(stage):
        stages.append(stage)
        stop.set()

    with pytest.raises(Cancelled):
        open_model(folder, on_stage, stop)
    assert len(stages) == 1


def test_tokens_without_a_row_hinder_only_the_text_that_needs_them(tmp_path):
    """A tokenizer may have more tokens than the model has rows, for example a padding token that is never used."""
    write_byte_tokenizer(write_checkpoint(tmp_path), 200)
    model = open_model(tmp_path)
    assert model.config.vocab_size == 97
    model.engine.check_ids(model.tokenizer.encode("Hello").ids)
    with pytest.raises(ModelError, match=r"id 150 .*outside the model's vocabulary"):
        model.engine.check_ids((7, 150))


def test_a_folder_without_tokenizer_and_one_without_weights_are_refused(tmp_path):
    with pytest.raises(TokenizerError, match="tokenizer"):
        open_model(write_checkpoint(tmp_path / "a", tokenizer=False))
    write_checkpoint(tmp_path / "b")
    (tmp_path / "b" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        open_model(tmp_path / "b")


def test_what_a_notebook_prints_of_it_is_a_short_line(tmp_path):
    model = open_model(write_checkpoint(tmp_path / "small"), int8=True)
    trace = model.engine.trace((1, 2, 3))
    for thing, words in {
        model: ("small (int8 weights)", f"parameters, from {tmp_path / 'small'}"),
        model.checkpoint: ("small", "2 blocks, 3 heads, d_model 24, int8"),
        model.engine: ("small",),
        model.tokenizer: ("Tokenizer", "tokens"),
        trace: ("Trace of 3 tokens", f"{len(trace.table)} tensors"),
    }.items():
        assert len(repr(thing)) < 120 + len(str(tmp_path)) and "\n" not in repr(thing)
        assert all(word in repr(thing) for word in words)
