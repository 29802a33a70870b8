"""What goes into the frozen program, for the spec files beside it: the installed wheel, by rule, and what it needs.

Install the wheel into the environment of packaging/requirements-package.lock first; ./run package does.
"""

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from PyInstaller.building.build_main import Analysis
from PyInstaller.depend.bindepend import get_imports
from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from inside import distributions  # noqa: E402 - found through the line above

# What the dependencies can do and Logitscope never asks for.
EXCLUDED = [
    *("tkinter", "curses", "readline", "sqlite3", "test", "lib2to3", "ensurepip", "venv", "idlelib"),
    *("pytest", "hypothesis", "IPython", "setuptools", "pip", "pkg_resources", "_distutils_hack"),
    *("torch", "tensorflow", "transformers", "safetensors", "pandas", "scipy", "cupy", "h5py", "jax"),
    *("numpy.f2py", "numpy.testing", "matplotlib.tests", "matplotlib.testing"),
    *("onnx.backend.test", "onnx.reference", "onnxruntime.quantization", "onnxruntime.transformers"),
    *("onnxruntime.tools", "onnxruntime.training", "huggingface_hub.cli", "lxml.isoschematron"),
    *("pyqtgraph.examples", "pyqtgraph.opengl", "pyqtgraph.jupyter", "OpenGL"),
    *(f"PySide6.{name}" for name in ("QtConcurrent", "QtDBus", "QtDesigner", "QtHelp", "QtNetwork", "QtPrintSupport")),
    *(f"PySide6.{name}" for name in ("QtQml", "QtQuick", "QtQuickControls2", "QtQuickWidgets", "QtSql", "QtSvg")),
    *(f"PySide6.{name}" for name in ("QtSvgWidgets", "QtTest", "QtUiTools", "QtXml")),
]

# Folders of Qt's plugins that a window of ours uses; the rest (databases, printers, TLS, tablets) stays out. No image
# formats: the program reads and writes PNG, which Qt itself can.
QT_PLUGINS = {
    *("platforms", "platforminputcontexts", "platformthemes", "styles", "accessiblebridge", "xcbglintegrations"),
    *("wayland-decoration-client", "wayland-graphics-integration-client", "wayland-shell-integration"),
}
# Of those: GTK's look would bring all of GTK, and no desktop program runs on a screen without a window system.
QT_PLUGINS_LEFT_OUT = {"qgtk3", "qeglfs", "qlinuxfb", "qminimal", "qminimalegl", "qvkkhrdisplay", "qvnc"}

# The one library of the build machine that goes along. Any other comes from the system that the program runs on: it is
# kept safe there, and two copies of one library, ours and the one that the graphics drivers load, end in a crash.
OWN_LIBRARY = "libpython"


def analysis() -> Analysis:
    """PyInstaller's analysis, thinned."""
    found = Analysis(
        [str(HERE / "entry.py")],
        datas=[
            *collect_data_files("desktop_app"),
            # python-pptx looks for its templates in oxml/../templates, so the first of these folders must be there too.
            *collect_data_files("pptx.oxml", include_py_files=True, includes=["__init__.py"]),
            *(row for made in distributions() for row in copy_metadata(made.name)),
        ],
        # pyqtgraph names its Qt modules in strings; commands are found by name too.
        hiddenimports=[*collect_submodules("desktop_app"), "PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets"],
        excludes=[*EXCLUDED, *_others()],
        hooksconfig={"matplotlib": {"backends": ["agg", "pdf", "svg"]}},
    )
    binaries = [row for row in found.binaries if _wanted_binary(Path(row[0]), Path(row[1]))]
    found.binaries = _without_idle_qt(binaries)
    places = {row[0] for row in found.binaries}
    found.datas = [
        (place, source, kind)
        for place, source, kind in found.datas
        if (source in places if kind == "SYMLINK" else _wanted_data(Path(place)))
    ]
    # It would give matplotlib a new folder at every start, and so have it look through all fonts of the system again.
    found.scripts = [row for row in found.scripts if row[0] != "pyi_rth_mplconfig"]
    return found


def _others() -> list[str]:
    """What is installed here for other purposes, such as packing itself, and no part of the program."""
    ours = {made.name for made in distributions()}
    return [name for name, owners in packages_distributions().items() if not ours & set(owners)]


def _wanted_data(place: Path) -> bool:
    parts = set(place.parts)
    if "PySide6" in parts:
        return not parts & {"translations", "qml", "resources"}
    if place.parts[0].endswith(".dist-info"):
        # Not RECORD: it holds sums of commands in the environment's bin/, which begin with where that lies.
        return place.name in {"METADATA", "WHEEL", "entry_points.txt"}
    return place.suffix != ".pyi" and not parts & {"tests", "testing", "sample_data", "examples", "docs", "include"}


def _wanted_binary(place: Path, source: Path) -> bool:
    if "plugins" in place.parts and "PySide6" in place.parts:
        kind = place.parts[place.parts.index("plugins") + 1]
        return kind in QT_PLUGINS and place.stem.removeprefix("lib") not in QT_PLUGINS_LEFT_OUT
    if sys.platform == "linux" and not source.is_relative_to(sys.prefix) and "lib-dynload" not in source.parts:
        return place.name.startswith(OWN_LIBRARY)
    return True


def _without_idle_qt(binaries: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Less the Qt libraries that nothing left loads: those of plugins and modules that stay out."""

    def is_library(row: tuple[str, str, str]) -> bool:
        return "Qt6" in Path(row[0]).name and "plugins" not in Path(row[0]).parts

    kept = [row for row in binaries if not is_library(row)]
    waiting = {Path(row[0]).name: row for row in binaries if is_library(row)}
    looked_at = 0
    while looked_at < len(kept):
        wanted = {Path(name).name for name, _ in get_imports(kept[looked_at][1])}
        kept += [waiting.pop(name) for name in sorted(wanted & waiting.keys())]
        looked_at += 1
    return kept
