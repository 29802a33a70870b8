"""The machine's resources, compared with what another program reports."""

import shutil
import subprocess
from types import SimpleNamespace

import pytest

from desktop_app.gpt2.machine import available_memory


@pytest.mark.skipif(not shutil.which("free"), reason="procps is not installed")
def test_available_memory_is_what_free_says_or_less_where_a_container_has_less():
    said = subprocess.run(["free", "-b"], capture_output=True, text=True, check=True).stdout
    available = int(next(line for line in said.splitlines() if line.startswith("Mem")).split()[-1])
    found = available_memory()
    assert found is not None and 0 < found < available + (1 << 30)


@pytest.mark.parametrize("system", ["macOS", "Windows"])
def test_memory_is_known_where_there_is_no_proc_and_no_control_group(system, monkeypatch, tmp_path):
    """psutil reports it there. Without a number, weights would never be packed."""
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=16 << 30, available=9 << 30))
    monkeypatch.setattr("desktop_app.gpt2.machine.Path", lambda _path: tmp_path / "missing")
    assert available_memory() == 9 << 30


def test_a_container_has_no_more_than_its_group_leaves_and_never_less_than_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=9 << 30))
    monkeypatch.setattr("desktop_app.gpt2.machine.Path", lambda _path: tmp_path)
    (tmp_path / "memory.current").write_text(f"{1 << 30}\n")
    for limit, left in (("max", 9 << 30), (str(3 << 30), 2 << 30), (str(1 << 29), 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert available_memory() == left


def test_a_system_that_does_not_tell_is_none(monkeypatch):
    def silent():
        raise OSError("/proc is not mounted")

    monkeypatch.setattr("psutil.virtual_memory", silent)
    assert available_memory() is None
