"""Saved traces: sealed safetensors files that contain their config, edits and mask; or numpy archives."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config, parse_config
from desktop_app.gpt2.edit import Cells, Edit, keep_and_put, put_from, read_edit, sites_of
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.jsonfile import parse_json
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.npz_file import write_npz
from desktop_app.gpt2.run import Run, new_model_key
from desktop_app.gpt2.safetensors_file import SafetensorsFile, write_safetensors
from desktop_app.gpt2.tensors import tensor_table

Array = NDArray[Any]
_FORMAT = "logitscope.trace.2"
_WITHOUT_DIGESTS = "logitscope.trace.1"
_MADE_WITH = "weights_sha256"
_EDITS, _MASK = "edits", "mask"


def names_to_save(config: Config, names: Sequence[str] | None = None, edits: Sequence[Edit] = ()) -> list[str]:
    """The names of the tensors in a saved trace, in the order of the table: `names`, or all.

    They always include `tokens`, and `put` of every edit whose numbers do not follow from its text.
    """
    always = {"tokens", *(f"{edit.site}.put" for edit in edits if isinstance(edit.put, Cells))}
    return [n for n in tensor_table(config, sites_of(edits)) if names is None or n in names or n in always]


def save_tensors(
    path: Path,
    config: Config,
    positions: int,
    names: Sequence[str],
    arrays: Iterable[Array],
    note: Mapping[str, str] | None = None,
    *,
    digest: str = "",
    edits: Sequence[Edit] = (),
    mask: str = CAUSAL,
) -> None:
    """Write tensors of `positions` tokens under their names; `tokens` as int64, the others as float32.

    The file is sealed safetensors or, if its name ends in .npz, a numpy archive. The metadata contain the `edits` of
    the pass, and its `mask` if that is not GPT-2's. `arrays` yields the tensors in the order of `names`, so that only
    one need be in memory. `digest` is the checkpoint's, which `read_trace` compares. Raises ExportError.
    """
    about = {"format": _FORMAT, "config": json.dumps(asdict(config)), **(note or {})}
    if digest:
        about[_MADE_WITH] = digest
    if edits:
        about[_EDITS] = json.dumps([edit.text for edit in edits])
    if mask != CAUSAL:
        about[_MASK] = mask
    if path.suffix.lower() == ".npz":
        write_npz(path, names, arrays, about)
        return
    table = tensor_table(config, sites_of(edits))
    shapes = {
        name: (np.dtype(np.int64 if name == "tokens" else np.float32), table[name].spec.shape(config, positions))
        for name in names
    }
    write_safetensors(path, shapes, arrays, about, sealed=True)


def read_trace(path: Path, model: Checkpoint | None = None) -> tuple[Config, dict[str, Array], Run]:
    """The config, the tensors (mapped from the file) and the run of a saved trace.

    Raises ModelError for any other kind of file, for a file that was changed after it was saved, and for a trace that
    another model than `model` computed.
    """
    file = SafetensorsFile(path)
    if file.metadata.get("format") == _WITHOUT_DIGESTS:
        raise ModelError(
            f"{path} was saved by an earlier Logitscope, which kept no digests of its model and its numbers; "
            "save it again with logitscope trace."
        )
    if file.metadata.get("format") != _FORMAT or "tokens" not in file.entries:
        raise ModelError(f"{path} is not a trace saved by Logitscope.")
    if not file.is_as_sealed():
        raise ModelError(f"{path} is not as it was saved: something in it was changed; save it again.")
    raw = parse_json(file.metadata.get("config", "").encode(), what=f"The config in {path}", error=ModelError)
    # A GPT-2's config.json has no `bias` and no `int8`, but both change the numbers.
    own = (raw.get("bias") is not False, raw.get("int8") is True)
    config = replace(parse_config(raw, str(path)), bias=own[0], int8=own[1])
    positions = file.entries["tokens"].shape
    edits = _saved_edits(file, config, positions)
    mask = str(mask_of(file.metadata.get(_MASK, CAUSAL), config))
    table = tensor_table(config, sites_of(edits), mask)
    for name, entry in file.entries.items():
        fits = name in table and len(positions) == 1 and 0 < positions[0] <= config.n_positions
        dtype = "I64" if name == "tokens" else "F32"
        if not fits or entry.shape != table[name].spec.shape(config, positions[0]) or entry.dtype != dtype:
            raise ModelError(f"{path}: the tensor {name[:80]!r} does not fit the trace's own config.")
    ids = file.read("tokens")
    if not 0 <= ids.min() <= ids.max() < config.vocab_size:
        raise ModelError(f"{path}: token ids from {ids.min()} to {ids.max()} do not fit the trace's own config.")
    if model is not None:
        _require_made_by(model, config, file)
    run = Run(new_model_key(), tuple(ids.tolist()), edits, mask)
    # `keep` and `put` follow from the edits, so a file with only some of the tensors need not contain them.
    given = keep_and_put(edits, config, positions[0], mask)
    return config, {name: file.read(name) for name in file.entries} | given, run


def _saved_edits(file: SafetensorsFile, config: Config, positions: tuple[int, ...]) -> tuple[Edit, ...]:
    if _EDITS not in file.metadata:
        return ()
    wrapped = f'{{"edits": {file.metadata[_EDITS]}}}'.encode()
    texts = parse_json(wrapped, what=f"The edits in {file.path}", error=ModelError)["edits"]
    if len(positions) != 1 or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ModelError(f"{file.path} names edits that are not a list of texts; save it again.")
    found = []
    for text in texts:
        edit, source = read_edit(text, config, positions[0])
        if source:  # the numbers are in the file, as the tensor `.put`
            put = f"{edit.site}.put"
            shape = tensor_table(config)[edit.site].spec.shape(config, positions[0])
            if put not in file.entries or (file.entries[put].dtype, file.entries[put].shape) != ("F32", shape):
                raise ModelError(f"{file.path} lacks the numbers put into {edit.site}; save it again with all tensors.")
            edit = put_from(edit, file.read(put)[tuple(slice(*span) for span in edit.where)], text)
        found.append(edit)
    return tuple(found)


def _require_made_by(model: Checkpoint, config: Config, file: SafetensorsFile) -> None:
    """Raise ModelError unless `model` computed the file; otherwise its numbers would be attributed to another model."""
    maker = file.metadata.get("model", "")
    named = f" ({maker[:80]!a})" if maker else ""
    if config != model.config:
        ours, theirs = replace(model.config, int8=False), replace(config, int8=False)
        if ours == theirs:
            how = "rounded to int8" if config.int8 else "exact"
            raise ModelError(f"{file.path} was saved with weights that are {how}; open {model.name} the same way.")
        raise ModelError(
            f"{file.path} was saved with a model of another shape{named} than {model.name}; specify that model."
        )
    if file.metadata.get(_MADE_WITH) != model.digest:
        raise ModelError(f"{file.path} was computed by another model{named} than {model.name}; specify that model.")
