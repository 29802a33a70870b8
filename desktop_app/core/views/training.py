"""The training workspace: measurements taken during training, and how well each snapshot predicts this text."""

import re
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from desktop_app.core.intents import AtStep
from desktop_app.core.levels import number
from desktop_app.core.library.catalogue import after_steps
from desktop_app.core.library.shelf import stamp_of
from desktop_app.core.library.training import Curves, Training, curves_of, training_of
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Array
from desktop_app.core.panels import Box, CurvePanel, Hue, Line, TextPanel, View, column, row
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.phrase import Capital, Count, Phrase

_GROUP = re.compile(r"(.+?)(?: of token (\d+)| (L\d+H\d+))")
_HINT = Phrase("click to open the snapshot there")
_MOST = 6  # panels at most
_HUES = (Hue.ACCENT, Hue.ATTENTION, Hue.VALUE, Hue.QUERY, Hue.MLP, Hue.KEY)


_READ: OrderedDict[tuple[Hashable, ...], float] = OrderedDict()
"""The loss of each text by each snapshot that was read lately, by folder and files, so that the slider may be moved."""
_KEPT = 5000  # of them


@dataclass(frozen=True, eq=False)
class History:
    """The training that a model belongs to, None if there is none, with what was measured during it."""

    training: Training | None
    curves: Curves

    def step(self, scene: Scene) -> int | None:
        """The step of the scene's model; None if it is none of the snapshots."""
        number = None if self.training is None else self.training.at(scene.checkpoint.folder)
        return None if self.training is None or number is None else self.training.steps[number]


def _look(work: Work) -> History:
    training = training_of(work.model.folder)
    return History(training, Curves() if training is None else curves_of(training))


def _read(work: Work) -> Array:
    """The mean loss of the text's tokens, in nats, for each snapshot of the model's training: [snapshot]."""
    training, found = training_of(work.model.folder), []
    snapshots = () if training is None else training.snapshots
    for n, snapshot in enumerate(snapshots):
        work.stop.check()
        found.append(_loss_by(snapshot.folder, work))
        work.progress((n + 1) / len(snapshots))
    return np.array(found)


def _loss_by(folder: Path, work: Work) -> float:
    """The loss by the snapshot in `folder`, which is opened unless it has read this text before."""
    key = (folder, stamp_of(folder), work.model.config.int8, work.trace.ids)
    loss = _READ.get(key)
    if loss is None:
        model = open_model(folder, stop=work.stop, int8=work.model.config.int8, text=False)
        trace = model.engine.trace(work.trace.ids, stop=work.stop)
        loss = _READ[key] = loss_of(trace.read("logits"), trace.ids)
        while len(_READ) > _KEPT:
            _READ.popitem(last=False)
    return loss


def loss_of(logits: Array, ids: tuple[int, ...]) -> float:
    """The mean of -ln p of every id but the first, given those before it; NaN for a single id."""
    if len(ids) < 2:
        return float("nan")
    rows = logits[:-1].astype(np.float64)
    top = rows.max(1, keepdims=True)
    total = np.log(np.exp(rows - top).sum(1)) + top[:, 0]
    return float((total - rows[np.arange(len(rows)), np.asarray(ids[1:])]).mean())


_HISTORY = Want(Product("training.history", Phrase("Looking for snapshots"), _look, of_text=False))
_TEXT = Want(Product("training.text", Phrase("Reading the text with every snapshot"), _read, quick=False))


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    history: History | None = scene.made(_HISTORY)
    reads = history is not None and history.training is not None and len(scene.trace) > 1
    return (_HISTORY, _TEXT) if reads else (_HISTORY,)


def content(scene: Scene) -> View:
    """Curves over the training, with the open snapshot's place in it."""
    history: History | None = scene.made(_HISTORY)
    if history is None:
        return View("", "", column(TextPanel(lines=(Line("", _HISTORY.product.waiting),))))
    if history.training is None:
        words = Phrase("No snapshots of this model's training are here; the letter sorter has some.")
        return View("", "", column(TextPanel(lines=(Line("", "", words),))))
    step = history.step(scene)
    title = Phrase("The model itself, none of its snapshots") if step is None else Capital(after_steps(step))
    return View(title, "", _panels(scene, history, step))


def _panels(scene: Scene, history: History, step: int | None) -> Box:
    shown: list[CurvePanel | TextPanel] = [*measured(history.curves, step)]
    assert history.training is not None
    shown.append(_of_text(scene, history.training, step))
    stops = tuple((float(np.log10(n + 1.0)), AtStep(n), Capital(after_steps(n))) for n in history.training.steps)
    shown = [replace(p, stops=stops) if isinstance(p, CurvePanel) else p for p in shown]
    shown[0] = replace(shown[0], hint=_HINT) if isinstance(shown[0], CurvePanel) else shown[0]  # it holds for all
    pairs = [shown[n : n + 2] for n in range(0, len(shown), 2)]
    return column(*(row(*pair) if len(pair) > 1 else column(*pair) for pair in pairs))


def measured(curves: Curves, step: int | None) -> list[CurvePanel]:
    """A panel for each group of curves, as many as fit, with the values at `step`."""
    groups = grouped(curves)[:_MOST]
    return [_curves(title, lines, steps, step, n) for n, (title, steps, lines) in enumerate(groups)]


Lines = dict[str, Array]


def grouped(curves: Curves) -> list[tuple[str, Array, Lines]]:
    """The curves grouped by what they share: title, steps, and lines by name; many heads or tokens share one panel.

    A column without a single number is left out.
    """
    found: dict[str, Lines] = {}
    for name, values in curves.values.items():
        if not np.isfinite(values).any():
            continue  # never measured
        match = _GROUP.fullmatch(name)
        if match and match[2]:
            found.setdefault(f"{match[1]} of token n", {})[match[2]] = values
        elif match:
            found.setdefault(match[1], {})[match[3]] = values
        elif "loss" in name:
            found.setdefault("loss", {})[name] = values
        elif name.startswith("best "):
            found.setdefault("best head", {})[name.removeprefix("best ")] = values
        else:
            found.setdefault(name, {})[name] = values
    return [(title, curves.steps, lines) for title, lines in found.items()]


def _curves(title: str, lines: Lines, steps: Array, step: int | None, at: int) -> CurvePanel:
    x = np.log10(steps + 1.0)
    marked = max(lines, key=lambda name: float(np.ptp(lines[name][np.isfinite(lines[name])])))  # it changed most
    value = next((float(v) for v, at_step in zip(lines[marked], steps, strict=True) if at_step == step), np.nan)
    said = number(value) if len(lines) == 1 else f"{marked} {number(value)}"
    there = step is not None and bool(np.isfinite(value))
    return CurvePanel(
        title=Capital(title),
        note=Phrase("{1} here", said) if there else Phrase("not measured at this step"),
        lines=tuple((x[np.isfinite(v)], v[np.isfinite(v)]) for v in lines.values()),
        line_names=tuple(lines) if len(lines) > 1 else (),
        focus=None
        if step is None or not there
        else (float(np.log10(step + 1.0)), value, Phrase("step {1}", Count(step))),
        x_label=Phrase("log₁₀ (step + 1)"),
        hue=_HUES[at % len(_HUES)],
    )


def _of_text(scene: Scene, training: Training, step: int | None) -> CurvePanel | TextPanel:
    """How well each snapshot predicts the text."""
    title = Phrase("loss on this text")
    if len(scene.trace) < 2:
        return TextPanel(title=title, lines=(Line("", "", Phrase("One token alone has no next one to be read.")),))
    losses = scene.made(_TEXT)
    if losses is None:
        return TextPanel(title=title, lines=(Line("", _TEXT.product.waiting),))
    if not np.isfinite(losses).any():
        return TextPanel(title=title, lines=(Line("", "", Phrase("No snapshot gives a number for it.")),))
    return _curves(title, {title: losses}, np.array(training.steps), step, len(_HUES) - 1)
