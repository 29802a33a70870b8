"""The training workspace: measurements taken during training, and how well each snapshot predicts this text.

Its cells are those of `training_opened.py`.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from desktop_app.core.asking.intents import AtStep, UseModel
from desktop_app.core.levels import number
from desktop_app.core.library.catalogue import after_steps, bundled_entries
from desktop_app.core.library.curve_columns import Column, parts_of
from desktop_app.core.library.shelf import stamp_of
from desktop_app.core.library.training import Curves, Training, curves_of, training_of
from desktop_app.core.model import open_model
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import Box, CurvePanel, Hue, Line, Source, TextPanel, View, column, row
from desktop_app.core.products import Work
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.scene import Scene
from desktop_app.core.views import training_opened as opened
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Capital, Phrase

_HINT = Phrase("click a point to open its number, elsewhere to open the nearest snapshot")
_MOST = 6  # the maximum number of panels
_HUES = (Hue.ACCENT, Hue.ATTENTION, Hue.VALUE, Hue.QUERY, Hue.MLP, Hue.KEY)


_READ: OrderedDict[tuple[Hashable, ...], Array] = OrderedDict()
"""Losses computed recently, by snapshot (folder and file stamp) and text, so that moving the slider is fast."""
_KEPT = 2000  # the maximum number of entries in _READ


@dataclass(frozen=True, eq=False)
class History:
    """The training run that a model comes from (None if there is none), and the curves measured during it."""

    training: Training | None
    curves: Curves

    def step(self, scene: Scene) -> int | None:
        """The training step of the scene's model; None if the model is not one of the snapshots."""
        number = None if self.training is None else self.training.at(scene.checkpoint.folder)
        return None if self.training is None or number is None else self.training.steps[number]


def _history(work: Work) -> History:
    training = training_of(work.model.folder)
    return History(training, Curves() if training is None else curves_of(training))


def _read(work: Work) -> Array:
    """The loss of each token of the text except the first, in nats, for each snapshot: [snapshot, token]."""
    training, found = training_of(work.model.folder), []
    snapshots = () if training is None else training.snapshots
    for n, snapshot in enumerate(snapshots):
        work.stop.check()
        found.append(_loss_by(snapshot.folder, work))
        work.progress((n + 1) / len(snapshots))
    return np.array(found)


def _loss_by(folder: Path, work: Work) -> Array:
    """The losses of the snapshot in `folder` on this text; it is opened only if they are not cached."""
    key = (folder, stamp_of(folder), work.model.config.int8, work.trace.ids)
    loss = _READ.get(key)
    if loss is None:
        model = open_model(folder, stop=work.stop, int8=work.model.config.int8, text=False)
        trace = model.engine.trace(work.trace.ids, stop=work.stop)
        loss = _READ[key] = losses_of(trace.read("logits"), trace.ids)
        while len(_READ) > _KEPT:
            _READ.popitem(last=False)
    return loss


def losses_of(logits: Array, ids: tuple[int, ...]) -> Array:
    """-ln p of every id except the first, given the ids before it: [id - 1] in float32."""
    rows = logits[:-1].astype(np.float64)
    top = rows.max(1, keepdims=True)
    total = np.log(np.exp(rows - top).sum(1)) + top[:, 0]
    found: Array = (total - rows[np.arange(len(rows)), np.asarray(ids[1:], int)]).astype(np.float32)
    return found


_HISTORY = Want(Product("training.history", Phrase("Looking for snapshots"), _history, of_text=False))
_TEXT = Want(Product("training.text", Phrase("Reading the text with every snapshot"), _read, quick=False))


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    history: History | None = scene.made(_HISTORY)
    reads = history is not None and history.training is not None and len(scene.trace) > 1
    return (_HISTORY, _TEXT) if reads else (_HISTORY,)


def content(scene: Scene) -> View:
    """Curves over the training, with the step of the open snapshot marked."""
    history: History | None = scene.made(_HISTORY)
    if history is None:
        return View("", "", column(TextPanel(lines=(Line("", _HISTORY.product.waiting),))))
    if history.training is None:
        return View("", "", column(_without_snapshots()))
    step = history.step(scene)
    title = Phrase("The trained model, not one of its snapshots") if step is None else Capital(after_steps(step))
    return View(title, "", _panels(scene, history, step))


def _without_snapshots() -> TextPanel:
    """The bundled models whose training can be watched, each with a click that opens it over the same text."""
    folders = bundled_models()
    others = [(one, training_of(folders[one.folder])) for one in bundled_entries() if one.folder in folders]
    lines = tuple(
        Line(
            "",
            Phrase("{1}: {2} snapshots", Phrase(one.title), len(of.steps)),
            hue=Hue.ACCENT,
            pick=UseModel(str(of.home)),
        )
        for one, of in others
        if of is not None
    )
    return TextPanel(
        title=Phrase("No snapshots of this model's training are here"),
        hint=Phrase("click a model that has some"),
        lines=lines,
    )


def _panels(scene: Scene, history: History, step: int | None) -> Box:
    shown: list[CurvePanel | TextPanel] = [*measured(history.curves, step)]
    assert history.training is not None
    shown.append(_of_text(scene, history.training, step))
    stops = tuple((float(n), AtStep(n), Capital(after_steps(n))) for n in history.training.steps)
    shown = [replace(p, stops=stops) if isinstance(p, CurvePanel) else p for p in shown]
    # the hint holds for all panels
    shown[0] = replace(shown[0], hint=_HINT) if isinstance(shown[0], CurvePanel) else shown[0]
    pairs = [shown[n : n + 2] for n in range(0, len(shown), 2)]
    return column(*(row(*pair) if len(pair) > 1 else column(*pair) for pair in pairs))


Lines = dict[str, str]
"""Name of a line in its panel -> the column that it shows."""


def grouped(curves: Curves) -> list[tuple[str, Lines]]:
    """Panels as (title, lines): columns are grouped by what they have in common, so that heads or tokens share a panel.

    Columns without any number are left out, and so are columns that are only used to compute another.
    """
    found: dict[str, Lines] = {}
    parts = [part for whole in curves.columns if not whole.best for part in parts_of(whole, curves.columns)]
    for one in curves.columns:
        if one not in parts and np.isfinite(curves.values[one.name]).any():
            title, line = _panel_of(one)
            found.setdefault(title, {})[line] = one.name
    return list(found.items())


def _panel_of(one: Column) -> tuple[str, str]:
    """The title of a column's panel, and the name of its line there."""
    if one.token is not None:
        return f"{one.quantity} of token n", str(one.token)
    if one.head:
        return one.quantity, one.head
    if one.is_loss:
        return "loss", one.name
    return ("best head", one.quantity) if one.best else (one.name, one.name)


def measured(curves: Curves, step: int | None) -> list[CurvePanel]:
    """A panel for each group of curves, as many as fit, with the values at `step`."""
    columns = list(curves.values)
    found = []
    for at, (title, lines) in enumerate(grouped(curves)[:_MOST]):
        values = {name: curves.values[column] for name, column in lines.items()}
        cells = [
            (columns.index(column), int(row))
            for column in lines.values()
            for row in np.flatnonzero(np.isfinite(curves.values[column]))
        ]
        panel = _curves(title, values, curves.steps, step, at)
        found.append(replace(panel, source=Source(opened.CURVE, (), each=tuple(cells))))
    return found


def _curves(title: str, lines: dict[str, Array], steps: Array, step: int | None, at: int) -> CurvePanel:
    x = steps.astype(float)
    # the line with the largest change
    marked = max(lines, key=lambda name: float(np.ptp(lines[name][np.isfinite(lines[name])])))
    value = next((float(v) for v, at_step in zip(lines[marked], steps, strict=True) if at_step == step), np.nan)
    said = number(value) if len(lines) == 1 else f"{marked}: {number(value)}"
    there = step is not None and bool(np.isfinite(value))
    return CurvePanel(
        title=Capital(title),
        note=Phrase("{1} here", said) if there else Phrase("not measured at this step"),
        lines=tuple((x[np.isfinite(v)], v[np.isfinite(v)]) for v in lines.values()),
        line_names=tuple(lines) if len(lines) > 1 else (),
        focus=(float(step), value, "") if step is not None and there else None,
        x_label=Phrase("step, on a log scale"),
        x_plus=1.0,
        hue=_HUES[at % len(_HUES)],
    )


def _of_text(scene: Scene, training: Training, step: int | None) -> CurvePanel | TextPanel:
    """How well each snapshot predicts the text."""
    title = Phrase("loss on this text")
    if len(scene.trace) < 2:
        return TextPanel(title=title, lines=(Line("", "", Phrase("A single token has no next token to predict.")),))
    losses = scene.made(_TEXT)
    if losses is None:
        return TextPanel(title=title, lines=(Line("", _TEXT.product.waiting),))
    means = losses.astype(np.float64).mean(1)
    if not np.isfinite(means).any():
        return TextPanel(title=title, lines=(Line("", "", Phrase("No snapshot gives a number for it.")),))
    panel = _curves(title, {title: means}, np.array(training.steps), step, len(_HUES) - 1)
    cells = tuple((int(n),) for n in np.flatnonzero(np.isfinite(means)))
    return replace(panel, source=Source(opened.TEXT, (), each=cells))


# Cells


def _training(scene: Scene, cell: Cell) -> tuple[Training, Curves]:
    """The training that a cell belongs to, and its curves. Raises ModelError if the model has none."""
    history: History | None = scene.made(_HISTORY)
    if history is None or history.training is None or cell.name not in (opened.CURVE, opened.TEXT):
        raise ModelError(f"There is no {cell.name}{list(cell.index)} of this model.")
    return history.training, history.curves


def _losses(scene: Scene, cell: Cell) -> Array:
    losses: Array | None = scene.made(_TEXT) if len(scene.trace) > 1 else None
    if losses is None:
        raise ModelError(f"{cell.name} is not computed yet; open it when it is shown.")
    return losses


def describe(scene: Scene, cell: Cell) -> Readout:
    """The readout of a cell."""
    training, curves = _training(scene, cell)
    if cell.name == opened.CURVE:
        return opened.curve_readout(training, curves, cell)
    return opened.text_readout(scene, training, _losses(scene, cell), cell)


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened cell: what its number is computed from, and the snapshot that it belongs to."""
    training, curves = _training(scene, cell)
    if cell.name == opened.CURVE:
        return opened.curve_view(training, curves, cell)
    shown = training.at(scene.checkpoint.folder) == cell.index[0]
    return opened.text_view(scene, training, _losses(scene, cell), cell, shown=shown)


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """Lines of code that recompute the open model's loss on the text. Raises ModelError for any other number."""
    if cell is not None:
        training, _ = _training(scene, cell)
        if cell.name == opened.CURVE:
            raise ModelError("This number is read from a file and not computed again, so no lines of numpy compute it.")
        if training.at(scene.checkpoint.folder) != cell.index[0]:
            raise ModelError("This number belongs to another snapshot; open that one to copy lines that make it.")
    return program(
        scene.checkpoint,
        "the mean loss of the text's tokens, in nats",
        (("x", "ln_final.out", ""), ("tokens", "tokens", ""), ("W_U", "unembed.W_U", "")),
        [
            "logits = x[:-1] @ W_U.T",
            "logits -= logits.max(-1, keepdims=True)",
            "log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))",
            "result = -log_p[np.arange(len(log_p)), tokens[1:]].mean()",
        ],
    )
