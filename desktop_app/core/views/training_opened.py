"""Opened numbers of the training workspace: a measurement in the file of curves, and a snapshot's loss.

`training.curve[c, n]` is column c, row n of the file of curves; `training.text[n]` is the mean loss of the text for
snapshot n.
"""

from collections.abc import Callable

import numpy as np

from desktop_app.core.asking.intents import AtStep
from desktop_app.core.levels import number
from desktop_app.core.library.catalogue import after_steps
from desktop_app.core.library.curve_columns import CHANGE, Column, parts_of
from desktop_app.core.library.training import CURVES, Curves, Training
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import Bar, BarsPanel, Hue, Line, TextPanel, View, column, formula_line
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Capital, Count, Phrase, Sentences

CURVE, TEXT = "training.curve", "training.text"
_LISTED = 24  # the maximum number of bars
_ROUNDED = 1.01e-4  # tolerance: numbers in the file have four digits, and each may be off by half a unit of the last
_READ = Phrase("A number that was measured while the model was trained; it is read from a file and not computed again.")

_MEANINGS = {
    "loss": Phrase("the mean loss over every position of 64 pieces of a book that it was not trained on"),
    CHANGE: Phrase("the mean loss late in 64 pieces of a book (tokens 112 to 127), less that early in them (8 to 15)"),
    "loss when repeated": Phrase("the mean loss of random tokens that are repeated, over their second occurrence"),
    "induction": Phrase("on random tokens that are repeated, the attention to what followed the same token"),
    "previous-token": Phrase("on random tokens that are repeated, the attention to the token before"),
    "sorted right": Phrase("the share of all 729 rows of six letters that it sorts without a fault"),
}
"""Quantity in the files that ship with the program -> what was measured."""
_AT_A_PLACE = Phrase("the mean loss at this place in 64 pieces of a book that it was not trained on")


def _rule(column: Column) -> tuple[str, str, Callable[[Array], float]]:
    """How a column is computed from others: the formula in words, the sign between numbers, and the function."""
    if column.best:
        return Phrase("the largest of the heads'"), ", ", lambda values: float(values.max())
    return Phrase("late − early"), " − ", lambda values: float(values[0] - values[1])


# Measurements


def curve_readout(training: Training, curves: Curves, cell: Cell) -> Readout:
    """What is shown about a measurement under the pointer. Raises ModelError if there is none."""
    measured, row = _measured(curves, cell)
    step = int(curves.steps[row])
    place = Phrase("{1}; measured during training", after_steps(step))
    value = float(curves.values[measured.name][row])
    return Readout(number(value), measured.name, place, meaning=_meaning(training, measured))


def _measured(curves: Curves, cell: Cell) -> tuple[Column, int]:
    columns = curves.columns
    inside = len(cell.index) == 2 and 0 <= cell.index[0] < len(columns) and 0 <= cell.index[1] < len(curves.steps)
    if not inside or not np.isfinite(curves.values[columns[cell.index[0]].name][cell.index[1]]):
        shape = f"{len(columns)} columns of {len(curves.steps)} steps"
        raise ModelError(f"There is no {cell.name}{list(cell.index)}; the file of curves has {shape}.")
    return columns[cell.index[0]], cell.index[1]


def _meaning(training: Training, measured: Column) -> str:
    """What a column of a shipped file measures; "" for other files, of whose columns only the names are known."""
    if training.home.resolve() not in bundled_models().values():
        return ""
    at_a_place = measured.quantity == "loss" and (measured.token is not None or measured.span is not None)
    return _AT_A_PLACE if at_a_place else _MEANINGS.get(measured.quantity, "")


def curve_view(training: Training, curves: Curves, cell: Cell) -> View:
    """The view of an opened measurement: what it is, its row in the file, and the numbers that it is computed from."""
    measured, row = _measured(curves, cell)
    name = measured.name
    value, step = float(curves.values[name][row]), int(curves.steps[row])
    parts = parts_of(measured, curves.columns)
    values = np.array([curves.values[part.name][row] for part in parts])
    whole = bool(parts) and bool(np.isfinite(values).all())
    lines: list[Line] = []
    bars: tuple[Bar, ...] = ()
    # otherwise the name means something else in this file
    if whole and abs(_rule(measured)[2](values) - value) <= _ROUNDED:
        words, sign, compute = _rule(measured)
        shown = sign.join(number(float(v)) for v in values)
        made = f"{shown} → {number(compute(values))}"
        rounded = number(compute(values)) != number(value)
        remark = Phrase("{1}; each number in the file is rounded", made) if rounded else made
        lines.append(Line(Phrase("made of"), words, remark))
        bars = tuple(
            Bar(part.name, float(v), number(float(v)), source=(CURVE, (curves.columns.index(part), row)))
            for part, v in zip(parts, values, strict=True)
        )
    place = Phrase("{1}, the row of step {2}, column {3}", CURVES, Count(step), f"“{name}”")
    lines.append(Line(Phrase("recorded in"), "", place))
    lines += _opens(training, step)
    panels: tuple[TextPanel | BarsPanel, ...] = (TextPanel(lines=tuple(lines)),)
    if bars:
        panels += (BarsPanel(title=Phrase("Made of"), hint=Phrase("click one to open it"), bars=bars),)
    meaning = _meaning(training, measured)
    lead = Sentences(Phrase("{1}.", Capital(meaning)), _READ) if meaning else _READ
    return View(Phrase("{1} {2} = {3}", Capital(name), after_steps(step), number(value)), lead, column(*panels))


def _opens(training: Training, step: int) -> tuple[Line, ...]:
    """The line that opens the snapshot after `step` steps, or says that there is none."""
    if step not in training.steps:
        return (Line("", "", Phrase("There is no snapshot of this step.")),)
    return (Line(Phrase("snapshot"), after_steps(step), hue=Hue.ACCENT, pick=AtStep(step)),)


# Losses of the text


def text_readout(scene: Scene, training: Training, losses: Array, cell: Cell) -> Readout:
    """What is shown about a snapshot's loss under the pointer. Raises ModelError if there is none."""
    n = _snapshot(training, losses, cell)
    words = Phrase("{1} nats", number(float(losses[n].mean())))
    place = Phrase("{1}; the mean over {2} tokens", after_steps(training.steps[n]), Count(len(scene.trace) - 1))
    return Readout(words, Phrase("loss on this text"), place)


def _snapshot(training: Training, losses: Array, cell: Cell) -> int:
    there = len(cell.index) == 1 and 0 <= cell.index[0] < len(losses) and np.isfinite(losses[cell.index[0]]).all()
    if not there:
        raise ModelError(f"There is no {cell.name}{list(cell.index)}; there are {len(training.steps)} snapshots.")
    return cell.index[0]


def text_view(scene: Scene, training: Training, losses: Array, cell: Cell, *, shown: bool) -> View:
    """The view of a snapshot's mean loss: the loss of each token; these open if the snapshot is the one `shown`."""
    n = _snapshot(training, losses, cell)
    step, own = training.steps[n], losses[n].astype(float)
    listed = sorted(np.argsort(-own, kind="stable")[:_LISTED].tolist())
    total, count = number(float(own.sum())), Count(len(own))
    lines = (
        formula_line("loss = (1 / N) Σ −ln p", Phrase("p: the probability of the next token, at temperature 1")),
        Line(Phrase("with numbers"), f"{total} / {count} = {number(float(own.mean()))}"),
        *_opens(training, step),
    )
    bars = tuple(
        Bar(
            token_name(scene, at + 1),
            float(own[at]),
            number(float(own[at])),
            source=("predictions.loss", (at,)) if shown else None,
        )
        for at in listed
    )
    title = Phrase("The loss of each token") if len(listed) == len(own) else Phrase("The largest losses")
    return View(
        Phrase("{1} {2} = {3}", Phrase("Loss on this text"), after_steps(step), number(float(own.mean()))),
        Phrase("How well this snapshot predicted each token from those before it: the mean over the text."),
        column(
            TextPanel(lines=lines),
            BarsPanel(
                title=title,
                note=Phrase("in nats"),
                hint=Phrase("click one to open it") if shown else "",
                bars=bars,
            ),
        ),
    )
