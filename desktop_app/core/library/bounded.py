"""Reads responses of a server that might never end, with limits on their bytes and on the total time."""

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Timer
from typing import Any

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


class HeadersTimer:
    """Closes the connections of a request if the headers of its response have not all arrived in time.

    Headers are read before a response exists, and httpx2's timeouts apply to each read alone: a server that sends a
    byte now and then would never end them.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._late = seconds, False
        self._sockets: list[socket.socket] = []
        self._timer = Timer(seconds, self._close)

    @property
    def extensions(self) -> dict[str, Any]:
        """For the request, which must not reuse a connection: the timer is told of new ones only."""
        return {"trace": self._trace}

    def arrived(self) -> None:
        """Stop: the headers are there."""
        self._timer.cancel()
        self._timer.join()

    @contextmanager
    def running(self) -> Iterator[None]:
        """The time starts here. Raises httpx2.ReadTimeout in place of the error of a closed connection."""
        self._timer.start()
        try:
            yield
        except httpx2.TransportError as reason:
            if not self._late:
                raise
            raise httpx2.ReadTimeout(f"no headers had arrived after {self._seconds:.0f} seconds") from reason
        finally:
            self.arrived()

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self._late:
                self._close()

    def _close(self) -> None:
        self._late = True
        for each in self._sockets:
            with suppress(OSError):  # the other side has closed it already
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # an SSLSocket's own would also end its decryption


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
