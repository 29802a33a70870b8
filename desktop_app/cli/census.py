"""`logitscope census`: count a model's parameters."""

import argparse
import json

from desktop_app.cli.shared import model_folder, shown


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.files import refuse_existing, whole_file

    if arguments.json is not None:
        refuse_existing(arguments.json, force=arguments.force)

    from desktop_app.core.census import as_data, as_table, census, references
    from desktop_app.core.library.catalogue import title_of
    from desktop_app.gpt2.checkpoint import load_checkpoint

    folder = model_folder(arguments)
    checkpoint = load_checkpoint(folder)
    models = (census(title_of(folder) or checkpoint.name, checkpoint.config), *references())
    table = [[shown(cell) for cell in line] for line in as_table(models)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for title, *cells in table:
        numbers = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        print(f"{title:{widths[0]}}  {'  '.join(numbers)}")
    print("Biases are counted with their matrices.")
    for note in dict.fromkeys(model.note for model in models if model.note):
        print(shown(f"{', '.join(model.name for model in models if model.note == note)}: {note}."))
    if arguments.json is not None:
        with whole_file(arguments.json) as file:
            file.write((json.dumps([as_data(model) for model in models], indent=1) + "\n").encode())
    return 0
