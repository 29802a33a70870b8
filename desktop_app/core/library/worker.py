"""What the process that downloads for the window runs; it can be killed at any moment, and nothing is lost."""

from contextlib import suppress
from multiprocessing.connection import Connection

from desktop_app.core.library.references import parse_hub_name
from desktop_app.gpt2.errors import LogitscopeError


def fetch(text: str, out: Connection) -> None:
    """Download `owner/name[@revision]`; sends each Progress, and at the end the folder (a Path) or a sentence (str)."""
    try:
        from desktop_app.core.library.hub import download

        out.send(download(parse_hub_name(text), out.send))
    except LogitscopeError as reason:
        with suppress(BrokenPipeError):  # the window is gone, and whoever would have read it
            out.send(str(reason))
