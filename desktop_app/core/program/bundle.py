"""Finds the project's data, `models/` and `resources/`, in a checkout and in an installed wheel."""

from functools import cache
from pathlib import Path

from desktop_app.gpt2.errors import LogitscopeError

_PACKAGE = Path(__file__).resolve().parents[2]
_DEFAULT_MODEL = "bundled"


def resource(*parts: str) -> Path:
    """The file or folder `parts` below `resources/`.

    Raises:
        LogitscopeError: it is missing, which only happens in a damaged installation.
    """
    path = _folder("resources").joinpath(*parts)
    if not path.exists():
        raise _damaged(path)
    return path


def bundled_models() -> dict[str, Path]:
    """The models that ship with the program: name -> folder, sorted by name; only folders with a config.json count.

    Raises:
        LogitscopeError: the folder of models is missing.
    """
    return {path.parent.name: path.parent for path in sorted(_folder("models").glob("*/config.json"))}


ENGLISH = "en"


@cache
def languages() -> tuple[str, ...]:
    """The languages of figures by their codes, English first.

    Raises:
        LogitscopeError: the folder of languages is missing.
    """
    return (ENGLISH, *sorted(path.stem for path in resource("languages").glob("*.toml")))


def snapshots(model: Path) -> dict[int, Path]:
    """The training snapshots that ship with a bundled model: number of training steps -> folder, in order."""
    found = (path.parent for path in model.glob("snapshots/*/config.json") if path.parent.name.isdecimal())
    return {int(folder.name): folder for folder in sorted(found)}


def default_model() -> Path:
    """The folder of the model that is opened if none is named.

    Raises:
        LogitscopeError: it is missing.
    """
    folder = _folder("models") / _DEFAULT_MODEL
    if not (folder / "config.json").is_file():
        raise _damaged(folder / "config.json")
    return folder


def program() -> str:
    """The command that starts the program: `./run` in a checkout, `logitscope` if installed."""
    return "./run" if (_PACKAGE.parent / "run").is_file() else "logitscope"


def _folder(name: str) -> Path:
    """`models` or `resources`: inside the package if it is installed, else next to it."""
    # The package is searched first: beside an installed one lies all of site-packages, and perhaps a `models` there.
    for path in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if path.is_dir():
            return path
    raise _damaged(_PACKAGE.parent / name)


def _damaged(path: Path) -> LogitscopeError:
    return LogitscopeError(f"{path} is missing, so this installation is damaged; install Logitscope again.")
