"""The memory that a model is said to need, compared with that of a process that opens it and runs one pass."""

import subprocess
import sys

import pytest

from desktop_app.core.library.memory import needed
from desktop_app.gpt2.config import load_config
from tests.gpt2.test_real_shapes import write_holes

SMALL = {"vocab_size": 50257, "n_positions": 1024, "n_layer": 12, "n_head": 12, "n_embd": 768}
WINDOW = 120_000_000
"""What the window takes in addition to Python and onnxruntime; the process below has no window."""

PASS = """
import sys
from pathlib import Path
from desktop_app.core.model import open_model
tokens = int(sys.argv[2])
trace = open_model(Path(sys.argv[1])).engine.trace([n % 256 for n in range(tokens)])
trace.logits(tokens - 1)
lines = Path("/proc/self/status").read_text().splitlines()
print(next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("tokens", [8, 64, 256, 512, 1024])
def test_what_is_said_is_within_15_percent_of_what_is_taken(tmp_path, tokens):
    write_holes(tmp_path / "small", SMALL)
    command = [sys.executable, "-P", "-c", PASS, str(tmp_path / "small"), str(tokens)]
    taken = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) + WINDOW
    said = needed(load_config(tmp_path / "small" / "config.json"), tokens).total
    assert abs(said - taken) <= 0.15 * taken, f"said {said:,}, taken {taken:,}"
