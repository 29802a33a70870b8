"""Fetches a model from the Hugging Face Hub into the standard cache, with checksums and resumption.

Requests use huggingface_hub (and thereby its handling of proxies, tokens, HF_ENDPOINT and offline mode) and its cache
layout, so that other programs find the downloaded files. This module streams file contents itself, because the library
does not resume a file that an earlier process began, and does not verify checksums. The process may be killed at any
moment: a file gets its name in `blobs/` only once its checksum is right, `snapshots/` links only to complete files,
config.json last, and `refs/` names the commit once everything is there.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import WeakFileLock, build_hf_headers, get_session, hf_raise_for_status, validate_repo_id

from desktop_app import __version__
from desktop_app.core.library.bounded import HeadersTimer, Pace, read_bounded
from desktop_app.core.library.cache import hub_cache, missing_files, repository_folder
from desktop_app.core.library.hub_errors import disk_full, explained, is_passing, retry_after, waits_for
from desktop_app.core.library.progress import Meter, Progress, in_time
from desktop_app.core.library.references import COMMIT, HubName
from desktop_app.core.library.secrecy import without_login
from desktop_app.gpt2.config import CONFIG_LIMIT, parse_config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.files import whole_file
from desktop_app.gpt2.jsonfile import parse_json, read_json
from desktop_app.gpt2.leftovers import unfinished_name
from desktop_app.gpt2.stored import INDEX

SMALL_FILES = (
    "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "tokenizer.json",
)  # fmt: skip
"""Files fetched besides config.json and the weights, if a repository has them."""

MOST_TRIES = 5
"""The number of consecutive requests without new data after which a download fails."""

FIRST_WAIT = 1.0
"""Seconds before the second try; doubled for each further one."""

LONGEST_WAIT = 60
"""The longest wait in seconds that a server may ask for; if it asks for more, the user is told to try again later."""

_DIGEST = re.compile("[0-9a-f]{64}|[0-9a-f]{40}")
_CHUNK = 1 << 20
_LISTING_TIMEOUT = 20.0
_LISTING_LIMIT, _LISTING_SECONDS = 16 << 20, 60.0
_ERROR_LIMIT, _ERROR_SECONDS = 1 << 16, 10.0
_HEADERS_SECONDS = 60.0


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its name, size in bytes, and hash (sha256, or git's sha1 for small files)."""

    name: str
    size: int
    digest: str


def download(name: HubName, on_progress: Callable[[Progress], None] = lambda _progress: None) -> Path:
    """Fetch the files of a GPT-2 from a repository: config, tokenizer and safetensors. Returns the snapshot's folder.

    Files already in the cache are not fetched again. `on_progress` may raise to cancel; a later call resumes the
    download. Raises ModelError with one sentence for any problem with the hub, the network, the disk or the files.
    """
    with explained(name):
        commit, listed = _list_files(name, on_progress)
        place = _Place(repository_folder(name.repository), commit)
        files = _wanted(name, listed)
        place.make()
        _check_space(name, place, files)
        meter = Meter(sum(file.size for file in files), on_progress)
        for file in files:
            meter.begin(file.name)
            _fetch(name, file, place, meter)
            if file.name == "config.json":
                # The config is checked before gigabytes of weights are fetched that could not be opened.
                raw = read_json(place.find(file) or place.blob(file), limit=CONFIG_LIMIT, error=ModelError)
                parse_config(raw, f"config.json of {name}")
        for file in reversed(files):  # config.json last
            place.link(file)
        if missing := missing_files(place.snapshot):
            raise ModelError(f"{name} lacks {', '.join(missing[:3])} on the hub, so it cannot be opened here.")
        if not COMMIT.fullmatch(name.revision):
            place.point(name.revision)
        return place.snapshot


@dataclass(frozen=True)
class _Place:
    """The paths in the cache of one commit of a repository."""

    storage: Path
    commit: str

    @property
    def snapshot(self) -> Path:
        return self.storage / "snapshots" / self.commit

    def blob(self, file: RemoteFile) -> Path:
        return self.storage / "blobs" / file.digest

    def partial(self, file: RemoteFile) -> Path:
        """The file with the part of the content that has arrived so far."""
        return self.storage / "blobs" / f"{file.digest}.incomplete"

    def lock(self, file: RemoteFile) -> Path:
        """The lock file that huggingface_hub uses for the same content."""
        return hub_cache() / ".locks" / self.storage.name / f"{file.digest}.lock"

    def make(self) -> None:
        for folder in (self.snapshot, self.storage / "blobs", self.storage / "refs", self.lock(_NO_FILE).parent):
            folder.mkdir(parents=True, exist_ok=True)

    def find(self, file: RemoteFile) -> Path | None:
        """The complete content, if present: in `blobs`, or in the snapshot itself on disks without links."""
        places = (self.blob(file), self.snapshot / file.name)
        return next((path for path in places if path.is_file() and path.stat().st_size == file.size), None)

    def link(self, file: RemoteFile) -> None:
        """Add the file to the snapshot: a link to the content, or the content itself if the disk has no links."""
        blob, path = self.blob(file), self.snapshot / file.name
        if not blob.exists() or (path.exists() and path.samefile(blob)):
            return
        temporary = path.with_name(unfinished_name())
        try:
            if constants.HF_HUB_DISABLE_SYMLINKS:
                raise OSError("links are switched off")
            temporary.symlink_to(Path("..", "..", "blobs", blob.name))
        except OSError:  # no links on this disk: move the content there
            blob.replace(path)
        else:
            temporary.replace(path)

    def point(self, revision: str) -> None:
        """Record that a branch or tag points to this commit."""
        ref = self.storage / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(ref, ModelError) as out:
            out.write(self.commit.encode())


_NO_FILE = RemoteFile("", 0, "")


def _list_files(name: HubName, on_progress: Callable[[Progress], None]) -> tuple[str, list[RemoteFile]]:
    """The commit that a revision refers to, and its files."""
    validate_repo_id(name.repository)
    # Sizes are not known yet, but waiting is reported; without a network this fails quickly.
    patience = _Patience(Meter(0, on_progress), connections=2)
    while True:
        try:
            return _read_listing(name, _ask_listing(name))
        except (HfHubHTTPError, httpx2.TransportError) as reason:
            patience.wait_out(reason)


def _ask_listing(name: HubName) -> bytes:
    """The hub's response about a revision: bounded in bytes and in time, whatever it sends."""
    url = f"{constants.ENDPOINT}/api/models/{name.repository}/revision/{quote(name.revision, safe='')}"
    with _answer(url, {}, _LISTING_TIMEOUT, {"blobs": "true"}) as response:
        return read_bounded(response, _LISTING_LIMIT, _LISTING_SECONDS, f"The list of files of {name}")


def _read_listing(name: HubName, data: bytes) -> tuple[str, list[RemoteFile]]:
    """The commit and its files from a response, with the type of every value checked."""
    host = without_login(constants.ENDPOINT)
    try:
        raw = parse_json(data, what="the answer", error=ModelError)
        commit, siblings = raw.get("sha"), raw.get("siblings")
        if not isinstance(siblings, list) or not all(isinstance(row, dict) for row in siblings):
            raise ModelError("it lists no files")
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise ModelError("it names no commit")
        return commit, [_file(name, row) for row in siblings]
    except _Hostile as reason:
        raise ModelError(str(reason)) from reason
    except ModelError as reason:
        raise ModelError(f"{host} does not answer as a hub does ({reason}); check HF_ENDPOINT.") from reason


class _Hostile(ModelError):
    """A well-formed listing that asks for something unsafe."""


def _file(name: HubName, row: dict[str, Any]) -> RemoteFile:
    path, lfs = row.get("rfilename"), row.get("lfs")
    size, digest = row.get("size", 0), row.get("blobId", "")
    if isinstance(lfs, dict):
        size, digest = lfs.get("size", size), lfs.get("sha256")
    if not isinstance(path, str) or not path or not path.isprintable():
        raise ModelError("one of its files has no name")
    if path.startswith("/") or "\\" in path or ".." in PurePosixPath(path).parts:
        raise _Hostile(f"{name} lists {path[:80]!a}, a path that leads out of its folder; nothing was fetched.")
    size, digest = 0 if size is None else size, "" if digest is None else digest
    if type(size) is not int or not 0 <= size < 1 << 60 or not isinstance(digest, str):
        raise ModelError(f"the size or the checksum of {path[:80]} is invalid")
    return RemoteFile(path, size, digest)


def _wanted(name: HubName, listed: list[RemoteFile]) -> list[RemoteFile]:
    """config.json first, then the small files, then the weights."""
    by_name = {file.name: file for file in listed if "/" not in file.name}
    if "config.json" not in by_name:
        raise ModelError(f"{name} has no config.json, so it is not a model that can be opened here.")
    weights = ["model.safetensors"] if "model.safetensors" in by_name else []
    if not weights:
        weights = sorted(file for file in by_name if file.endswith(".safetensors"))
        weights = [INDEX, *weights] if INDEX in by_name and weights else weights
    if not weights:
        raise ModelError(
            f"{name} has no safetensors files; pickled weights (.bin, .pt) can run code when they are opened and are "
            "never fetched."
        )
    small = [file for file in SMALL_FILES if file in by_name]
    if "tokenizer.json" not in small and not {"vocab.json", "merges.txt"} <= set(small):
        raise ModelError(
            f"{name} has no tokenizer that can be used here: neither tokenizer.json, nor vocab.json with merges.txt."
        )
    files = [by_name[file] for file in ("config.json", *small, *weights)]
    folded: dict[str, str] = {}
    for file in files:
        if (other := folded.setdefault(file.name.casefold(), file.name)) != file.name:
            raise ModelError(
                f"{name} has {other} and {file.name}, which are one file where case is ignored; nothing was fetched."
            )
        if not _DIGEST.fullmatch(file.digest):
            raise ModelError(f"The hub gives no checksum of {file.name} in {name}; check that HF_ENDPOINT is a hub.")
    return files


def _check_space(name: HubName, place: _Place, files: list[RemoteFile]) -> None:
    need = sum(file.size - _length(place.partial(file)) for file in files if place.find(file) is None)
    free = shutil.disk_usage(place.storage).free
    if need > free:
        raise disk_full(name, need, free)


def _fetch(name: HubName, file: RemoteFile, place: _Place, meter: Meter) -> None:
    """Fetch the content of `file` to its place and verify its checksum."""
    if place.find(file) is not None:
        meter.skip(file.size)
        return
    partial = place.partial(file)
    busy = f"{file.name} of {name} is being fetched by another program; wait until it is done."
    with _alone(place.lock(file), busy):
        resumed = _length(partial) > 0
        _stream(name, file, place, meter)
        if resumed and not _is_whole(partial, file, meter):
            # An earlier try left damaged data: start again from zero.
            partial.unlink()
            meter.skip(-file.size)
            _stream(name, file, place, meter)
            resumed = False
        if not resumed and not _is_whole(partial, file, meter):
            partial.unlink()
            raise ModelError(
                f"{file.name} of {name} arrived with another checksum than the hub announced, and was deleted; "
                "get it again, and check the proxy if that does not help."
            )
        partial.replace(place.blob(file))


@contextmanager
def _alone(lock: Path, busy: str) -> Iterator[None]:
    """In this context a lock is held; raises ModelError if another program holds it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(WeakFileLock(lock, timeout=0.2))
        except TimeoutError as reason:
            raise ModelError(busy) from reason
        yield


def _stream(name: HubName, file: RemoteFile, place: _Place, meter: Meter) -> None:
    """Append to the partial file until it has its full length; a broken connection is resumed."""
    partial = place.partial(file)
    partial.touch()
    if _length(partial) > file.size:
        os.truncate(partial, 0)
    meter.skip(_length(partial))
    patience = _Patience(meter)
    while (have := _length(partial)) < file.size:
        try:
            with partial.open("ab") as out:
                _request(name, file, place.commit, have, out, meter)
        except (HfHubHTTPError, httpx2.TransportError) as reason:
            if _length(partial) >= have + Pace.least:
                patience.renew()
            patience.wait_out(reason)


def _request(name: HubName, file: RemoteFile, commit: str, have: int, out: BinaryIO, meter: Meter) -> None:
    """One request for the bytes of `file` from `have` on, appended to `out`."""
    url = hf_hub_url(name.repository, file.name, revision=commit, endpoint=constants.ENDPOINT)
    headers = {"Range": f"bytes={have}-"} if have else {}
    with _answer(url, headers, constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
        skip = have if response.status_code != 206 else 0  # a server may send the whole file again
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) != file.size - (have - skip):
            raise ModelError(
                f"The hub sends {int(length) + have - skip:,} bytes as {file.name} of {name}, which has {file.size:,}; "
                "try again later."
            )
        pace = Pace()
        for received in response.iter_raw():
            pace.keep(len(received))
            chunk, skip = received[skip:], max(0, skip - len(received))
            have += len(chunk)
            if have > file.size:
                raise ModelError(f"The hub sends more than the {file.size:,} bytes of {file.name}; try again later.")
            out.write(chunk)
            meter.add(len(chunk))
    if have < file.size:
        raise httpx2.RemoteProtocolError(f"{file.name} ended at byte {have:,} of {file.size:,}")


@contextmanager
def _answer(
    url: str, headers: dict[str, str], timeout: float, params: dict[str, str] | None = None
) -> Iterator[httpx2.Response]:
    """The hub's response, streamed and uncompressed, so it cannot expand beyond the bytes sent. Raises on an error."""
    asked = build_hf_headers(library_name="logitscope", library_version=__version__, headers=headers)
    asked["Accept-Encoding"] = "identity"  # so that the bytes counted are the bytes stored
    asked["Connection"] = "close"
    timer = HeadersTimer(_HEADERS_SECONDS)
    # Redirects are followed, without the token if they leave the hub.
    answer = get_session().stream(
        "GET", url, headers=asked, params=params, timeout=httpx2.Timeout(timeout), extensions=timer.extensions
    )
    with timer.running(), answer as response:
        timer.arrived()
        if response.is_error:
            # huggingface_hub reads the body of an error to its end, so it is given a bounded one.
            text = read_bounded(response, _ERROR_LIMIT, _ERROR_SECONDS, "An error of the hub")
            whole = httpx2.Response(
                response.status_code, headers=_plain(response), content=text, request=response.request
            )
            hf_raise_for_status(whole)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ModelError(
                f"{without_login(constants.ENDPOINT)} sends compressed data, although plain data was requested; check "
                "HF_ENDPOINT."
            )
        yield response


def _plain(response: httpx2.Response) -> dict[str, str]:
    """The headers of a response, without those about the encoding and length of its body."""
    coming = ("content-encoding", "content-length", "transfer-encoding")
    return {key: value for key, value in response.headers.items() if key.lower() not in coming}


class _Patience:
    """Waits before another try, longer after each one, and reports it; gives up if trying again cannot help."""

    def __init__(self, meter: Meter, connections: int = MOST_TRIES) -> None:
        """`connections` is the number of attempts to connect to an unreachable server."""
        self._meter, self._tries, self._connections = meter, 0, connections

    def renew(self) -> None:
        """Reset the count of failures, because the last try made progress."""
        self._tries = 0

    def wait_out(self, reason: Exception) -> None:
        """Wait until another try is due; raise `reason` if trying again cannot help."""
        self._tries += 1
        asked = retry_after(reason)
        most = self._connections if isinstance(reason, httpx2.ConnectError) else MOST_TRIES
        if not is_passing(reason) or self._tries >= most or (asked or 0) > LONGEST_WAIT:
            raise reason
        pause = float(asked) if asked is not None else FIRST_WAIT * 2 ** (self._tries - 1)
        self._meter.say(f"{waits_for(reason)} {in_time(pause)}", held=True)
        time.sleep(pause)


def _is_whole(path: Path, file: RemoteFile, meter: Meter) -> bool:
    """Whether the file on disk has the hash that the hub announced."""
    meter.say("comparing the checksum")
    # Small files have git's hash, which includes their length.
    digest = hashlib.sha256() if len(file.digest) == 64 else hashlib.sha1(b"blob %d\0" % file.size)
    with path.open("rb") as data:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
        os.fsync(data.fileno())
    return digest.hexdigest() == file.digest


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
