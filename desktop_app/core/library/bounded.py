"""Reads responses of a server that might never end, with limits on their bytes and on the total time."""

import time

import httpx2

from desktop_app.core.library.progress import in_bytes
from desktop_app.gpt2.errors import ModelError


def read_bounded(response: httpx2.Response, limit: int, seconds: float, what: str) -> bytes:
    """The content of a streamed response as sent, at most `limit` bytes, in at most `seconds`.

    `what` names the response in errors. Raises ModelError if it has more bytes, httpx2.ReadTimeout if it takes longer.
    """
    ends, found = time.monotonic() + seconds, bytearray()
    for piece in response.iter_raw():
        found += piece
        if len(found) > limit:
            raise ModelError(f"{what} has more than {in_bytes(limit)}, more than any has; check HF_ENDPOINT.")
        if time.monotonic() > ends:
            raise httpx2.ReadTimeout(f"{what} had not arrived after {seconds:.0f} seconds", request=response.request)
    return bytes(found)


class Pace:
    """Enforces a minimum rate of a download: a connection that delivers next to nothing counts as broken."""

    least = 1 << 16
    """Bytes that must arrive within `seconds`; even at that rate a model would take days."""

    seconds = 60.0

    def __init__(self) -> None:
        self._since, self._came = time.monotonic(), 0

    def keep(self, count: int) -> None:
        """Count bytes that arrived now. Raises httpx2.ReadTimeout if the rate is too low."""
        self._came += count
        now = time.monotonic()
        if now - self._since > self.seconds:
            if self._came < self.least:
                raise httpx2.ReadTimeout(f"only {self._came:,} bytes arrived in {now - self._since:.0f} seconds")
            self._since, self._came = now, 0
