"""An animation as data: steps ("beats"), each of which computes numbers from others, and the view at any time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from desktop_app.core.opening.cells import Array, Cell, Region
from desktop_app.core.panels import Box, View, headed
from desktop_app.gpt2.phrase import Phrase, joined


@dataclass(frozen=True, eq=False)
class Beat:
    """One step of an animation.

    `words` describe it. `cells` are the cells that it computes, and `results` their values. `operands` are the cells
    from which they are computed: those that the window shows when one of `cells` is opened. Values that are in no
    tensor (a partial sum, a stage of sampling) have results but no cells. `panels` returns what is shown when a
    fraction of the beat, from 0 to 1, is done.
    """

    words: str
    cells: Sequence[Cell]
    operands: tuple[Region, ...]
    results: Sequence[float] | Array
    panels: Callable[[float], Box]


@dataclass(frozen=True, eq=False)
class Motion:
    """An animated operation: at least one beat."""

    id: str
    title: str
    where: str
    beats: tuple[Beat, ...]

    @property
    def length(self) -> float:
        """The duration in beats."""
        return float(len(self.beats))

    def moment(self, time: float) -> tuple[int, float]:
        """The index of the beat at a time from 0 to `length`, and the fraction of it that is done."""
        time = min(max(time, 0.0), self.length)
        n = min(int(time), len(self.beats) - 1)
        return n, time - n

    def view(self, time: float) -> View:
        """The view at a time; the window, clips and storyboards show the same one."""
        return self._view(*self.moment(time))

    def _view(self, n: int, share: float) -> View:
        beat = self.beats[n]
        lead = Phrase("{1} of {2}: {3}", n + 1, len(self.beats), beat.words)
        return View(headed(self.where, self.title), lead, beat.panels(share))

    def storyboard(self) -> View:
        """The first, the middle and the last beat side by side, each at its end; if there is only one beat, that."""
        last = len(self.beats) - 1
        if not last:
            return View(headed(self.where, self.title), Phrase("{1}.", self.beats[0].words), self._view(0, 1.0).content)
        numbers = sorted({0, (last + 1) // 2, last})
        boxes = tuple(self._view(n, 1.0).content for n in numbers)
        said = joined("; ", (Phrase("{1}: {2}", n + 1, self.beats[n].words) for n in numbers))
        return View(
            headed(self.where, self.title),
            Phrase("{1} of {2} beats, each where it is done. {3}.", len(numbers), len(self.beats), said),
            Box(boxes, True),
        )


def text_at(before: str, after: str, t: float) -> str:
    """The text while one number changes into another: one of the two, because no value in between was computed."""
    return after if t >= 0.5 else before


def eased(t: float) -> float:
    """Smooth the start and the end of a motion: 3 t^2 - 2 t^3, with `t` limited to 0 to 1."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def frame_times(motion: Motion, a_second: float, pace: float, hold: float = 1.0) -> Sequence[float]:
    """The times of a clip's frames: `a_second` frames and `pace` beats per second, `hold` seconds at the end."""
    count = max(2, round(motion.length / pace * a_second))
    moving = [motion.length * n / (count - 1) for n in range(count)]
    return [*moving, *[motion.length] * round(hold * a_second)]
