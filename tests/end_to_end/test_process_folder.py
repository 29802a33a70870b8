"""Modules in the current directory are not imported, by the program or by its workers, however it was installed.

A console script made by pip starts Python without -P, and a spawned worker is `python -c`; both look for modules in the
current directory first. So the test runs from a folder that has modules with names from the standard library.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAP = "open('RAN', 'a').write(__name__ + ' '); raise ImportError('a file of the current directory')\n"
NAMES = ("multiprocessing", "pickle", "argparse", "numpy")

COMMAND = "from desktop_app.cli import main\nif __name__ == '__main__':\n    raise SystemExit(main())\n"
DOWNLOAD = """
from PySide6.QtCore import QCoreApplication
from desktop_app.core.library.references import HubName
from desktop_app.ui.desks.download_lane import DownloadLane

if __name__ == "__main__":
    app = QCoreApplication([])
    lane = DownloadLane()
    lane.failed.connect(lambda words: (print(words), app.quit()))
    lane.request(HubName("owner/name"))
    app.exec()
    lane.close()
"""
ENTRIES = {
    "build": (COMMAND, ["build", "list.toml", "--jobs", "2"]),
    "deck": (COMMAND, ["deck", "A", "--steps", "tokens", "--jobs", "1", "--out", "walk.pptx"]),
    "the window's export": (COMMAND, ["--smoke", "figure.svg"]),
    "the window's download": (DOWNLOAD, []),
}
LISTING = '[[figure]]\nname = "{}.svg"\nprompt = "A"\nstep = "tokens"\n'


@pytest.fixture
def trapped(tmp_path):
    """A working folder with modules that create the file RAN if they are imported."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(TRAP)
    (folder / "list.toml").write_text(LISTING.format("one") + LISTING.format("two"))
    return folder


def run(command, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_worker_runs_nothing_of_the_current_directory(entry, trapped, tmp_path):
    program, arguments = ENTRIES[entry]
    script = tmp_path / "bin" / "logitscope"
    script.parent.mkdir()
    script.write_text(program)
    done = run([str(script), *arguments], trapped)
    assert not (trapped / "RAN").exists(), (trapped / "RAN").read_text()
    assert done.returncode == 0, done.stderr
    if entry == "the window's download":
        assert "HF_HUB_OFFLINE is set" in done.stdout


def test_started_as_a_module_neither_the_program_nor_its_workers_do(trapped):
    for name in ("argparse", "pickle"):
        (trapped / f"{name}.py").unlink()  # runpy itself may import these first
    done = run(["-m", "desktop_app", *ENTRIES["deck"][1]], trapped)
    assert not (trapped / "RAN").exists(), (trapped / "RAN").read_text()
    assert done.returncode == 0, done.stderr


def test_what_a_person_starts_himself_still_finds_its_own_modules(tmp_path):
    (tmp_path / "mine.py").write_text("print('mine')\n")
    program = (
        "import subprocess, sys\n"
        "from desktop_app.core.program.processes import starting_workers\n"
        "with starting_workers():\n    pass\n"
        "subprocess.run([sys.executable, '-c', 'import mine'], check=True)\n"
    )
    assert run(["-c", program], tmp_path).stdout == "mine\n"
