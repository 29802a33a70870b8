"""Run the cells of docs/notebooks as Jupyter would, and write their outputs into the notebooks.

    .venv/bin/python -P packaging/notebooks.py            # run them and write their outputs
    .venv/bin/python -P packaging/notebooks.py --check    # run them and compare with the stored outputs

Jupyter is not needed: the cells are plain Python, run in order in one namespace, in an empty folder.
"""

import ast
import contextlib
import difflib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"


def executed(path):
    """The notebook at `path` with the outputs of a fresh run. Raises any exception of a cell."""
    book = json.loads(path.read_text(encoding="utf-8"))
    namespace = {"__name__": "__main__"}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
            for number, cell in enumerate(cells, 1):
                cell["execution_count"] = number
                cell["outputs"] = _outputs("".join(cell["source"]), namespace, f"{path.name}, cell {number}", number)
        finally:
            os.chdir(before)
    return book


def text(book):
    """A notebook as the text of its file."""
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def _outputs(source, namespace, name, number):
    """The outputs of a cell: printed text, and the value of its last expression."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    said, value = io.StringIO(), None
    with contextlib.redirect_stdout(said):
        exec(compile(tree, name, "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    found = []
    if said.getvalue():
        found.append({"output_type": "stream", "name": "stdout", "text": _lines(said.getvalue())})
    if value is not None:
        data = {"text/plain": _lines(repr(value))}
        if hasattr(value, "_repr_svg_"):
            data["image/svg+xml"] = _lines(value._repr_svg_())
        shown = {"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": data}
        found.append(shown)
    return found


def _lines(words):
    return words.splitlines(keepends=True)


def main(arguments):
    """Run every notebook; 1 if `--check` is given and the outputs of one differ from the stored ones."""
    status = 0
    for path in sorted(FOLDER.glob("*.ipynb")):
        stands, now = path.read_text(encoding="utf-8"), text(executed(path))
        if stands == now:
            print(f"{path.name}: unchanged")
        elif "--check" in arguments:
            changed = difflib.unified_diff(stands.splitlines(), now.splitlines(), "stored", "now", n=1)
            print(f"{path.name}: its outputs have changed", *(line[:200] for line in changed), sep="\n")
            status = 1
        else:
            path.write_text(now, encoding="utf-8")
            print(f"{path.name}: written")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
