"""The environment of every test: no screen, the same fonts on every machine, and no access to the user's own files.

LOGITSCOPE_NO_QT=1 makes Qt unimportable, for the tests of packages that must work without it:

    LOGITSCOPE_NO_QT=1 python -m pytest -p no:pytest-qt tests/gpt2 tests/core tests/figures
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

import desktop_app  # imported first: it disables telemetry in libraries

__all__ = ["desktop_app"]

# Generating or running an example takes longer on a busy machine; the tests check no timings.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


ROOT = Path(__file__).resolve().parent.parent
SESSION = Path(tempfile.mkdtemp(prefix="logitscope-tests-"))
WITHOUT_QT = os.environ.get("LOGITSCOPE_NO_QT") == "1"
QT_PACKAGES = ("PySide6", "shiboken6", "pyqtgraph", "pytestqt")

if WITHOUT_QT:
    sys.modules.update(dict.fromkeys(QT_PACKAGES))  # an import of a name whose module is None fails


def _write_fontconfig():
    """Write a fontconfig file with the bundled fonts, and matplotlib's DejaVu as a fallback; return its path."""
    folders = [ROOT / "resources" / "fonts"]
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib and matplotlib.origin:
        folders.append(Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf")
    prefer = {"sans-serif": "Inter", "monospace": "JetBrains Mono"}
    lines = ['<?xml version="1.0"?>', '<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">', "<fontconfig>"]
    lines += [f"  <dir>{folder}</dir>" for folder in folders]
    lines += [
        f"  <alias><family>{generic}</family><prefer><family>{family}</family></prefer></alias>"
        for generic, family in prefer.items()
    ]
    lines += [f"  <cachedir>{SESSION / 'fontconfig'}</cachedir>", "</fontconfig>"]
    path = SESSION / "fonts.conf"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


# Qt, matplotlib and the hub client read these at import, which is before any fixture runs.
for variable in (
    "QT_SCALE_FACTOR",
    "QT_SCREEN_SCALE_FACTORS",
    "QT_FONT_DPI",
    "QT_STYLE_OVERRIDE",
    "QT_QPA_PLATFORMTHEME",
):
    os.environ.pop(variable, None)
if "LOGITSCOPE_SCALED" in os.environ:  # set by a test, see tests/ui/test_window_text.py
    os.environ["QT_SCALE_FACTOR"] = os.environ["LOGITSCOPE_SCALED"].split()[1]
for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
    os.environ.pop(variable, None)
os.environ |= {
    "QT_QPA_PLATFORM": "offscreen",
    "FONTCONFIG_FILE": str(_write_fontconfig()),
    "MPLCONFIGDIR": str(SESSION / "matplotlib"),  # one font cache for the session
    "HF_HUB_OFFLINE": "1",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}
PERSONAL = {
    "XDG_CONFIG_HOME": "config",
    "XDG_DATA_HOME": "data",
    "XDG_STATE_HOME": "state",
    "XDG_CACHE_HOME": "cache",
    "XDG_RUNTIME_DIR": "runtime",
    "HF_HOME": "huggingface",
}


def _personal_folders(home):
    """Environment variables that place all personal files below `home`; creates the folders."""
    folders = {variable: home / name for variable, name in PERSONAL.items()}
    for folder in folders.values():
        folder.mkdir(mode=0o700)
    return {variable: str(folder) for variable, folder in folders.items()}


os.environ |= _personal_folders(SESSION)


def pytest_addoption(parser):
    if WITHOUT_QT:
        parser.addini("qt_api", "belongs to pytest-qt, which is off in this run")


def pytest_collection_modifyitems(items):
    for item in items:
        if "xserver" in item.fixturenames:
            item.add_marker("xserver")
        if "shared_data" in item.fixturenames:
            item.add_marker("shared")


def pytest_unconfigure():
    shutil.rmtree(SESSION, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """A separate home for each test: no test sees the settings, caches or downloads of another."""
    home = tmp_path_factory.mktemp("home")
    for variable, folder in _personal_folders(home).items():
        monkeypatch.setenv(variable, folder)
    return home


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch):
    """Forget the texts typed in earlier tests (the last 64), so that none is hidden in log lines of this test."""
    from desktop_app.core.program import private

    monkeypatch.setattr(private, "_texts", private._texts.__class__(maxlen=private._texts.maxlen))


@pytest.fixture(scope="session")
def shared_data():
    """The folder of reference data next to the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the reference data in {folder}, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def xserver():
    """The DISPLAY of an X server started for the session; run a process with it and QT_QPA_PLATFORM=xcb."""
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("needs a real X server, and Xvfb is not installed (apt install xvfb)")
    reader, writer = os.pipe()
    server = subprocess.Popen(
        [xvfb, "-displayfd", str(writer), "-screen", "0", "1920x1080x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    with os.fdopen(reader) as answer:
        number = answer.readline().strip()  # empty if the server ended before it was ready
    try:
        if not number:
            pytest.fail(f"Xvfb did not start: {server.communicate()[1]}")
        yield f":{number}"
    finally:
        server.terminate()
        server.communicate()
