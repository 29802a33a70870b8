"""SHA-256 sums of the bundled models' files, next to them in `models/SHA256SUMS` in the format of sha256sum."""

import hashlib
from pathlib import Path

from desktop_app.core.program.bundle import bundled_models, default_model
from desktop_app.gpt2.errors import ModelError

FILE = "SHA256SUMS"


def models_folder() -> Path:
    """The folder of all bundled models."""
    return default_model().parent


def sum_of(path: Path) -> str:
    """A file's SHA-256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def present_sums() -> dict[str, str]:
    """The actual sums of all files except model cards: path below the folder of models -> sum, sorted by path."""
    root = models_folder()
    files = [path for folder in bundled_models().values() for path in folder.rglob("*.*") if path.suffix != ".md"]
    return {path.relative_to(root).as_posix(): sum_of(path) for path in sorted(files)}


def recorded_sums() -> dict[str, str]:
    """The sums of the files when the program was built. Raises ModelError if the file of sums is malformed."""
    path = models_folder() / FILE
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            raise ModelError(f"{path}, line {number}: not a SHA-256 sum and a file's name; install Logitscope again.")
        found[name] = digest
    return found


def require_sums() -> dict[str, str]:
    """The sums of the bundled models' files, verified against the recorded ones.

    Raises:
        ModelError: a file is missing, changed, or not recorded; the message names it.
    """
    present, recorded = present_sums(), recorded_sums()
    wrong = sorted(name for name in present.keys() | recorded.keys() if present.get(name) != recorded.get(name))
    if wrong:
        name = wrong[0]
        how = "is missing" if name not in present else "is not recorded" if name not in recorded else "was changed"
        more = f" (and {len(wrong) - 1} more files differ)" if len(wrong) > 1 else ""
        raise ModelError(f"{models_folder() / name} {how}{more}, see {FILE}; install Logitscope again.")
    return present
