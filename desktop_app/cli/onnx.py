"""`logitscope onnx`: write the model as an ONNX graph."""

import argparse

from desktop_app.cli.shared import model_folder, shown, size_of


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.files import refuse_existing

    refuse_existing(arguments.out, force=arguments.force)

    from desktop_app.gpt2.checkpoint import load_checkpoint
    from desktop_app.gpt2.export import export_onnx

    for path in export_onnx(load_checkpoint(model_folder(arguments)), arguments.out, force=arguments.force):
        print(f"{shown(str(path))}: {size_of(path)}")
    return 0
