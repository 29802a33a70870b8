"""Answers of a server that is not trusted to end: bounded in bytes, and in time as a whole, not from read to read."""

import time

import httpx2

from desktop_app.core.library.progress import in_bytes
from desktop_app.gpt2.errors import ModelError


def read_bounded(response: httpx2.Response, limit: int, seconds: float, what: str) -> bytes:
    """The content of a streamed answer as it was sent, at most `limit` bytes of it, in at most `seconds`.

    `what` names it in a sentence. Raises ModelError if it is longer, httpx2.ReadTimeout if it takes longer.
    """
    ends, found = time.monotonic() + seconds, bytearray()
    for piece in response.iter_raw():
        found += piece
        if len(found) > limit:
            raise ModelError(f"{what} has more than {in_bytes(limit)}, which none has; check HF_ENDPOINT.")
        if time.monotonic() > ends:
            raise httpx2.ReadTimeout(f"{what} had not come after {seconds:.0f} seconds", request=response.request)
    return bytes(found)


class Pace:
    """Sees to it that a content comes on: a line on which next to nothing comes counts as one that broke off."""

    least = 1 << 16
    """Bytes that must come within `seconds`: a model at that pace would take days."""

    seconds = 60.0

    def __init__(self) -> None:
        self._since, self._came = time.monotonic(), 0

    def keep(self, count: int) -> None:
        """So many bytes came now. Raises httpx2.ReadTimeout if that is too slow."""
        self._came += count
        now = time.monotonic()
        if now - self._since > self.seconds:
            if self._came < self.least:
                raise httpx2.ReadTimeout(f"only {self._came:,} bytes came in {now - self._since:.0f} seconds")
            self._since, self._came = now, 0
