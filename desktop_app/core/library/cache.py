"""The Hugging Face Hub's cache on this machine: where it is, which GPT-2s it contains, and which files they lack.

The layout (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): `models--OWNER--NAME/` holds `blobs/`
(file contents, named by hash), `snapshots/COMMIT/` (a commit's files, links to blobs) and `refs/` (branch -> commit).
"""

import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from desktop_app.core.library.references import COMMIT, HubName
from desktop_app.gpt2.config import load_config
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.stored import INDEX, read_index

log = logging.getLogger(__name__)

_REF_LIMIT = 64  # bytes; a commit hash has 40


def hub_cache(environ: Mapping[str, str] | None = None) -> Path:
    """The folder in which huggingface_hub caches repositories, from the same environment variables as it uses."""
    env = os.environ if environ is None else environ
    home = env.get("HF_HOME") or str(Path(env.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
    chosen = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or str(Path(home, "hub"))
    path = Path(os.path.expandvars(chosen))
    with suppress(RuntimeError):  # ~NAME for a user who does not exist
        path = path.expanduser()
    return path.absolute()


def repository_folder(repository: str) -> Path:
    """The folder of a repository in the cache, whether or not it exists."""
    return hub_cache() / ("models--" + repository.replace("/", "--"))


def repository_of(storage: Path) -> str | None:
    """The repository, owner/name, that the cache keeps in this folder; None if the folder is not named models--…."""
    name = storage.name.removeprefix("models--")
    return None if name == storage.name else name.replace("--", "/")


@dataclass(frozen=True)
class Cached:
    """One commit of a repository in the cache. `missing` names the files without which it cannot be opened, if any."""

    name: HubName
    folder: Path
    missing: tuple[str, ...]


def find_snapshot(name: HubName) -> Path | None:
    """The folder of the snapshot that `name` refers to, if it is in the cache and complete."""
    storage = repository_folder(name.repository)
    folder = _snapshot_of(storage, name.revision)
    return folder if folder is not None and not missing_files(folder) else None


def branches(storage: Path) -> dict[str, Path]:
    """Branches and tags of a repository whose commits are in the cache: name -> the commit's folder."""
    places = {revision: storage / "snapshots" / commit for revision, commit in _refs(storage).items()}
    return {revision: place for revision, place in places.items() if place.is_dir()}


def cached_models() -> Iterator[Cached]:
    """The GPT-2s in the cache, complete or partial, by name; repositories of other architectures are skipped."""
    for storage in sorted(_folders(hub_cache())):
        repository = repository_of(storage)
        if repository is None:
            continue
        named = {commit: revision for revision, commit in sorted(_refs(storage).items(), reverse=True)}
        named |= {commit: "main" for revision, commit in _refs(storage).items() if revision == "main"}
        for folder in sorted(_folders(storage / "snapshots")):
            if _is_gpt2(folder):
                missing = missing_files(folder)
                # To fetch the rest, the hub needs the full commit hash.
                commit = folder.name if missing else folder.name[:7]
                yield Cached(HubName(repository, named.get(folder.name, commit)), folder, missing)


def strange_ref() -> Path | None:
    """The first entry among the refs of any repository in the cache that is not a file, or too long for a commit hash.

    A program that reads every ref whole would run out of memory, or wait forever.
    """
    for path in hub_cache().glob("*/refs/**/*"):
        if not path.is_dir() and not (_is_file(path) and _size(path) <= _REF_LIMIT):
            return path
    return None


def partial_bytes(repository: str) -> int:
    """Bytes of unfinished downloads of a repository."""
    return sum(_size(path) for path in (repository_folder(repository) / "blobs").glob("*.incomplete"))


def missing_files(folder: Path) -> tuple[str, ...]:
    """Names of the files missing from a model's folder: config, weights (each shard), tokenizer."""
    missing = [] if _is_file(folder / "config.json") else ["config.json"]
    missing += _missing_weights(folder)
    if not _is_file(folder / "tokenizer.json"):
        missing += [name for name in ("vocab.json", "merges.txt") if not _is_file(folder / name)]
    return tuple(missing)


def bytes_on_disk(folder: Path) -> int:
    """The size of the files directly in a folder, following links."""
    try:
        return sum(_size(path) for path in folder.iterdir() if path.is_file())
    except (OSError, ValueError):  # there is no such folder, or the system allows no such name
        return 0


def bytes_below(folder: Path) -> int:
    """The size of all files in and below a folder, each counted once."""
    return sum(_size(path) for path in folder.rglob("*") if not path.is_symlink() and path.is_file())


def _missing_weights(folder: Path) -> list[str]:
    if _is_file(folder / "model.safetensors"):
        return []
    if _is_file(folder / INDEX):
        try:
            shards = set(read_index(folder / INDEX).values())
        except ModelError as reason:
            log.info("%s", reason)
            return [INDEX]
        return sorted(name for name in shards if not _is_file(folder / name))
    return [] if len([p for p in folder.glob("*.safetensors") if _is_file(p)]) == 1 else ["model.safetensors"]


def _snapshot_of(storage: Path, revision: str) -> Path | None:
    commit = _refs(storage).get(revision)
    if commit is not None:
        folder = storage / "snapshots" / commit
        return folder if folder.is_dir() else None
    if re.fullmatch("[0-9a-f]{4,40}", revision):
        found = [p for p in _folders(storage / "snapshots") if p.name.startswith(revision)]
        return found[0] if len(found) == 1 else None
    return None


def _refs(storage: Path) -> dict[str, str]:
    """Branch or tag -> commit; a name that contains slashes, like refs/pr/1, is in subfolders."""
    found = {}
    try:
        for path in (storage / "refs").rglob("*"):
            if path.is_file() and COMMIT.fullmatch(commit := _start_of(path).strip()):
                found[path.relative_to(storage / "refs").as_posix()] = commit
    except OSError as reason:
        _log_unreadable(storage / "refs", reason)
    return found


def _start_of(path: Path) -> str:
    """The first bytes of a file as text: a commit hash whole; of a longer file, so many that it cannot pass as one."""
    with path.open("rb") as file:
        return file.read(_REF_LIMIT).decode("ascii", "replace")


def _is_gpt2(folder: Path) -> bool:
    path = folder / "config.json"
    if not _is_file(path):
        return False
    try:
        load_config(path)
    except LogitscopeError as reason:
        log.debug("Not listed: %s", reason)
        return False
    return True


def _folders(parent: Path) -> list[Path]:
    try:
        return [path for path in parent.iterdir() if path.is_dir()]
    except OSError as reason:
        _log_unreadable(parent, reason)
        return []


def _log_unreadable(folder: Path, reason: OSError) -> None:
    """Log why a folder cannot be read, unless it does not exist, which is normal."""
    if not isinstance(reason, FileNotFoundError):
        log.info("%s cannot be read, and is skipped: %s.", folder, reason.strerror or reason)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # it does not exist, or no file can have such a name
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # deleted since it was listed, or a broken link
        return 0
