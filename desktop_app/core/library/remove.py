"""Removes a model from the library: a download from the hub's cache, or a folder from the list."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from desktop_app.core.library.cache import bytes_below, hub_cache, repository_folder, strange_ref
from desktop_app.core.library.find import as_path, full_name
from desktop_app.core.library.folders import forget_folder
from desktop_app.core.library.progress import in_bytes
from desktop_app.core.library.references import HubName, parse_hub_name
from desktop_app.core.program.bundle import bundled_models
from desktop_app.gpt2.errors import ModelError

if TYPE_CHECKING:
    from huggingface_hub import HFCacheInfo


def remove_model(text: str) -> str:
    """Remove what `text` names, and return a sentence about what was done.

    A folder is only removed from the list; its files stay. Of a repository, files that no other revision needs are
    deleted, along with partial downloads. Raises ModelError.
    """
    if text in bundled_models():
        raise ModelError(f"{text} came with the program and cannot be removed.")
    if forget_folder(as_path(text)):
        return f"{text} is no longer listed; its files are where they were."
    if as_path(text).is_absolute() or text.startswith("."):
        raise ModelError(f"{text} is not in the list; there is nothing to remove.")
    name = parse_hub_name(text)
    if not repository_folder(name.repository).is_dir():
        name = full_name(name)
    storage = repository_folder(name.repository)
    if not storage.is_dir():
        raise ModelError(f"{text} is not in the cache, {hub_cache()}; there is nothing to remove.")
    try:
        before = bytes_below(storage)
        if "@" in text:
            _remove_revision(name)
        else:
            _remove_repository(name, storage)
        freed = before - bytes_below(storage)
    except OSError as reason:
        raise ModelError(f"{text} could not be removed: {reason.filename}: {reason.strerror or reason}.") from reason
    return f"{name} is removed; {in_bytes(freed)} were freed."


def _remove_revision(name: HubName) -> None:
    scan = _scan(name)
    commits = [
        revision.commit_hash
        for repository in scan.repos
        for revision in repository.revisions
        if name.revision in revision.refs or (len(name.revision) > 3 and revision.commit_hash.startswith(name.revision))
    ]
    if len(commits) != 1:
        raise ModelError(f"{name.repository} is in the cache, but not its revision {name.revision}.")
    scan.delete_revisions(*commits).execute()


def _remove_repository(name: HubName, storage: Path) -> None:
    # huggingface_hub keeps track of contents shared between repositories, so it deletes the snapshots.
    scan = _scan(name)
    commits = [revision.commit_hash for repository in scan.repos for revision in repository.revisions]
    scan.delete_revisions(*commits).execute()
    # What is left are partial downloads that never became a snapshot.
    if storage.is_symlink():
        storage.unlink()
    elif storage.is_dir():
        shutil.rmtree(storage)
    shutil.rmtree(hub_cache() / ".locks" / storage.name, ignore_errors=True)


def _scan(name: HubName) -> HFCacheInfo:
    """The cache's contents for one repository.

    huggingface_hub deletes by commit alone, and two repositories may share one, as gpt2 and openai-community/gpt2 do.
    """
    # This imports a network client, which the window starts without.
    from huggingface_hub import scan_cache_dir

    if (ref := strange_ref()) is not None:
        raise _unexpected(str(ref), name)
    try:
        scan = scan_cache_dir(hub_cache())
    except ValueError as reason:
        # Some repository has a ref that is not text, or a folder that huggingface_hub did not write.
        raise _unexpected(type(reason).__name__, name) from reason
    own = (r for r in scan.repos if r.repo_type == "model" and r.repo_id == name.repository)
    return replace(scan, repos=frozenset(own))


def _unexpected(what: str, name: HubName) -> ModelError:
    return ModelError(
        f"The cache {hub_cache()} contains something unexpected ({what}), so nothing was removed; delete "
        f"{repository_folder(name.repository)} by hand."
    )
