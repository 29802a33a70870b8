"""Results of benchmarks: rows with a value, a ratio and its target; printed, and written as JSON."""

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS = 9


@dataclass(frozen=True)
class Row:
    """One result. It passes if `ratio` is at most `reach`, the target; an unmeasured row has no ratio and fails."""

    name: str
    value: str
    ratio: float | None
    reach: float

    @property
    def passed(self) -> bool:
        return self.ratio is not None and self.ratio <= self.reach


def timed(work: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def interleaved(*works: Callable[[], float], runs: int = RUNS) -> list[list[float]]:
    """The times of each work in `runs` rounds, one call of each in a round, so that a busy moment affects all of them.

    A work measures itself and returns seconds. A warm-up round is discarded.
    """
    found: list[list[float]] = [[] for _ in works]
    for n in range(runs + 1):
        for times, work in zip(found, works, strict=True):
            seconds = work()
            if n:
                times.append(seconds)
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over rounds of the ratio of the two times: a disturbance in a round affects both of them."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def against(name: str, ours: Sequence[float], theirs: Sequence[float], reach: float) -> Row:
    """A row that compares two interleaved series of times."""
    value = f"{ms(statistics.median(ours))} / {ms(statistics.median(theirs))}"
    return Row(name, value, ratio(ours, theirs), reach)


def bounded(name: str, amount: float, bound: float, unit: str, note: str = "") -> Row:
    """A row of an amount and its upper bound; the ratio is amount / bound."""
    value = f"{amount:,.3g} {unit} of {bound:,.3g}" + (f"; {note}" if note else "")
    return Row(name, value, amount / bound if bound else math.inf, 1.0)


def percentile(values: Sequence[float], share: float = 0.99) -> float:
    """The value that the given share of values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def show(row: Row) -> str:
    """A row as a line of the table."""
    found = "not measured" if row.ratio is None else f"{row.ratio:.3g}"
    return f"{row.name:74} {row.value:44} {found:>12}  ≤ {row.reach:<5g} {'pass' if row.passed else 'MISS'}"


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | ratio | reach | |", "|---|---|---|---|---|"]
    for row in rows:
        found = "not measured" if row.ratio is None else f"{row.ratio:.3g}"
        lines.append(f"| {row.name} | {row.value} | {found} | {row.reach:g} | {'pass' if row.passed else '**miss**'} |")
    return "\n".join(lines)


def write_between(path: Path, mark: str, text: str) -> None:
    """Put `text` between the lines `<!-- mark -->` and `<!-- end of mark -->` of a document.

    Raises ValueError if the document lacks these lines.
    """
    before, begin, rest = path.read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- end of {mark} -->\n")
    if not begin or not end:
        raise ValueError(f"{path} has no lines <!-- {mark} --> and <!-- end of {mark} -->")
    path.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")


def as_json(rows: Sequence[Row]) -> str:
    found = [{"name": r.name, "value": r.value, "ratio": r.ratio, "reach": r.reach, "pass": r.passed} for r in rows]
    return json.dumps({"rows": found}, indent=1, ensure_ascii=False) + "\n"


def write_json(path: Path, rows: Sequence[Row]) -> None:
    path.write_text(as_json(rows), encoding="utf-8")
