"""Errors in talking to the hub, each as one sentence that says what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub import constants
from huggingface_hub import errors as hub

from desktop_app.core.library.cache import hub_cache
from desktop_app.core.library.progress import in_bytes
from desktop_app.core.library.references import HubName
from desktop_app.core.library.secrecy import without_login, without_secrets
from desktop_app.gpt2.errors import LogitscopeError, ModelError


@contextmanager
def explained(name: HubName) -> Iterator[None]:
    """Turns what the hub's client raises while fetching `name` into ModelError, whose message contains no secret."""
    try:
        with _translated(name):
            yield
    except LogitscopeError as reason:
        words = without_secrets(str(reason))
        if words == str(reason):
            raise
        raise type(reason)(words) from None


@contextmanager
def _translated(name: HubName) -> Iterator[None]:
    try:
        yield
    except (UnicodeError, httpx2.LocalProtocolError) as reason:
        raise ModelError("HF_TOKEN or HF_ENDPOINT contains invalid characters; set it again.") from reason
    except (hub.HFValidationError, hub.OfflineModeIsEnabled, httpx2.HTTPError, httpx2.InvalidURL) as reason:
        raise ModelError(_sentence(reason, name)) from reason
    except OSError as reason:
        if reason.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(name) from reason
        where = f"{reason.filename}: " if reason.filename else ""
        raise ModelError(f"{name} could not be stored: {where}{reason.strerror or reason}.") from reason
    except ImportError as reason:  # the client would need a package that is not a dependency
        raise ModelError(
            "A SOCKS proxy cannot be used here; set HTTPS_PROXY to one that speaks http, and unset ALL_PROXY."
        ) from reason
    except ValueError as reason:  # the client rejects an address before any request
        raise ModelError(
            f"HF_ENDPOINT or the address of a proxy cannot be used ({_short(reason)}); check HF_ENDPOINT, HTTPS_PROXY, "
            "HTTP_PROXY and ALL_PROXY."
        ) from reason


def disk_full(name: HubName, need: int | None = None, free: int | None = None) -> ModelError:
    """The error for a full disk, found before (then `need` and `free` say how much) or during the download."""
    place = hub_cache()
    if need is None or free is None:
        return ModelError(
            f"The disk that holds {place} is full; free some space, or set HF_HOME to a folder on another disk, and "
            f"get {name} again: it continues where it stopped."
        )
    return ModelError(
        f"{name} needs {in_bytes(need)} and the disk that holds {place} has {in_bytes(free)} free; free some space, or "
        "set HF_HOME to a folder on another disk."
    )


def retry_after(reason: Exception) -> int | None:
    """The seconds that a server asked to wait, if any."""
    if not isinstance(reason, hub.HfHubHTTPError):
        return None
    text = reason.response.headers.get("Retry-After", "").strip()
    return int(text) if text.isdecimal() and len(text) < 7 else None


def waits_for(reason: Exception) -> str:
    """Why a request is retried, as text to which a time is appended."""
    if retry_after(reason) is not None:
        return "the hub asks to wait"
    if isinstance(reason, hub.HfHubHTTPError):
        return "the hub has an internal error, trying again in"
    if isinstance(reason, httpx2.ConnectError):
        return "the hub cannot be reached, trying again in"
    return "the connection broke off, trying again in"


def is_passing(reason: Exception) -> bool:
    """Whether trying again may help: a connection failure, or an overloaded server."""
    if isinstance(reason, hub.HfHubHTTPError):
        status = reason.response.status_code
        return status in (408, 429) or status >= 500
    return isinstance(reason, httpx2.TransportError) and not isinstance(
        reason, (httpx2.UnsupportedProtocol, httpx2.ProxyError, httpx2.LocalProtocolError)
    )


def _sentence(reason: Exception, name: HubName) -> str:
    host = without_login(constants.ENDPOINT)
    if isinstance(reason, hub.OfflineModeIsEnabled):
        return f"{name} was not fetched: HF_HUB_OFFLINE is set; unset it to use the network."
    if isinstance(reason, hub.RevisionNotFoundError):
        return f"{name.repository} has no branch, tag or commit {name.revision!r} on {host}."
    if isinstance(reason, hub.GatedRepoError):
        return f"{name.repository} is gated: accept its terms on {host}, and set HF_TOKEN to your token."
    if isinstance(reason, hub.RepositoryNotFoundError):
        return (
            f"{host} has no model {name.repository}, or it is private: check the name, or set HF_TOKEN to your token."
        )
    if isinstance(reason, hub.HfHubHTTPError):
        return _status(reason, host, name)
    if isinstance(reason, httpx2.ProxyError):
        return f"The proxy refused the connection to {host} ({_short(reason)}); check HTTPS_PROXY and HTTP_PROXY."
    if isinstance(reason, httpx2.TimeoutException):
        return f"{host} does not answer; check the network and the proxy, and try again."
    if isinstance(reason, httpx2.TooManyRedirects):
        return f"{host} redirects endlessly; try again later, or check HF_ENDPOINT."
    if isinstance(reason, httpx2.ConnectError):
        return f"{host} cannot be reached ({_short(reason)}); check the network, the proxy and HF_ENDPOINT."
    if isinstance(reason, httpx2.UnsupportedProtocol):
        return f"{constants.ENDPOINT} leads to an address that is neither http nor https; check HF_ENDPOINT."
    if isinstance(reason, httpx2.TransportError):
        why = _short(reason)
        return f"The connection to {host} broke off ({why}); get {name} again: it continues where it stopped."
    return f"{host} could not be queried for {name} ({type(reason).__name__}: {_short(reason)})."


def _status(reason: hub.HfHubHTTPError, host: str, name: HubName) -> str:
    status = reason.response.status_code
    if status == 401:
        return f"{host} does not accept the token (401); set HF_TOKEN to one that may read {name.repository}."
    if status == 403:
        return f"{host} refuses to give {name.repository} (403); check that your HF_TOKEN may read it."
    if status == 404:
        return f"{host} does not find a file of {name} (404); check the name and HF_ENDPOINT."
    if status == 429:
        wait = retry_after(reason)
        when = f"in {wait} seconds" if wait else "in some minutes"
        return f"{host} has had too many requests from here (429); try again {when}."
    if status >= 500:
        return f"{host} has an internal error ({status}); try again later."
    return f"{host} answered {status} to the request for {name}; check the name and HF_ENDPOINT."


def _short(reason: Exception) -> str:
    # Secrets are removed before truncation, which might leave a part of one that would not be recognised.
    return " ".join(without_secrets(str(reason)).split())[:120] or type(reason).__name__
