"""Finds the folder of a model by its name, without any download."""

from contextlib import suppress
from pathlib import Path

from desktop_app.core.library.cache import find_snapshot, hub_cache
from desktop_app.core.library.catalogue import hub_entry
from desktop_app.core.library.references import PAGE, HubName, parse_hub_name
from desktop_app.core.library.training import is_model, training_of
from desktop_app.core.program.bundle import bundled_models, program, snapshots
from desktop_app.gpt2.checkpoint import name_of
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.system import is_plainly_a_path


def find_model(text: str) -> Path:
    """The folder of the model that `text` names.

    `text` is a folder itself, a bundled model (sorter), a snapshot of its training (sorter@50), or a repository in the
    hub's cache. An existing folder takes precedence. A text that is clearly a path is returned as a path, whether or
    not it exists. Raises ModelError that says how to get a model that is not on this machine.
    """
    path = as_path(text)
    if text and _exists(path):
        return last_of(path)
    if (snapshot := _snapshot_in(text)) is not None:
        return snapshot
    if text and not _may_be_hub_name(text):
        return path
    bundled = bundled_models()
    if text in bundled:
        return bundled[text]
    model, _, steps = text.partition("@")
    if model in bundled and (known := snapshots(bundled[model])):
        if steps.isdecimal() and len(steps) < 10 and int(steps) in known:
            return known[int(steps)]
        raise ModelError(f"{text[:100]!a} is not a snapshot of {model}; there are {', '.join(map(str, known))}.")
    try:
        name = parse_hub_name(text)
    except ModelError:
        raise ModelError(
            f"{text[:100]!a} is not a folder, a bundled model ({', '.join(bundled)}) or an owner/name of the Hugging "
            "Face Hub."
        ) from None
    folder = find_snapshot(name) or find_snapshot(full_name(name))
    if folder is not None:
        return folder
    if "/" not in name.repository and hub_entry(name.repository) is None:
        raise ModelError(
            f"{text} is not a folder or a bundled model ({', '.join(bundled)}); a model of the Hugging Face Hub is "
            "named owner/name."
        )
    raise ModelError(f"{text} is not on this machine; get it with: {program()} models get {full_name(name)}")


def last_of(folder: Path) -> Path:
    """The last snapshot in a folder of checkpoints, if `folder` is not a model itself; otherwise `folder`."""
    if folder.is_dir() and not is_model(folder):
        training = training_of(folder)
        return folder if training is None else training.snapshots[-1].folder
    return folder


def _snapshot_in(text: str) -> Path | None:
    """The snapshot that FOLDER@STEP names; FOLDER is that of a model, or one of checkpoints. Raises ModelError."""
    name, at, step = text.rpartition("@")
    folder = as_path(name)
    if not at or not step.isdecimal() or len(step) > 9 or not name or not _exists(folder):
        return None
    training = training_of(folder)
    return None if training is None else training.named(int(step))


def at_step(folder: Path, step: int) -> Path:
    """The snapshot after `step` steps of the training that the model in `folder` belongs to. Raises ModelError."""
    training = training_of(folder)
    if training is None:
        raise ModelError(f"{folder.name} has no snapshots of its training, so none after {step} steps.")
    return training.named(step)


def reference_of(folder: str) -> str:
    """The name of the model in `folder` for session files; if possible, a name that is valid on other machines.

    That is the name of a bundled model or its snapshot (sorter@50), or `owner/name@commit` in the hub's cache; else the
    full path.
    """
    path = Path(folder)
    if not folder or "\0" in folder:
        return folder
    for name, place in bundled_models().items():
        known = {name: place} | {f"{name}@{steps}": snapshot for steps, snapshot in snapshots(place).items()}
        for reference, bundled in known.items():
            if path.absolute() == bundled.absolute():
                return reference
    if path.parent.name == "snapshots" and path.parent.parent.parent == hub_cache():
        return f"{name_of(path)}@{path.name}"
    return str(path.absolute())


def referred(reference: str) -> str:
    """The folder of a model named by `reference_of`, if it is on this machine; else the reference itself.

    The result does not depend on the current directory.
    """
    model, _, rest = reference.partition("@")
    bundled = bundled_models()
    if reference in bundled:
        return str(bundled[reference])
    if model in bundled:
        folder = snapshots(bundled[model]).get(int(rest)) if rest.isdecimal() and len(rest) < 10 else None
        return reference if folder is None else str(folder)
    if rest and not Path(reference).is_absolute():
        with suppress(ModelError):  # not a hub name
            return str(find_snapshot(parse_hub_name(reference)) or reference)
    return reference


def is_here(reference: str) -> bool:
    """Whether a session's model, as returned by `referred`, is an absolute path to a folder on this machine."""
    path = Path(reference)
    try:
        return path.is_absolute() and path.is_dir()
    except (OSError, ValueError):  # it cannot be a path: a NUL, a lone surrogate
        return False


def hub_name_of(reference: str) -> HubName | None:
    """The hub name of a session's model; None if it is a path or not a valid name."""
    if Path(reference).is_absolute() or "/" not in reference:
        return None
    try:
        return parse_hub_name(reference)
    except ModelError:  # not a hub name
        return None


def require_here(reference: str) -> Path:
    """The folder of a session's model, as returned by `referred`. Raises ModelError if it is not on this machine."""
    if is_here(reference):
        return Path(reference)
    name = hub_name_of(reference)
    how = "" if name is None else f": get it with {program()} models get {name}"
    raise ModelError(f"The session's model, {reference[:200]}, is not here{how}; to use another, name it with --model.")


def full_name(name: HubName) -> HubName:
    """`name` with its owner, if it is the short name of a repository in the catalogue (gpt2)."""
    entry = hub_entry(name.repository)
    return name if entry is None else HubName(entry.repository, name.revision)


def as_path(text: str) -> Path:
    """`text` as a path, with a leading `~` or `~user` expanded if there is such a user."""
    path = Path(text)
    try:
        return path.expanduser()
    except (RuntimeError, ValueError):  # there is no such user, or it cannot be a path
        return path


def _may_be_hub_name(text: str) -> bool:
    """Whether `text` is not clearly a path."""
    if text.startswith(PAGE):
        return True
    return not is_plainly_a_path(text) and text.partition("@")[0].count("/") < 2


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # it cannot be a path
        return False
