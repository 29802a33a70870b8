"""`logitscope --selftest`: 0 on an undamaged installation, 1 with the name of what is damaged; it operates a window."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from desktop_app.core.program import bundle

ROOT = Path(__file__).resolve().parents[1]


def logitscope(*arguments, root=ROOT, **environ):
    """The command as a process, with no display."""
    base = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "desktop_app", *map(str, arguments)],
        cwd="/",
        env={**base, "PYTHONPATH": str(root), **environ},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture
def copy(tmp_path):
    """A copy of the program with all its data, for tests that damage it."""
    data = bundle.resource().parent
    shutil.copytree(ROOT / "desktop_app", tmp_path / "desktop_app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("resources", "models"):
        shutil.copytree(data / name, tmp_path / name, ignore=shutil.ignore_patterns("recipe", "snapshots"))
    sums = tmp_path / "models" / "SHA256SUMS"
    kept = [line for line in sums.read_text().splitlines(keepends=True) if "snapshots/" not in line]
    sums.write_text("".join(kept))
    return tmp_path


@pytest.fixture(scope="module")
def whole():
    """The self-test of this installation."""
    return logitscope("--selftest")


def test_a_whole_installation_passes_with_no_display(whole):
    done = whole
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("All is well.")
    for words in (
        "onnxruntime ",
        "CPUExecutionProvider",
        "bundled/model.safetensors  sha256 ",
        "settings",
        "offscreen",
    ):
        assert words in done.stdout


def said_by(*command):
    """The output of another program."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_what_is_left_aside_is_told_with_the_library_that_it_lacks(whole):
    from PySide6.QtCore import QLibraryInfo

    folder = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)) / "imageformats"
    linked = {path.name: said_by("ldd", path) for path in folder.iterdir()}
    lacking = {name: re.findall(r"(\S+) => not found", said) for name, said in linked.items()}
    lines = whole.stdout.splitlines()
    assert not [line for line in lines if "nknown error" in line]
    for name, libraries in lacking.items():
        [line] = [line for line in lines if name in line]
        assert ("is not used" in line) == bool(libraries)
        assert not libraries or any(library in line for library in libraries)


def test_every_damage_is_named_and_the_exit_code_is_1(copy):
    weights = copy / "models" / "bundled" / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\0\0\x40")
    (copy / "resources" / "fonts" / "Inter-Regular.ttf").write_bytes(b"no font")
    (copy / "resources" / "icons" / "logitscope-48.png").unlink()
    done = logitscope("--selftest", root=copy)
    assert done.returncode == 1
    assert "model.safetensors was changed" in done.stdout
    assert "Inter-Regular.ttf cannot be read" in done.stdout
    assert "logitscope-48.png is missing" in done.stdout
    last = done.stdout.rstrip().splitlines()[-1]
    assert last.startswith("FAILED: ")
    assert {"resources", "models", "window"} <= set(last.removeprefix("FAILED: ").split(", "))


def test_a_window_is_worked_from_the_first_pass_to_a_figure(tmp_path):
    out = tmp_path / "figure.svg"
    done = logitscope("--smoke", out, QT_QPA_PLATFORM="offscreen", HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "ready"
    assert lines[-1] == f"wrote {out}"
    assert not [line for line in lines if line.startswith("error")]
    # Read by a program other than the one that wrote it.
    assert "The smoke test types this" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["no such folder/figure.svg", "a folder.svg"])
def test_a_worked_window_that_cannot_do_its_work_says_so(tmp_path, place):
    out = tmp_path / place
    (tmp_path / "a folder.svg").mkdir()
    done = logitscope("--smoke", out, QT_QPA_PLATFORM="offscreen", HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "error: " in done.stdout and "wrote" not in done.stdout


def test_a_worked_window_ends_with_a_sentence_where_its_model_or_its_output_is_of_no_use(tmp_path):
    (tmp_path / "empty").mkdir()
    place = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = logitscope("--smoke", tmp_path / "a.svg", "--model", tmp_path / "empty", **place)
    assert done.returncode == 1 and done.stdout.startswith("error: ") and len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    if Path("/dev/full").exists():
        command = [sys.executable, "-P", "-m", "desktop_app", "--smoke", str(tmp_path / "a.svg")]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command, env=os.environ | place | {"PYTHONPATH": str(ROOT)}, cwd="/", stdout=full,
                stderr=subprocess.PIPE, text=True, timeout=200, check=False,
            )  # fmt: skip
        assert done.returncode in (1, 2) and "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
