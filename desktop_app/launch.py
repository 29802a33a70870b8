"""Checks, before the window opens and without Qt, for the system libraries that Qt loads and for a display server.

Qt ends the process without a useful message if one of them is missing.
"""

import ctypes
import gc
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.system import is_linux, is_root

# Library -> Debian package: what Qt links to that a minimal Debian lacks, on any platform plugin (offscreen too).
ALWAYS = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
}
# The further libraries that a window needs, on an X server and on a Wayland compositor.
WINDOW = {
    "xcb": {
        "libxcb-cursor.so.0": "libxcb-cursor0",
        "libxcb-glx.so.0": "libxcb-glx0",
        "libxcb-icccm.so.4": "libxcb-icccm4",
        "libxcb-image.so.0": "libxcb-image0",
        "libxcb-keysyms.so.1": "libxcb-keysyms1",
        "libxcb-randr.so.0": "libxcb-randr0",
        "libxcb-render-util.so.0": "libxcb-render-util0",
        "libxcb-shape.so.0": "libxcb-shape0",
        "libxcb-sync.so.1": "libxcb-sync1",
        "libxcb-xfixes.so.0": "libxcb-xfixes0",
        "libxcb-xkb.so.1": "libxcb-xkb1",
        "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
        "libX11-xcb.so.1": "libx11-xcb1",
    },
    "wayland": {
        "libwayland-client.so.0": "libwayland-client0",
        "libwayland-cursor.so.0": "libwayland-cursor0",
        "libwayland-egl.so.1": "libwayland-egl1",
    },
}


PLATFORMS = ("xcb", "wayland", "wayland-egl", "offscreen", "minimal", "vnc")
"""Qt's platform plugins that can open a window; the others take over the whole screen, without a desktop."""


@contextmanager
def loading() -> Iterator[None]:
    """In this context, for imports, garbage collection is off; later collections skip the objects that were loaded.

    Collections would find nothing, take a tenth of the start-up time, and later block the window for 50 ms at times.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def require_display() -> None:
    """Check that a window can open here.

    Raises:
        LogitscopeError: no window can open; the message says what is missing and which command installs it.
    """
    found = problems(os.environ)
    if found:
        raise LogitscopeError(*found)


def problems(
    environ: Mapping[str, str],
    *,
    loads: Callable[[str], bool] | None = None,
    answers: Callable[[str], bool] | None = None,
) -> list[str]:
    """Why no window could open under `environ`: one sentence per cause, each with its remedy.

    Args:
        environ: the environment that Qt will see (DISPLAY, WAYLAND_DISPLAY, QT_QPA_PLATFORM).
        loads: whether a shared library can be loaded; by default tries to load it.
        answers: whether the display server of a platform ("xcb") answers; by default tries to connect.

    Returns:
        An empty list if a window can open, and always outside Linux, where Qt needs nothing more.
    """
    if not is_linux():
        return []
    if odd := _odd_settings(environ):
        return odd
    loads = loads or _loads
    answers = answers or _answers
    chosen = _platforms(environ)
    # Even without a display, check what the remedy will need, because a virtual screen is an X server.
    candidates = chosen or ["xcb"]
    missing = {
        name: [(library, package) for library, package in (ALWAYS | WINDOW.get(name, {})).items() if not loads(library)]
        for name in candidates
    }
    complete = [name for name in candidates if not missing[name]]
    sentences = []
    if not complete:
        sentences.append(_missing_libraries(min(missing.values(), key=len)))
    if not chosen:
        sentences.append(f"There is no display to open the window on; {_other_display()}")
    elif complete and not any(answers(name) for name in complete):
        where = environ.get("WAYLAND_DISPLAY") if complete == ["wayland"] else environ.get("DISPLAY")
        sentences.append(f"The display {where or '(none set)'} accepts no connection; {_other_display()}")
    return sentences


def _odd_settings(environ: Mapping[str, str]) -> list[str]:
    """Sentences about values of variables that would make Qt end the process without a message."""
    asked = environ.get("QT_QPA_PLATFORM", "")
    found = []
    if asked and not any(name.split(":")[0] in PLATFORMS for name in asked.split(";")):
        found.append(f"QT_QPA_PLATFORM is {asked[:60]!a}; unset it, or choose one of {', '.join(PLATFORMS)}.")
    for name, (least, most) in {"QT_SCALE_FACTOR": (0.1, 20), "QT_FONT_DPI": (1, 9999)}.items():
        value = environ.get(name, "")
        if value and not (re.fullmatch(r"\d{1,4}(\.\d{1,9})?", value) and least <= float(value) <= most):
            found.append(f"{name} is {value[:60]!a}; unset it, or set it to a number from {least} to {most}.")
    return found


def _platforms(environ: Mapping[str, str]) -> list[str]:
    """Qt's platform plugins that may be tried under `environ`, without their options."""
    asked = environ.get("QT_QPA_PLATFORM", "")
    if asked:
        return [name.split(":")[0] for name in asked.split(";") if name.split(":")[0] in PLATFORMS]
    displays = {"wayland": "WAYLAND_DISPLAY", "xcb": "DISPLAY"}
    return [name for name, variable in displays.items() if environ.get(variable)]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:  # it cannot be loaded; the caller names the library and its package
        return False
    return True


def _answers(name: str) -> bool:
    """Whether a connection to the display server is accepted; true for platforms that have no server."""
    if name == "xcb":
        xcb = ctypes.CDLL("libxcb.so.1")
        xcb.xcb_connect.restype = ctypes.c_void_p
        connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
        refused = bool(xcb.xcb_connection_has_error(connection))
        xcb.xcb_disconnect(connection)
        return not refused
    if name == "wayland":
        client = ctypes.CDLL("libwayland-client.so.0")
        client.wl_display_connect.restype = ctypes.c_void_p
        display = ctypes.c_void_p(client.wl_display_connect(None))
        if display:
            client.wl_display_disconnect(display)
        return bool(display)
    return True


def _missing_libraries(missing: list[tuple[str, str]]) -> str:
    libraries = ", ".join(library for library, _ in missing)
    packages = [package for _, package in missing]
    lack = f"The window needs system libraries that are not installed ({libraries})"
    if shutil.which("apt"):
        return f"{lack}; install them with: {_apt_install(*packages)}"
    return f"{lack}; install your system's equivalents of Debian's {' '.join(packages)}."


def _other_display() -> str:
    command = "./run" if (Path(__file__).parent.parent / "run").is_file() else "logitscope"
    virtual = f"xvfb-run -a {command}"
    if not shutil.which("xvfb-run"):
        virtual = f"{_apt_install('xvfb', 'xauth')} && {virtual}"
    return f"start from a desktop, over ssh with ssh -X, or on a virtual screen with: {virtual}"


def _apt_install(*packages: str) -> str:
    sudo = "" if is_root() else "sudo "
    return f"{sudo}apt install {' '.join(packages)}"
