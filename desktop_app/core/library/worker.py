"""The code of the process in which the window downloads models; it can be killed at any moment without loss."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

from desktop_app.core.library.progress import Progress
from desktop_app.core.library.references import HubName, parse_hub_name
from desktop_app.core.program.processes import be_watched, end_with_parent
from desktop_app.gpt2.errors import LogitscopeError, ModelError, fault_words

log = logging.getLogger(__name__)


def load_download() -> Callable[[HubName, Callable[[Progress], None]], Path]:
    """Return `hub.download`; importing its client takes a moment. Raises ModelError if HF_ENDPOINT is not a URL."""
    try:
        urlsplit(os.environ.get("HF_ENDPOINT", "")).port  # noqa: B018 - raises, as the client does when it is imported
    except ValueError as reason:  # reported here, because the client would show the URL with its password
        raise ModelError(
            "HF_ENDPOINT is not an address of a hub; set it to one like https://huggingface.co."
        ) from reason
    from desktop_app.core.library.hub import download

    return download


def fetch(text: str, out: Connection, level: str | None = None, crash_file: Path | None = None) -> None:
    """Download `owner/name[@revision]`; send each Progress to `out`, and finally the folder (Path) or an error (str).

    `level` and `crash_file` are those of `watched_by` in the main process.
    """
    be_watched(level, crash_file)
    end_with_parent()
    try:
        out.send(load_download()(parse_hub_name(text), out.send))
    except LogitscopeError as reason:
        words = str(reason)
    except Exception as reason:
        log.exception("The download of a model ended with an error.")
        words = fault_words(reason)
    else:
        return
    with suppress(BrokenPipeError):  # the window is gone
        out.send(words)
