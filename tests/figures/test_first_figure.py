"""The first figure of a process imports matplotlib; nothing of that import holds what is drawn."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

DRAW = """
import gc, importlib, sys, weakref

class Pass: pass

def draw(module, held):
    importlib.import_module(module)

gc.disable()
held = Pass()
alive = weakref.ref(held)
assert "matplotlib" not in sys.modules
draw(sys.argv[1], held)
del held
assert "matplotlib" in sys.modules
print("held" if alive() else "free")
"""


@pytest.mark.parametrize("module", ["draw", "fonts"])
def test_what_the_first_figure_draws_is_freed_without_pythons_search_for_cycles(module):
    """pyparsing leaves exceptions in cycles, whose tracebacks hold all frames below the import."""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", DRAW, f"desktop_app.figures.{module}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("free\n", "")
