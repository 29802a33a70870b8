"""Output files that are written completely or not at all."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from desktop_app.gpt2.errors import ExportError, LogitscopeError
from desktop_app.gpt2.leftovers import clear_leftovers, unfinished_name
from desktop_app.gpt2.system import put_in_place, why_no_file, why_not_written

_PATIENCE = 10.0  # seconds to wait for a lock


@contextmanager
def whole_file(path: Path, error: type[LogitscopeError] = ExportError) -> Iterator[BinaryIO]:
    """A binary file that appears at `path`, replacing any file there, only if the `with` statement ends normally.

    Raises `error` if `path` cannot be a file, its folder is missing or read-only, or the disk is full; then no file is
    left behind.
    """
    refuse_existing(path, force=True, error=error)
    final = _final(path)
    clear_leftovers(final.parent)
    temporary = final.parent / unfinished_name()
    try:
        with temporary.open("xb") as file:
            yield file
        _put(temporary, final)
    except OSError as reason:
        raise error(f"{path} cannot be written: {why_not_written(reason)}.") from reason
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_files(paths: list[Path], error: type[LogitscopeError] = ExportError) -> Iterator[Path]:
    """A folder to write files in; they move to `paths` (all in one folder) if the `with` statement ends normally.

    The first of `paths` is moved last, so that files that it refers to exist already. Raises as `whole_file` does.
    """
    for path in paths:
        refuse_existing(path, force=True, error=error)
    clear_leftovers(paths[0].parent)
    folder = paths[0].parent / unfinished_name()
    try:
        folder.mkdir()
        yield folder
        for path in reversed(paths):
            _put(folder / path.name, _final(path))
    except OSError as reason:
        raise error(f"{paths[0]} cannot be written: {why_not_written(reason)}.") from reason
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def alone(path: Path, error: type[LogitscopeError] = ExportError) -> Iterator[None]:
    """Lock the file at `path` against other processes of this program that rewrite it; create its folder.

    Raises `error` if the folder cannot be written, or if another process holds the lock for ten seconds.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_PATIENCE):
            yield
    except Timeout as reason:
        raise error(f"{path} is being written by another window or command; try again.") from reason
    except OSError as reason:
        raise error(f"{path} cannot be written: {path.parent}: {reason.strerror or reason}.") from reason


def regular(path: Path, error: type[LogitscopeError]) -> os.stat_result:
    """The `stat` of the file at `path`, following links. Raises `error` if it is not a regular file, OSError as `stat`.

    Callers check this before opening the file, because opening a pipe could block for ever.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise error(f"{path} is not a regular file; put a regular file there.")
    return status


def refuse_existing(path: Path, *, force: bool, error: type[LogitscopeError] = ExportError) -> None:
    """Raise `error` if it is already certain that `path` cannot be written, or if it exists and `force` is not given.

    Commands call this before they compute anything.
    """
    if words := why_no_file(path.name):
        raise error(f"{path} cannot be written: {words}; choose another name.")
    try:
        mode = path.stat().st_mode if path.exists() else None
        dangling = mode is None and path.is_symlink()
        parent = _final(path).parent
        folder_exists = parent.is_dir()
    except OSError as reason:
        raise error(f"{path} cannot be written: {reason.strerror or reason}.") from reason
    if mode is not None and stat.S_ISDIR(mode):
        raise error(f"{path} is a folder; name a file to write.")
    if mode is not None and not stat.S_ISREG(mode):
        raise error(f"{path} is not a regular file; choose another file to write.")
    if mode is not None and not force:
        raise error(f"{path} already exists; use --force to replace it, or give another name.")
    if dangling:
        raise error(f"{path} is a broken link; delete it, or name another file.")
    if not folder_exists:
        raise error(f"{path} cannot be written: there is no folder {parent}; make it first.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise error(f"{path} cannot be written: the folder {parent} is not writable.")


def _final(path: Path) -> Path:
    """The path of the file that is replaced: the target of a link, so that the link remains."""
    return path.resolve() if path.is_symlink() else path


def _put(made: Path, final: Path) -> None:
    """Move a finished file to its place, with the mode of the file it replaces."""
    if final.exists():
        made.chmod(stat.S_IMODE(final.stat().st_mode))
    put_in_place(made, final)
