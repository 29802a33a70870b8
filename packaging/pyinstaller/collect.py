"""The contents of the frozen program, for the spec files in this folder: the installed wheel and what it needs.

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

# Parts of the dependencies that Logitscope never uses.
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

# Folders of Qt plugins that the window uses; the others (databases, printers, TLS, tablets) are left out. Image formats
# are not needed: the program reads and writes PNG, which Qt supports without a plugin.
QT_PLUGINS = {
    *("platforms", "platforminputcontexts", "platformthemes", "styles", "accessiblebridge", "xcbglintegrations"),
    *("wayland-decoration-client", "wayland-graphics-integration-client", "wayland-shell-integration"),
}
# Plugins in these folders that are left out: GTK's style would add all of GTK, and the others are for screens without a
# window system, on which no desktop program runs.
QT_PLUGINS_LEFT_OUT = {"qgtk3", "qeglfs", "qlinuxfb", "qminimal", "qminimalegl", "qvkkhrdisplay", "qvnc"}

# The only library of the build machine's system that is included. All others come from the system that the program runs
# on, which updates them; and two copies of one library, ours and that of the graphics drivers, would cause a crash.
OWN_LIBRARY = "libpython"


def analysis() -> Analysis:
    """PyInstaller's analysis, without what the program does not need."""
    found = Analysis(
        [str(HERE / "entry.py")],
        datas=[
            *collect_data_files("desktop_app"),
            # python-pptx looks for its templates in oxml/../templates, so the folder oxml must exist too.
            *collect_data_files("pptx.oxml", include_py_files=True, includes=["__init__.py"]),
            *(row for made in distributions() for row in copy_metadata(made.name)),
        ],
        # pyqtgraph imports Qt modules by strings, and the program its commands by name.
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
    # This hook would give matplotlib a new folder at every start, so that it would search the system's fonts each time.
    found.scripts = [row for row in found.scripts if row[0] != "pyi_rth_mplconfig"]
    return found


def _others() -> list[str]:
    """Packages that are installed here for other purposes, such as packaging, and are no part of the program."""
    ours = {made.name for made in distributions()}
    return [name for name, owners in packages_distributions().items() if not ours & set(owners)]


def _wanted_data(place: Path) -> bool:
    parts = set(place.parts)
    if "PySide6" in parts:
        return not parts & {"translations", "qml", "resources"}
    if place.parts[0].endswith(".dist-info"):
        # Not RECORD: it has digests of scripts in the environment's bin/, which begin with the environment's path.
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
    """The binaries without Qt libraries that nothing else loads, such as those of plugins and modules left out."""

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
