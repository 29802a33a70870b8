"""What the machine has, beside what another program says of it."""

import shutil
import subprocess

import pytest

from desktop_app.gpt2.machine import available_memory


@pytest.mark.skipif(not shutil.which("free"), reason="procps is not installed")
def test_available_memory_is_what_free_says_or_less_where_a_container_has_less():
    said = subprocess.run(["free", "-b"], capture_output=True, text=True, check=True).stdout
    available = int(next(line for line in said.splitlines() if line.startswith("Mem")).split()[-1])
    found = available_memory()
    assert found is not None and 0 < found < available + (1 << 30)
