"""Output files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from desktop_app.gpt2.errors import ExportError, LogitscopeError


@contextmanager
def whole_file(path: Path, error: type[LogitscopeError] = ExportError) -> Iterator[BinaryIO]:
    """A binary file that appears at `path`, replacing what is there, only once the block has ended well.

    Raises `error` when `path` is a folder, its folder is missing or read-only, or the disk fills; then nothing is left.
    """
    if path.is_dir():
        raise error(f"{path} is a folder; name a file to write.")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    except OSError as reason:
        raise error(f"{path} cannot be written: {reason.strerror or reason}.") from reason
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        # mkstemp makes files for the owner alone; a saved file gets the mode of any other new file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as reason:
        raise error(f"{path} cannot be written: {reason.strerror or reason}.") from reason
    finally:
        temporary.unlink(missing_ok=True)


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise ExportError if `path` exists and `force` was not given."""
    if path.exists() and not force:
        raise ExportError(f"{path} exists already; give --force to replace it, or another name.")
