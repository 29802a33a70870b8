"""Differences between Linux, macOS and Windows. No other module checks which system it runs on.

This module imports only the standard library, because `launch.py`, which may run without any packages, uses it too.
"""

import configparser
import ctypes
import mmap
import os
import plistlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path, PureWindowsPath

_NICE = 10
_ARENA_MAX = -8  # glibc's M_ARENA_MAX
_TRIES, _PAUSE = 20, 0.05  # retries of a refused move, and seconds between them: one second in all
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in "123456789¹²³")}


def is_linux() -> bool:
    """Whether this is Linux, where Qt needs a display server and libraries that may not be installed."""
    return sys.platform == "linux"


def is_root() -> bool:
    """Whether the process runs as root and so can install system packages without sudo; False on Windows."""
    return sys.platform != "win32" and os.geteuid() == 0


def usable_cores() -> int:
    """The number of cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:  # noqa: RET505 - after a bare `if`, mypy calls the rest unreachable on Linux
        return os.cpu_count() or 1


def most_workers() -> int:
    """The number of processes that a pool can have: on Windows 61, because one system call waits for all of them."""
    return 61 if sys.platform == "win32" else 1 << 10


def give_way() -> None:
    """Lower this process's priority; on Windows, do nothing."""
    if sys.platform != "win32":
        os.nice(_NICE)


def release_pages(mapping: mmap.mmap) -> None:
    """Let the system reclaim a mapped file's pages now. Windows does so by itself when it needs memory."""
    if sys.platform != "win32":
        mapping.madvise(mmap.MADV_DONTNEED)


def give_back_memory() -> None:
    """Return memory that was freed, but that the C library still holds, to the system; only glibc needs the call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def share_one_heap() -> None:
    """Let all threads allocate from one heap. Call it before the first thread starts.

    By default glibc gives threads separate heaps, up to eight per core. A heap stays as large as the most that its
    threads ever used, as long as a few kilobytes of it are in use. So memory grew with each window that was opened and
    closed.
    """
    setting = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if setting is not None:
        setting(_ARENA_MAX, 1)


def asks_for_less_motion() -> bool:
    """Whether the user has asked the system for reduced motion; False where the system cannot be asked."""
    if sys.platform == "win32":
        animated = ctypes.c_int(1)
        ctypes.windll.user32.SystemParametersInfoW(0x1042, 0, ctypes.byref(animated), 0)  # SPI_GETCLIENTAREAANIMATION
        asks = not animated.value
    elif sys.platform == "darwin":
        asks = _mac_asks_for_less_motion(Path.home() / "Library/Preferences/com.apple.universalaccess.plist")
    else:
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        asks = _kde_stands_still(config) or _gnome_stands_still()
    return asks


def _mac_asks_for_less_motion(preferences: Path) -> bool:
    try:
        return bool(plistlib.loads(preferences.read_bytes()).get("reduceMotion"))
    except (OSError, ValueError, plistlib.InvalidFileException, AttributeError):
        return False  # never set, or not readable by programs


def _kde_stands_still(config: Path) -> bool:
    settings = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        settings.read(config / "kdeglobals", encoding="utf-8")
        return settings.getfloat("KDE", "AnimationDurationFactor", fallback=1.0) == 0
    except (configparser.Error, OSError, ValueError):
        return False  # not KDE's file, or not in its format


def _gnome_stands_still() -> bool:
    ask = shutil.which("gsettings")
    if ask is None:
        return False
    wanted = [ask, "get", "org.gnome.desktop.interface", "enable-animations"]
    try:
        said = subprocess.run(wanted, capture_output=True, text=True, timeout=1, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False  # no answer
    return said.strip() == "false"


def closing_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a program to end: SIGINT (Ctrl+C), SIGTERM, and the closing of its terminal.

    A signal that is ignored from the start (as under nohup) is left out, so that it stays ignored.
    """
    if sys.platform == "win32":
        third = signal.SIGBREAK
    else:
        third = signal.SIGHUP
    asked = (signal.SIGINT, signal.SIGTERM, third)
    return tuple(number for number in asked if signal.getsignal(number) != signal.SIG_IGN)


def is_plainly_a_path(text: str) -> bool:
    """Whether `text` is a path on any system: `./a`, `/a`, `~`, `C:a`, a network share."""
    return text.startswith((".", "/", "~")) or "\\" in text or PureWindowsPath(text).drive != ""


def why_no_file(name: str) -> str:
    """Why the system refuses this file name; "" if it accepts it. Windows reserves names for devices or streams."""
    return _why_windows_has_no(name) if sys.platform == "win32" else ""


def _why_windows_has_no(name: str) -> str:
    if odd := sorted(set(name) & set('<>:"|?*')):
        return f"Windows does not allow {' '.join(odd)} in file names"
    if name.endswith((".", " ")):
        return "Windows does not allow file names that end in a dot or a space"
    device = name.partition(".")[0].rstrip(" ").upper()
    return f"Windows reserves {device} for a device" if device in _DEVICES else ""


def put_in_place(made: Path, final: Path) -> None:
    """Move a finished file to `final`, replacing any file there.

    Windows refuses to replace a file while any program has it open, as a virus scanner does for a moment. Therefore the
    move is retried for a second. Raises OSError.
    """
    for left in reversed(range(_TRIES if sys.platform == "win32" else 1)):
        try:
            made.replace(final)
        except PermissionError:
            if not left:
                raise
            time.sleep(_PAUSE)
        else:
            return


def why_not_written(reason: OSError) -> str:
    """Why a file was not written, in words: the system's message, and on Windows the usual cause."""
    said = str(reason.strerror or reason)
    if sys.platform == "win32" and isinstance(reason, PermissionError):
        return f"{said.rstrip('.')}; if a program has it open, close it there"
    return said


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """In this context, processes that this thread starts receive neither Ctrl+C nor their terminal's hang-up signal.

    A terminal signals every process that runs in it; the parent receives the signal and ends its workers itself.
    Windows cannot block signals, so workers receive them there.
    """
    if sys.platform == "win32":
        yield
    else:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            # multiprocessing starts this helper before its first worker, and that unblocks Ctrl+C.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
