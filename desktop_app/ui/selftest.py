"""Qt's part of `logitscope --selftest`: its plugins, the shipped fonts, images and styles, and the window's modules."""

import ctypes
import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from PySide6.QtCore import QLibraryInfo, QPluginLoader, qVersion
from PySide6.QtGui import QFontDatabase, QFontInfo, QGuiApplication, QImageReader

from desktop_app import ui
from desktop_app.core.program.bundle import resource
from desktop_app.figures.fonts_table import FILES, MONO, SANS, font_file
from desktop_app.figures.theme import THEMES
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.ui import fonts, icon, looks
from desktop_app.ui.app import make_application


def findings() -> Iterator[str]:
    """The findings, line by line. Raises LogitscopeError for anything that cannot be used."""
    modules = [module.name for module in pkgutil.walk_packages(ui.__path__, f"{ui.__name__}.")]
    for module in modules:
        import_module(module)
    app = make_application([])
    yield f"Qt {qVersion()} on {QGuiApplication.platformName()}, {len(modules)} modules of the window"

    for mono, bold in FILES:
        path = font_file(mono, bold)
        if QFontDatabase.addApplicationFont(str(path)) < 0:
            raise LogitscopeError(f"Qt cannot read the font {path}.")
        wanted, found = MONO if mono else SANS, QFontInfo(fonts.font(13, mono, bold)).family()
        if wanted != found:
            raise LogitscopeError(f"Qt uses {found} instead of {wanted}.")
    for name, theme in THEMES.items():
        app.setPalette(looks.palette(theme))
        app.setStyleSheet(looks.style_sheet(theme, 1.0))
        if not app.palette().window().color().isValid():
            raise LogitscopeError(f"The theme {name} has no colours.")
    app.setStyleSheet("")
    yield f"{len(FILES)} fonts, {len(THEMES)} themes ({', '.join(THEMES)})"

    pictures = [path for path in sorted(resource().rglob("*")) if path.suffix in {".png", ".jpg", ".gif", ".webp"}]
    for path in pictures:
        reader = QImageReader(str(path))
        if reader.read().isNull():
            raise LogitscopeError(f"Qt cannot read the picture {path}: {reader.errorString()}.")
    sizes = icon.window_icon().availableSizes()
    if len(sizes) < len(icon.SIZES):
        raise LogitscopeError(f"The window's icon has {len(sizes)} of its {len(icon.SIZES)} sizes.")
    formats = sorted(bytes(name.data()).decode() for name in QImageReader.supportedImageFormats())
    yield f"{len(pictures)} pictures, an icon of {len(sizes)} sizes; Qt reads {', '.join(formats)}"

    yield from _picture_plugins()


def _picture_plugins() -> Iterator[str]:
    """Qt's plugins for further image formats: which can be loaded, and what the others lack."""
    folder = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)) / "imageformats"
    reasons = {plugin.name: _why_not(plugin) for plugin in sorted(folder.glob("*"))}
    idle = {name: why for name, why in reasons.items() if why}
    # Qt's wheel contains some plugins without their libraries; in the frozen program, each plugin must be loadable.
    if idle and getattr(sys, "frozen", False):
        raise LogitscopeError("; ".join(f"Qt cannot load its plugin {name}: {why}" for name, why in idle.items()) + ".")
    if len(reasons) > len(idle):
        yield f"its plugins for pictures: {', '.join(name for name in reasons if name not in idle)}"
    for name, why in idle.items():
        yield f"{name} is not used, since no picture here needs it: {why}"


def _why_not(plugin: Path) -> str:
    """Why the plugin cannot be loaded, in the system loader's words (Qt says "unknown error"); "" if it can."""
    loader = QPluginLoader(str(plugin))
    if loader.load():
        return ""
    try:
        ctypes.CDLL(str(plugin))
    except OSError as reason:
        return str(reason)
    return loader.errorString()
