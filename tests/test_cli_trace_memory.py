"""The memory of `logitscope trace`: of a long text only one block's tensors are held, however many blocks there are."""

import subprocess
import sys

import pytest

from tests.gpt2.test_real_shapes import write_holes

TOKENS, HEADS, WIDTH = 1024, 4, 64
SHAPE = {"vocab_size": 300, "n_positions": TOKENS, "n_embd": WIDTH, "n_head": HEADS}
BLOCK = 4 * (4 * HEADS * TOKENS**2 + 20 * TOKENS * WIDTH)
"""Bytes of a block's tensors: scores, scaled, masked and pattern [head, query, key], and about twenty as wide as x."""

TRACE = """
import sys
from desktop_app.cli import main
status = main(["trace", *sys.argv[1:]])
lines = open("/proc/self/status").read().splitlines()
print("peak", next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")))
sys.exit(status)
"""


def peak(folder, tokens, out):
    """Bytes that a process took at most."""
    ids = " ".join(str(n % 256) for n in range(tokens))
    command = [sys.executable, "-P", "-c", TRACE, "--model", str(folder), "--ids", ids, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.rsplit("peak ", 1)[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_trace_holds_one_block_s_tensors_and_not_those_of_all(tmp_path):
    taken = {}
    for layers in (2, 8):
        folder = tmp_path / f"of {layers}"
        write_holes(folder, {**SHAPE, "n_layer": layers})
        short, long = (peak(folder, n, tmp_path / f"{layers}-{n}.safetensors") for n in (4, TOKENS))
        taken[layers] = long - short
        assert (tmp_path / f"{layers}-{TOKENS}.safetensors").stat().st_size > layers * 4 * 4 * HEADS * TOKENS**2
    # A block's tensors are there twice for a moment, as onnxruntime made them and as arrays; then its weights.
    assert taken[8] < 2.5 * BLOCK, f"{taken[8]:,} bytes beside {BLOCK:,} of a block"
    assert taken[8] < taken[2] + BLOCK / 2, "six more blocks take no more"
