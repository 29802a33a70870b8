"""Generation stops at the ids that config.json, generation_config.json and the tokenizer name, alone or in lists."""

import json

import numpy as np
import pytest

from desktop_app.core.generate import Drawn, End, Ended, generate
from desktop_app.core.model import open_model
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.sampling import Sampling
from tests.checkpoints import TINY, random_weights, write_byte_tokenizer, write_checkpoint

SIZED = TINY | {"vocab_size": 300}
EOT = 256
WORD = 40  # an ordinary byte


def folder_of(path, config=None, generation=None, tokenizer=None):
    write_checkpoint(path, SIZED | (config or {}))
    for name, content in (("generation_config.json", generation), ("tokenizer_config.json", tokenizer)):
        if content is not None:
            (path / name).write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        ({}, {EOT}),
        ({"config": {"eos_token_id": EOT}}, {EOT}),
        ({"config": {"eos_token_id": None}}, {EOT}),
        ({"config": {"eos_token_id": WORD}}, {EOT}),  # an ordinary token, and the tokenizer has its own end of text
        ({"config": {"eos_token_id": [WORD, EOT]}}, {EOT}),
        ({"config": {"eos_token_id": 290}}, {EOT}),  # an embedding row without a token
        ({"tokenizer": {"eos_token": "</s>"}}, {257}),  # the next free id
        ({"config": {"eos_token_id": EOT}, "tokenizer": {"eos_token": "</s>"}}, {EOT, 257}),
        (
            {"generation": {"eos_token_id": [EOT, 257]}, "tokenizer": {"additional_special_tokens": ["<end>"]}},
            {EOT, 257},
        ),
        (
            {
                "config": {"eos_token_id": 257},
                "generation": {"eos_token_id": 258},
                "tokenizer": {"additional_special_tokens": ["<one>", "<two>"]},
            },
            {EOT, 258},  # generation_config.json takes precedence, as in transformers
        ),
        ({"generation": {"temperature": 1.0}, "config": {"eos_token_id": EOT}}, {EOT}),
        ({"tokenizer": {"eos_token": None}, "config": {"eos_token_id": WORD}}, {WORD}),  # no other file names one
        ({"tokenizer": {"eos_token": None}}, set()),
    ],
)
def test_the_ids_that_end_a_text(tmp_path, files, ends):
    assert open_model(folder_of(tmp_path, **files)).ends == ends


@pytest.mark.parametrize("value", ["2", [2, "3"], {"id": 2}, True, 2.0])
@pytest.mark.parametrize("name", ["generation_config.json", "config.json"])
def test_an_end_that_is_no_id_is_refused_naming_the_file(tmp_path, name, value):
    folder_of(tmp_path)
    path = tmp_path / name
    raw = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(raw | {"eos_token_id": value}))
    with pytest.raises(ModelError, match=f"{name}: eos_token_id is .*; it must be a token's id or a list of them"):
        open_model(tmp_path)


@pytest.mark.parametrize("end", [EOT, 257])
def test_generation_stops_at_any_of_them(tmp_path, end):
    """The final layer norm always gives the direction of one row, so that its token is the likeliest after any text."""
    weights = random_weights(SIZED)
    weights["ln_f.weight"] = np.zeros_like(weights["ln_f.weight"])
    weights["ln_f.bias"] = 100 * weights["wte.weight"][end]
    write_checkpoint(tmp_path, SIZED, weights)
    write_byte_tokenizer(tmp_path, 300)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"additional_special_tokens": ["<end>"]}))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [EOT, 257]}))
    model = open_model(tmp_path)
    events = list(generate(model.engine, (1, 2), Sampling(greedy=True), 9, ends=model.ends))
    assert [e.token for e in events if isinstance(e, Drawn)] == [end]
    assert events[-1] == Ended(End.END_OF_TEXT)
