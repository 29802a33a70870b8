"""Logging to a file, including uncaught exceptions; the last lines are also held in memory.

Modules log to `logging.getLogger(__name__)`. The program stores their records while `started` is active, without
prompts and secrets (private.py). In a user's script the logging module handles them as the script configures it.
"""

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from platformdirs import user_state_path

from desktop_app.core.program.private import without_private
from desktop_app.gpt2.errors import LogitscopeError

LEVELS = ("debug", "info", "warning", "error")
LINES = 500
"""How many lines are held in memory."""

_ROOT = "desktop_app"
_FILE_BYTES = 1 << 20
"""The size from which a file is full, and a new one is begun."""

_FULL_FILES = 2
"""How many full files are retained in addition to the one being written."""

_REPEATS = 3
"""How often the same fault is logged with its traceback: one at every repaint would otherwise soon fill the log."""

log = logging.getLogger(__name__)


def log_file() -> Path:
    """The path of the file that is being written."""
    return user_state_path("logitscope", appauthor=False) / "logitscope.log"


def recent() -> list[str]:
    """The last lines that this process logged, oldest first; none if it stores no log."""
    return list(_recorder.lines) if _recorder is not None else []


def last_of_file() -> list[str]:
    """The last LINES lines of the file and the full one before it, of all processes and earlier runs, oldest first."""
    lines: deque[str] = deque(maxlen=LINES)
    for path in (_file(1), _file(0)):
        with suppress(OSError):  # a missing or unreadable file adds no lines
            lines.extend(path.read_text(encoding="utf-8", errors="replace").splitlines())
    return list(lines)


def level() -> str | None:
    """The log level's name, for `start_in_worker`; None if this process stores no log."""
    return None if _recorder is None else logging.getLevelName(logging.getLogger(_ROOT).level).lower()


def set_level(name: str) -> None:
    """Log only records of the level `name` (one of LEVELS) and above."""
    logging.getLogger(_ROOT).setLevel(name.upper())


@contextmanager
def started(terminal: logging.Handler | None = None, level: str = "info") -> Iterator[None]:
    """Within this context, store records of `level` and above, and any uncaught exception of a thread or destructor.

    `terminal`, if given, receives the same records. An Exception that leaves the context is logged and raised again: a
    LogitscopeError or OSError at level info, since the caller reports it to the user, any other as an error. Inside
    another such context this one does nothing.
    """
    if _recorder is not None:
        yield
        return
    logger = logging.getLogger(_ROOT)
    handlers = [_start(level)]
    if terminal is not None:
        handlers.append(terminal)
        logger.addHandler(terminal)
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    sys.excepthook, threading.excepthook, sys.unraisablehook = _uncaught, _uncaught_in_thread, _unraisable
    try:
        yield
    except (LogitscopeError, OSError) as reason:
        log.info("Ended: %s", reason, exc_info=reason.__cause__)
        raise
    except Exception:
        # `raised` tells the terminal's handler that Python prints this exception itself.
        log.exception("The program ended with an error.", extra={"raised": True})
        raise
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        for handler in handlers:
            logger.removeHandler(handler)
        _forget()


def start_in_worker(level: str | None) -> None:
    """In a worker process, log to the program's file until the process ends.

    `level` is what `level()` returned in the main process. Does nothing if it is None, or if this process logs already.
    """
    if level is not None and _recorder is None:
        _start(level)
        threading.excepthook, sys.unraisablehook = _uncaught_in_thread, _unraisable


def _start(level: str) -> logging.Handler:
    global _recorder  # noqa: PLW0603 - a process has one log
    _recorder = _Recorder()
    logger = logging.getLogger(_ROOT)
    logger.addHandler(_recorder)
    set_level(level)
    return _recorder


def _forget() -> None:
    global _recorder  # noqa: PLW0603 - a process has one log
    _recorder = None


class _Recorder(logging.Handler):
    """Writes records to the log file, and holds their last LINES lines in memory.

    The file is opened for each record: since the last one, another process may have renamed it and begun a new one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=LINES)
        self._write_error = ""
        self._counts: dict[tuple[object, ...], int] = {}
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(process)d %(name)s: %(message)s")
        formatter.converter = time.gmtime
        formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. A repeated fault has its traceback three times, then one line at the 4th, 8th, 16th ..."""
        count = self._count(record)
        if count > _REPEATS:
            if count & (count - 1):  # not a power of two
                return
            record = logging.makeLogRecord(record.__dict__ | {"exc_info": None, "exc_text": None})
            record.msg = f"{record.msg} (the same fault as before, {count} times so far)"
        # `format` caches the traceback's text in the record, which other handlers would then use; it gets a copy.
        text = without_private(self.format(logging.makeLogRecord(record.__dict__)))
        self.lines.extend(text.split("\n"))
        self._write(text)

    def _count(self, record: logging.LogRecord) -> int:
        """How often this exception, identified by its type and the line that raised it, has occurred; 0 for none."""
        trace = record.exc_info[2] if record.exc_info else None
        if not record.exc_info or trace is None:
            return 0
        while trace.tb_next is not None:
            trace = trace.tb_next
        key = (record.exc_info[0], trace.tb_frame.f_code, trace.tb_lineno)
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._counts[key]

    def _write(self, text: str) -> None:
        """Append `text` to the file; if it is full, rename each file to the next age, which drops the oldest.

        If the file cannot be written, the lines in memory say so, once for each reason.
        """
        path = log_file()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{text}\n")
            if path.stat().st_size > _FILE_BYTES:
                for age in range(_FULL_FILES, 0, -1):
                    newer = _file(age - 1)
                    if newer.exists():
                        newer.replace(_file(age))
        except OSError as reason:
            words = f"The log file cannot be written: {path.parent}: {reason.strerror or reason}."
            if words != self._write_error:
                self._write_error = words
                self.lines.append(without_private(words))


def _file(age: int) -> Path:
    """The path of the file that is being written (age 0), the full one before it (1), and so on."""
    path = log_file()
    return path.with_name(f"{path.name}.{age}") if age else path


def _uncaught(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if isinstance(fault, Exception):
        log.error("Uncaught exception.", exc_info=(kind, fault, trace))
    else:
        sys.__excepthook__(kind, fault, trace)


def _uncaught_in_thread(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None and not isinstance(what.exc_value, SystemExit):
        name = what.thread.name if what.thread is not None else "unknown"
        fault = (what.exc_type, what.exc_value, what.exc_traceback)
        log.error("The thread %s ended with an error.", name, exc_info=fault)


def _unraisable(what: Any) -> None:
    if what.exc_value is not None:
        fault = (what.exc_type, what.exc_value, what.exc_traceback)
        log.error("%s: %s", what.err_msg or "Exception ignored in", type(what.object).__qualname__, exc_info=fault)


_recorder: _Recorder | None = None
