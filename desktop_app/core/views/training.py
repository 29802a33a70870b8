"""The training workspace: measurements taken during training, and how well each snapshot predicts this text."""

import re

import numpy as np

from desktop_app.core.levels import number
from desktop_app.core.library.catalogue import after_steps
from desktop_app.core.library.training import Curves, Training, curves_of, training_of
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Array
from desktop_app.core.panels import Box, CurvePanel, Hue, Line, TextPanel, View, column, row
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.phrase import Capital, Count, Phrase

_GROUP = re.compile(r"(.+?)(?: of token (\d+)| (L\d+H\d+))")
_MOST = 6  # panels at most
_HUES = (Hue.ACCENT, Hue.ATTENTION, Hue.VALUE, Hue.QUERY, Hue.MLP, Hue.KEY)


def _read(work: Work) -> Array:
    """The mean loss of the text's tokens, in nats, for each snapshot of the model's training: [snapshot]."""
    training = training_of(work.model.folder)
    found = []
    for n, snapshot in enumerate(() if training is None else training.snapshots):
        work.stop.check()
        model = open_model(snapshot.folder, stop=work.stop, int8=work.model.config.int8, text=False)
        trace = model.engine.trace(work.trace.ids, stop=work.stop)
        found.append(loss_of(trace.read("logits"), trace.ids))
        work.progress((n + 1) / len(training.snapshots if training is not None else ()))
    return np.array(found)


def loss_of(logits: Array, ids: tuple[int, ...]) -> float:
    """The mean of -ln p of every id but the first, given those before it; NaN for a single id."""
    if len(ids) < 2:
        return float("nan")
    rows = logits[:-1].astype(np.float64)
    top = rows.max(1, keepdims=True)
    total = np.log(np.exp(rows - top).sum(1)) + top[:, 0]
    return float((total - rows[np.arange(len(rows)), np.asarray(ids[1:])]).mean())


_TEXT = Want(Product("training.text", Phrase("Reading the text with every snapshot"), _read, quick=False))


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    return () if training_of(scene.checkpoint.folder) is None or len(scene.trace) < 2 else (_TEXT,)


def content(scene: Scene) -> View:
    """Curves over the training run, with the open snapshot marked."""
    training = training_of(scene.checkpoint.folder)
    if training is None:
        words = Phrase("No snapshots of this model's training are here; the letter sorter has some.")
        return View("", "", column(TextPanel(lines=(Line("", "", words),))))
    step = training.steps[training.at(scene.checkpoint.folder)]
    return View(Capital(after_steps(step)), "", _panels(scene, training, step))


def _panels(scene: Scene, training: Training, step: int) -> Box:
    groups = grouped(curves_of(training))
    shown: list[CurvePanel | TextPanel] = [
        _curves(title, lines, steps, step, n) for n, (title, steps, lines) in enumerate(groups[:_MOST])
    ]
    shown.append(_of_text(scene, training, step))
    pairs = [shown[n : n + 2] for n in range(0, len(shown), 2)]
    return column(*(row(*pair) if len(pair) > 1 else column(*pair) for pair in pairs))


Lines = dict[str, Array]


def grouped(curves: Curves) -> list[tuple[str, Array, Lines]]:
    """The curves in groups, one panel each: title, steps, and lines by name; a measure of many heads is one group."""
    found: dict[str, Lines] = {}
    for name, values in curves.values.items():
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
            found[name] = {name: values}
    return [(title, curves.steps, lines) for title, lines in found.items()]


def _curves(title: str, lines: Lines, steps: Array, step: int, at: int) -> CurvePanel:
    x = np.log10(steps + 1.0)
    first = next(iter(lines.values()))
    here = np.flatnonzero(steps == step)
    measured = here.size > 0 and bool(np.isfinite(first[here[0]]))
    value = float(first[here[0]]) if measured else 0.0
    return CurvePanel(
        title=Capital(title),
        note=Phrase("{1} here", number(value)) if measured else Phrase("not measured at this step"),
        lines=tuple((x[np.isfinite(v)], v[np.isfinite(v)]) for v in lines.values()),
        line_names=tuple(lines) if len(lines) > 1 else (),
        focus=(float(np.log10(step + 1.0)), value, Phrase("step {1}", Count(step))) if measured else None,
        x_label=Phrase("log₁₀ (step + 1)"),
        hue=_HUES[at % len(_HUES)],
    )


def _of_text(scene: Scene, training: Training, step: int) -> CurvePanel | TextPanel:
    """How well each snapshot predicts the text."""
    title = Phrase("loss on this text")
    if len(scene.trace) < 2:
        return TextPanel(title=title, lines=(Line("", "", Phrase("One token alone has no next one to be read.")),))
    losses = scene.made(_TEXT)
    if losses is None:
        return TextPanel(title=title, lines=(Line("", _TEXT.product.waiting),))
    steps = np.array(training.steps)
    return _curves(title, {title: losses}, steps, step, len(_HUES) - 1)
