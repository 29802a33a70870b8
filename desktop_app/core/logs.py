"""The log: a file in the platform's state folder and the last lines in memory, with every uncaught exception.

Modules log to `logging.getLogger(__name__)`. The records are kept only in a program (`started`); in a user's script the
logging module handles them as the script configures it. What is kept contains no prompt and no secret (private.py).
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

from desktop_app.core.private import without_private
from desktop_app.gpt2.errors import LogitscopeError

LEVELS = ("debug", "info", "warning", "error")
LINES = 500
"""How many lines are kept in memory."""

_ROOT = "desktop_app"
_FILE_BYTES = 1 << 20
_OLDER = 2
"""How many full files are kept in addition to the one being written."""

_REPEATS = 3
"""How often one fault is logged in full: a view that fails at every repaint would soon fill the log by itself."""

log = logging.getLogger(__name__)


def log_file() -> Path:
    """Where the log is written."""
    return user_state_path("logitscope", appauthor=False) / "logitscope.log"


def recent() -> list[str]:
    """The last lines, oldest first; none if no log was started."""
    return list(_now.lines) if _now is not None else []


def last_of_file() -> list[str]:
    """The last lines of the file, including those of other processes and earlier runs; none if there is no file."""
    lines: deque[str] = deque(maxlen=LINES)
    for path in (_older(1), log_file()):
        with suppress(OSError):  # missing or unreadable: only the lines in memory are left
            lines.extend(path.read_text(encoding="utf-8", errors="replace").splitlines())
    return list(lines)


def level() -> str | None:
    """The log level, to pass on to workers; None if no log was started."""
    return None if _now is None else logging.getLevelName(logging.getLogger(_ROOT).level).lower()


def set_level(name: str) -> None:
    """Log records of this level (one of LEVELS) or above."""
    logging.getLogger(_ROOT).setLevel(name.upper())


@contextmanager
def started(terminal: logging.Handler | None = None, level: str = "info") -> Iterator[None]:
    """Log within this context, including every exception that a thread, a slot or a destructor does not catch.

    `terminal` gets the same records. If started twice, the first log continues. An exception that leaves the context is
    logged and raised again.
    """
    if _now is not None:
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
        log.exception("The program ended with an error.", extra={"raised": True})
        raise
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        for handler in handlers:
            logger.removeHandler(handler)
        _forget()


def start_in_worker(level: str | None) -> None:
    """In a worker process: log to the program's file until the process ends."""
    if level is not None and _now is None:
        _start(level)
        threading.excepthook, sys.unraisablehook = _uncaught_in_thread, _unraisable


def _start(level: str) -> logging.Handler:
    global _now  # noqa: PLW0603 - a process has one log
    _now = _Recorder()
    logger = logging.getLogger(_ROOT)
    logger.addHandler(_now)
    set_level(level)
    return _now


def _forget() -> None:
    global _now  # noqa: PLW0603 - a process has one log
    _now = None


class _Recorder(logging.Handler):
    """Writes records to the file and keeps their lines. Opens the file for each, as other processes may rotate it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=LINES)
        self._unwritable = ""
        self._seen: dict[tuple[object, ...], int] = {}
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(process)d %(name)s: %(message)s")
        formatter.converter = time.gmtime
        formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a repeated fault in full only the first few times, then one line at the 4th, 8th, 16th ..."""
        count = self._count(record)
        if count > _REPEATS:
            if count & (count - 1):
                return
            record = logging.makeLogRecord(record.__dict__ | {"exc_info": None, "exc_text": None})
            record.msg = f"{record.msg} (the same fault as before, {count} times by now)"
        # Handlers share a record's formatted traceback; this handler works on a copy.
        text = without_private(self.format(logging.makeLogRecord(record.__dict__)))
        self.lines.extend(text.split("\n"))
        self._write(text)

    def _count(self, record: logging.LogRecord) -> int:
        """How often this fault has occurred, by its type and place; 0 for other records."""
        trace = record.exc_info[2] if record.exc_info else None
        if not record.exc_info or trace is None:
            return 0
        while trace.tb_next is not None:
            trace = trace.tb_next
        key = (record.exc_info[0], trace.tb_frame.f_code, trace.tb_lineno)
        self._seen[key] = self._seen.get(key, 0) + 1
        return self._seen[key]

    def _write(self, text: str) -> None:
        path = log_file()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{text}\n")
            if path.stat().st_size > _FILE_BYTES:
                for number in range(_OLDER, 0, -1):
                    before = _older(number - 1)
                    if before.exists():
                        before.replace(_older(number))
        except OSError as reason:
            words = f"The log file cannot be written: {path.parent}: {reason.strerror or reason}."
            if words != self._unwritable:
                self._unwritable = words
                self.lines.append(without_private(words))


def _older(number: int) -> Path:
    """The log file (0), the full one before it (1), and so on."""
    path = log_file()
    return path.with_name(f"{path.name}.{number}") if number else path


def _uncaught(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if isinstance(fault, Exception):
        log.error("Uncaught exception.", exc_info=(kind, fault, trace))
    else:
        sys.__excepthook__(kind, fault, trace)


def _uncaught_in_thread(of: threading.ExceptHookArgs) -> None:
    if of.exc_value is not None and not isinstance(of.exc_value, SystemExit):
        name = of.thread.name if of.thread is not None else "unknown"
        log.error("The thread %s ended with an error.", name, exc_info=(of.exc_type, of.exc_value, of.exc_traceback))


def _unraisable(of: Any) -> None:
    if of.exc_value is not None:
        about = f"{of.err_msg or 'A fault that could not be raised'}: {type(of.object).__qualname__}"
        log.error("%s", about, exc_info=(of.exc_type, of.exc_value, of.exc_traceback))


_now: _Recorder | None = None
