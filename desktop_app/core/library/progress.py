"""The progress of a download: bytes, speed and time left, as numbers and as text."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_WINDOW = 5.0  # seconds over which the speed is averaged


@dataclass(frozen=True)
class Progress:
    """`done` of `total` bytes have arrived; `speed` is in bytes per second and `left` in seconds, None while unknown.

    `note` says what the download is waiting for, if anything; `held` is True if it waits for the hub or the connection
    to it.
    """

    file: str
    done: int
    total: int
    speed: float | None = None
    left: float | None = None
    note: str = ""
    held: bool = False

    def words(self) -> str:
        """One line, like `model.safetensors: 120 MB of 551 MB, 11 MB/s, 39 s left`."""
        if not self.total:  # the list of files is still being requested
            return self.note or "contacting the hub"
        parts = [f"{self.file}: {in_bytes(self.done)} of {in_bytes(self.total)}"]
        if self.note:
            return f"{parts[0]}; {self.note}"
        if self.speed is not None:
            parts.append(f"{in_bytes(round(self.speed))}/s")
        if self.left is not None:
            parts.append(f"{in_time(self.left)} left")
        return ", ".join(parts)


class Meter:
    """Counts the bytes that arrive, and calls `listen` a few times per second."""

    def __init__(
        self,
        total: int,
        listen: Callable[[Progress], None],
        *,
        every: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.done = total, 0
        self._listen, self._every, self._clock = listen, every, clock
        self._file, self._told = "", float("-inf")
        self._marks: deque[tuple[float, int]] = deque()

    def begin(self, file: str) -> None:
        """Count further bytes as those of `file`."""
        self._file = file
        self._tell()

    def skip(self, count: int) -> None:
        """Add `count` bytes that need not be fetched or, if negative, must be fetched again; the speed ignores them."""
        self.done += count
        self._marks.clear()
        self._tell()

    def add(self, count: int) -> None:
        """Add `count` bytes that arrived now."""
        self.done += count
        now = self._clock()
        self._marks.append((now, self.done))
        while len(self._marks) > 2 and now - self._marks[0][0] > _WINDOW:
            self._marks.popleft()
        if now - self._told >= self._every or self.done >= self.total:
            self._tell()

    def say(self, note: str, *, held: bool = False) -> None:
        """Report what the download is waiting for; `held` if it waits for the hub or the connection."""
        self._marks.clear()
        self._tell(note, held=held)

    def _tell(self, note: str = "", *, held: bool = False) -> None:
        self._told = self._clock()
        speed = self._speed()
        left = None if not speed else (self.total - self.done) / speed
        self._listen(Progress(self._file, self.done, self.total, speed, left, note, held))

    def _speed(self) -> float | None:
        if len(self._marks) < 2:
            return None
        (start, before), (end, after) = self._marks[0], self._marks[-1]
        return (after - before) / (end - start) if end - start > 0.2 else None


def in_bytes(count: float) -> str:
    """A number of bytes in decimal units with three significant digits, as used for disks and by the hub."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 999.5 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if size >= 99.5 or unit == "bytes" else f"{size:.3g} {unit}"


def in_millions(count: int) -> str:
    """A number of parameters in the usual short form: 124 M, 1.56 B."""
    for size, unit in ((10**9, " B"), (10**6, " M"), (10**3, " k")):
        if count >= 0.9995 * size:
            scaled = count / size
            return f"{scaled:.0f}{unit}" if scaled >= 99.5 else f"{scaled:.3g}{unit}"
    return str(count)


def in_time(seconds: float) -> str:
    """A time as text, in one or two units: 39 s, 2 min 5 s, 1 h 20 min."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
