"""Folders in every form that transformers opens: the same logits here, and a remark on what is ignored."""

import json
import re

import numpy as np
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import ACTIVATIONS
from desktop_app.gpt2.diagnosis import diagnose
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError

torch = pytest.importorskip("torch", reason="the live comparison needs torch")
transformers = pytest.importorskip("transformers", reason="the live comparison needs transformers")
from safetensors.torch import save_file, save_model  # noqa: E402 - needs what is skipped for above

pytestmark = pytest.mark.filterwarnings("ignore")
IDS = [3, 1, 4, 1, 5, 9, 2, 6]
SHAPE = {"vocab_size": 31, "n_positions": 16, "n_embd": 12, "n_layer": 2, "n_head": 3}
INDEX = "model.safetensors.index.json"


def model(kind="GPT2LMHeadModel", **fields):
    torch.manual_seed(7)
    made = getattr(transformers, kind)(transformers.GPT2Config(**SHAPE, num_labels=2, **fields))
    for parameter in made.parameters():  # larger than at initialisation, where activation functions are nearly linear
        torch.nn.init.normal_(parameter, 0.1, 0.4)
    return made


def save_config(folder, of):
    of.config.architectures = [type(of).__name__]
    of.config.save_pretrained(folder)


def shard(folder, tensors, *, listed=None):
    """Split into two files with an index, in which the `listed` names may differ from those in the files."""
    names = sorted(tensors)
    where = {name: f"model-0000{1 + (n % 2)}-of-00002.safetensors" for n, name in enumerate(names)}
    for file in set(where.values()):
        save_file({name: tensors[name].contiguous() for name in names if where[name] == file}, folder / file)
    index = {name: where.get(name, min(where.values())) for name in (listed or names)}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))


def tied(of):
    """The tensors of a model as save_pretrained writes them: of a tied pair, only the embedding."""
    return {name: tensor.clone() for name, tensor in of.state_dict().items() if name != "lm_head.weight"}


def saved(folder):
    model().save_pretrained(folder)


def alias(folder):
    made = model()
    save_model(made, str(folder / "model.safetensors"))
    save_config(folder, made)


def alias_in_shards(folder):
    made = model()
    tensors = tied(made)
    tensors["lm_head.weight"] = tensors.pop("transformer.wte.weight")
    shard(folder, tensors)
    save_config(folder, made)


def both_names(folder):
    made = model()
    save_file({**tied(made), "lm_head.weight": made.lm_head.weight.detach().clone()}, folder / "model.safetensors")
    save_config(folder, made)


def index_lists_an_absent_head(folder):
    made = model()
    shard(folder, tied(made), listed=[*tied(made), "lm_head.weight"])
    save_config(folder, made)


def index_omits_the_head(folder):
    made = model()
    shard(folder, {**tied(made), "lm_head.weight": made.lm_head.weight.detach().clone()}, listed=list(tied(made)))
    save_config(folder, made)


def index_omits_a_buffer(folder):
    made = model()
    buffer = {"transformer.h.1.attn.bias": torch.tril(torch.ones(1, 1, 16, 16))}
    shard(folder, {**tied(made), **buffer}, listed=list(tied(made)))
    save_config(folder, made)


def untied(folder):
    model(tie_word_embeddings=False).save_pretrained(folder)


def half(folder):
    model().half().save_pretrained(folder)


def own_code(folder):
    saved(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoModelForCausalLM": "own.Model"}}))


def value_head(folder):
    """A policy with a value head, as trl saves it."""
    made = model()
    head = {"v_head.summary.weight": torch.ones(1, 12), "v_head.summary.bias": torch.zeros(1)}
    save_file(tied(made) | head, folder / "model.safetensors")
    save_config(folder, made)


def of_class(kind):
    def save(folder):
        model(kind).save_pretrained(folder)

    return save


FORMS = {
    "saved by transformers": (saved, ""),
    "tied, under the other name": (alias, ""),
    "tied, under the other name, in shards": (alias_in_shards, ""),
    "tied, under both names": (both_names, ""),
    "an index that lists an absent head": (index_lists_an_absent_head, ""),
    "an index that omits the head": (index_omits_the_head, ""),
    "an index that omits a buffer": (index_omits_a_buffer, ""),
    "a head of its own": (untied, ""),
    "half precision": (half, ""),
    "no head": (of_class("GPT2Model"), ""),
    "code of its own": (own_code, r"requests custom code \(auto_map\), which is never run"),
    "a value head": (value_head, r"v_head\.summary\.bias and 1 more, a value head, is ignored"),
    "classification": (of_class("GPT2ForSequenceClassification"), r"score\.weight, a classification or reward head"),
    "classification of tokens": (of_class("GPT2ForTokenClassification"), "a classification head"),
    "question answering": (of_class("GPT2ForQuestionAnswering"), "a question answering head"),
    "double heads": (of_class("GPT2DoubleHeadsModel"), "a multiple choice head"),
}


def reference(folder):
    made = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return made(torch.tensor([IDS])).logits[0].numpy()


@pytest.mark.parametrize("name", FORMS)
def test_a_folder_of_every_form_gives_the_logits_of_transformers(tmp_path, name):
    save, said = FORMS[name]
    save(tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    assert np.abs(Engine(checkpoint).trace(IDS)["logits"] - reference(tmp_path)).max() < 1e-4
    assert bool(checkpoint.remarks) == bool(said)
    assert re.search(said, " ".join(checkpoint.remarks))
    found = diagnose(tmp_path)
    assert [t for t in found.troubles if "tokenizer" not in t] == [] and not any(f.fault for f in found.tensors)
    assert found.remarks == checkpoint.remarks


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_name_of_an_activation_means_what_it_means_to_transformers(tmp_path, name):
    model(activation_function=name).save_pretrained(tmp_path)
    assert np.abs(Engine(load_checkpoint(tmp_path)).trace(IDS)["logits"] - reference(tmp_path)).max() < 1e-4


def test_every_other_activation_of_transformers_is_refused_by_name(tmp_path):
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    others = set(transformers.activations.ACT2FN) - set(ACTIVATIONS)
    assert {"quick_gelu", "tanh", "gelu_10", "mish"} <= others
    for name in others:
        (tmp_path / "config.json").write_text(json.dumps(config | {"activation_function": name}))
        with pytest.raises(ModelError, match=f"activation_function is '{name}'; it must be one of gelu_new"):
            load_checkpoint(tmp_path)


@pytest.mark.parametrize("field", ["n_head", "n_embd", "vocab_size", "scale_attn_weights", "layer_norm_epsilon"])
def test_null_is_refused_as_transformers_refuses_it(tmp_path, field):
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {field: None}))
    with pytest.raises(Exception, match=field):
        transformers.AutoConfig.from_pretrained(tmp_path)
    with pytest.raises(ModelError, match=f"{field} is null; it must be"):
        load_checkpoint(tmp_path)
