"""Exports the whole instrumented graph as an ONNX file: weights inside, or in a separate file if too large."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from desktop_app import __version__
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.files import refuse_existing, whole_files
from desktop_app.gpt2.graph import build_graph

EMBED_LIMIT = 2_000_000_000
"""The maximum number of bytes of weights stored in the .onnx file itself; protobuf's limit is 2**31."""

_PAGE = 4096  # the ONNX specification advises offsets that allow memory mapping


def export_onnx(
    checkpoint: Checkpoint,
    path: Path,
    *,
    force: bool = False,
    embed_limit: int = EMBED_LIMIT,
    on_stage: Callable[[str], None] = lambda _stage: None,
) -> list[Path]:
    """Write the graph of body and head with its weights to `path`, and check it; return the files written.

    Inputs and outputs are those of `graph.build_graph`; every tensor of the table is an output. Weights are float32,
    however the checkpoint stores them, and go to `path` + `.data` if they exceed `embed_limit` bytes. `on_stage` is
    called with the name of each stage, and may raise to abort; then no file is left behind.

    Raises:
        ExportError: a file exists and `force` is not given, it cannot be written, or onnx.checker rejects it.
    """
    model = build_graph(checkpoint.config)
    names = [tensor.name for tensor in model.graph.initializer if tensor.name in checkpoint.weights]
    embed = sum(checkpoint.weights[name].nbytes for name in names) <= embed_limit
    paths = [path] if embed else [path, path.with_name(path.name + ".data")]
    for output in paths:
        refuse_existing(output, force=force)
    _describe(model, checkpoint)
    with whole_files(paths) as folder:
        on_stage("writing the weights")
        if embed:
            _embed(model, checkpoint)
        else:
            _write_beside(model, checkpoint, folder / paths[1].name)
        on_stage("writing the graph")
        (folder / path.name).write_bytes(model.SerializeToString())
        on_stage("checking the file")
        try:
            onnx.checker.check_model(str(folder / path.name), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as reason:
            raise ExportError(f"onnx.checker refuses the graph made for {path}: {str(reason)[:300]}") from reason
    return paths


def _describe(model: onnx.ModelProto, checkpoint: Checkpoint) -> None:
    model.producer_version = __version__
    model.doc_string = (
        "GPT-2 with every intermediate tensor as an output. There is no batch axis. Inputs: input_ids [pos], and per "
        "block past.L.key and past.L.value [head, past, d_head], of length 0 where there is no past; after a run, "
        "append blocks.L.attn.k and blocks.L.attn.v to them."
    )
    config = json.dumps(asdict(checkpoint.config))
    helper.set_model_props(model, {"model": checkpoint.name, "config": config, "source": "logitscope onnx"})


def _embed(model: onnx.ModelProto, checkpoint: Checkpoint) -> None:
    for tensor in model.graph.initializer:
        if tensor.name in checkpoint.weights:
            tensor.ClearField("external_data")
            tensor.data_location = TensorProto.DEFAULT
            tensor.raw_data = _bytes(checkpoint.weights[tensor.name])


def _write_beside(model: onnx.ModelProto, checkpoint: Checkpoint, data: Path) -> None:
    with data.open("xb") as file:
        for tensor in model.graph.initializer:
            if tensor.name in checkpoint.weights:
                file.write(b"\0" * (-file.tell() % _PAGE))
                offset = file.tell()
                length = file.write(_bytes(checkpoint.weights[tensor.name]))
                tensor.ClearField("external_data")
                for key, value in (("location", data.name), ("offset", offset), ("length", length)):
                    tensor.external_data.add(key=key, value=str(value))


def _bytes(weight: np.ndarray) -> bytes:
    return weight.astype("<f4", copy=False).tobytes()
