"""What goes into the frozen program, for the three spec files beside it: by rule, never by a list of our own files."""

import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from PyInstaller.building.build_main import Analysis
from PyInstaller.utils.hooks import collect_submodules, copy_metadata

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# What the dependencies can do and Logitscope never asks for.
EXCLUDED = [
    *("tkinter", "curses", "readline", "sqlite3", "test", "lib2to3", "ensurepip", "venv", "pydoc", "idlelib"),
    *("pytest", "hypothesis", "IPython", "jupyter", "setuptools", "pip", "pkg_resources", "_distutils_hack"),
    *("torch", "tensorflow", "transformers", "safetensors", "pandas", "scipy", "cupy", "h5py", "jax"),
    *("numpy.f2py", "numpy.testing", "numpy.distutils", "matplotlib.tests", "matplotlib.testing", "mpl_toolkits"),
    *("onnx.backend.test", "onnx.reference", "onnxruntime.quantization", "onnxruntime.transformers"),
    *("onnxruntime.tools", "onnxruntime.training", "huggingface_hub.cli", "gradio", "fastai", "lxml.isoschematron"),
    *("pyqtgraph.examples", "pyqtgraph.opengl", "pyqtgraph.jupyter", "pyqtgraph.multiprocess", "OpenGL"),
    *(f"PySide6.{name}" for name in ("QtNetwork", "QtOpenGL", "QtOpenGLWidgets", "QtPrintSupport", "QtQml", "QtQuick")),
    *(f"PySide6.{name}" for name in ("QtSql", "QtSvg", "QtSvgWidgets", "QtTest", "QtXml", "QtDesigner", "QtHelp")),
    *(f"PySide6.{name}" for name in ("QtUiTools", "QtQuickWidgets", "QtQuickControls2", "QtConcurrent", "QtDBus")),
]

# Folders of Qt's plugins that a window of ours uses; the rest (databases, printers, TLS, tablets) stays out.
QT_PLUGINS = {
    *("platforms", "platforminputcontexts", "platformthemes", "styles", "accessiblebridge", "xcbglintegrations"),
    *("wayland-decoration-client", "wayland-graphics-integration-client", "wayland-shell-integration"),
}
# Of those: GTK's look would bring all of GTK, and no desktop program runs on a screen without a window system.
QT_PLUGINS_LEFT_OUT = {"qgtk3", "qeglfs", "qlinuxfb", "qminimal", "qminimalegl", "qvkkhrdisplay", "qvnc"}

# Libraries of the build machine that go along, the interpreter's own. Any other comes from the system that the program
# runs on: two copies of one library, ours and the one that the system's graphics drivers load, end in a crash.
OWN_LIBRARIES = ("libpython", "libssl", "libcrypto", "libbz2")


def analysis() -> Analysis:
    """PyInstaller's analysis, thinned."""
    found = Analysis(
        [str(HERE / "entry.py")],
        pathex=[str(ROOT)],
        datas=[*_own_data(), *_metadata()],
        hiddenimports=collect_submodules("desktop_app"),
        excludes=EXCLUDED,
        hooksconfig={"matplotlib": {"backends": ["agg", "pdf", "svg"]}},
    )
    found.datas = [row for row in found.datas if _wanted_data(Path(row[0]))]
    found.binaries = [row for row in found.binaries if _wanted_binary(Path(row[0]), Path(row[1]))]
    return found


def _own_data() -> list[tuple[str, str]]:
    """The data that the wheel has, where the wheel has it."""
    rows = [(ROOT / "resources", "desktop_app/_data/resources"), (ROOT / "models", "desktop_app/_data/models")]
    return [
        (str(path), str(Path(place) / path.parent.relative_to(folder)))
        for folder, place in rows
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "recipe" not in path.parts and "__pycache__" not in path.parts
    ]


def requirements() -> list[str]:
    """The names of all distributions that the program is made of."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting, found = [Requirement(line) for line in project["dependencies"]], set()
    while waiting:
        asked = waiting.pop()
        if asked.name in found or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        found.add(asked.name)
        waiting += [Requirement(line) for line in distribution(asked.name).requires or []]
    return sorted(found, key=str.lower)


def _metadata() -> list[tuple[str, str]]:
    """Names, versions and licences of all that is inside, as their authors packed them."""
    return [row for name in requirements() for row in copy_metadata(name)]


def _wanted_data(place: Path) -> bool:
    parts = set(place.parts)
    if "PySide6" in parts:
        return not parts & {"translations", "qml", "resources"}
    return not parts & {"tests", "testing", "sample_data", "examples", "docs", "include"}


def _wanted_binary(place: Path, source: Path) -> bool:
    if "plugins" in place.parts and "PySide6" in place.parts:
        kind = place.parts[place.parts.index("plugins") + 1]
        return kind in QT_PLUGINS and place.stem.removeprefix("lib") not in QT_PLUGINS_LEFT_OUT
    if sys.platform == "linux" and not source.is_relative_to(sys.prefix) and "lib-dynload" not in source.parts:
        return place.name.startswith(OWN_LIBRARIES)
    return True
