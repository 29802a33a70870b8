"""Whether memory, descriptors and threads stay level over a long run of windows.

They are measured each time a window has closed. The first ten minutes are not judged: caches and pools fill. The second
ten minutes are the measure of every ten minutes after them.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_SPAN = 600.0  # seconds
_GROWTH = 0.05  # of memory, above the median of the second ten minutes
_MORE = 4  # descriptors or threads above it


@dataclass(frozen=True)
class Sample:
    """What the process had when a window had closed: seconds since the start, bytes, and two counts."""

    seconds: float
    memory: int
    descriptors: int
    threads: int


def level(samples: Sequence[Sample]) -> tuple[str, list[str]]:
    """One sentence for the summary of a run, and the faults: what grew after the first ten minutes."""
    spans = _spans(samples)
    if len(spans) < 3:
        return "Growth is judged in runs of at least 25 minutes.", []
    memory = [statistics.median(each.memory for each in span) for span in spans]
    growth = [value / memory[1] - 1 for value in memory[1:]]
    medians = ", ".join(f"{value / 1e6:.0f}" for value in memory)
    words = (
        f"Memory in each ten minutes (medians over windows): {medians} MB; after the second ten minutes "
        f"{min(growth[1:]):+.1%} to {max(growth[1:]):+.1%}."
    )
    faults = []
    if max(growth) > _GROWTH:
        faults.append(f"memory grew by {max(growth):.1%} after the second ten minutes: {medians} MB")
    for name in ("descriptors", "threads"):
        counts = [statistics.median(getattr(each, name) for each in span) for span in spans]
        if max(counts[1:]) > counts[1] + _MORE:
            faults.append(f"{name} grew after the second ten minutes: {', '.join(f'{count:g}' for count in counts)}")
    return words, faults


def _spans(samples: Sequence[Sample]) -> list[list[Sample]]:
    """The samples by ten minutes; a rest of less than five minutes belongs to the ten minutes before it."""
    if not samples:
        return []
    number = max(1, int(samples[-1].seconds / _SPAN + 0.5))
    spans: list[list[Sample]] = [[] for _ in range(number)]
    for each in samples:
        spans[min(int(each.seconds / _SPAN), number - 1)].append(each)
    return [span for span in spans if span]
