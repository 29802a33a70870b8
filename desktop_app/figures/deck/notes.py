"""Speaker notes for a slide: the step explained, its formula, and the numbers of this prompt."""

import re
from collections.abc import Iterator

import numpy as np

from desktop_app.core.levels import number
from desktop_app.core.opening.describe import describe
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    GraphPanel,
    RulerPanel,
    StripsPanel,
    TextPanel,
    View,
    WaterfallPanel,
)
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.figures.panel_words import thickest

_LISTED = 5


def notes(scene: Scene, step: Step, view: View, words: tuple[str, str]) -> str:
    """The speaker notes of a slide; `words` are the step's explanation and formula."""
    explain, formula = words
    numbers = [*_of_tensors(scene, step), *_of_panels(view.content)]
    parts = [view.lead, explain, f"Formula: {plain(formula)}" if formula else ""]
    if numbers:
        parts.append("In this prompt:\n" + "\n".join(f"• {line}" for line in dict.fromkeys(numbers)))
    return "\n\n".join(part for part in parts if part)


def plain(formula: str) -> str:
    """A formula without markup: x<sub>i</sub> becomes x_i."""
    text = re.sub(r"<sub>(.*?)</sub>", r"_\1", formula)
    return re.sub(r"<sup>(.*?)</sup>", r"^\1", text)


def _of_tensors(scene: Scene, step: Step) -> Iterator[str]:
    """Each tensor's shape, and its largest number in magnitude for the selected token and head."""
    for name in step.tensors:
        axes = scene.trace.table[name].axes
        place: list[int | None] = []
        for axis in axes:
            fixed = {"pos": scene.position if step.spec.op == "logits" else scene.token, "query": scene.token}
            place.append({**fixed, "head": scene.head}.get(axis))
        row = next((p for a, p in zip(axes, place, strict=True) if a in ("pos", "query")), None)
        head = scene.head if "head" in axes else None
        values = np.asarray(scene.trace.read(name, head=head, row=row), float).reshape(-1)
        finite = np.where(np.isfinite(values), np.abs(values), -1)
        where = int(np.argmax(finite))
        index = tuple(where if p is None else p for p in place)
        readout = describe(scene, name, index)
        most = "" if values.size == 1 else "the largest in magnitude, "
        yield f"{name} [{', '.join(axes)}]: {most}{readout.value} ({readout.place})"


def _of_panels(content: Box) -> Iterator[str]:
    for panel in content.children:
        if isinstance(panel, Box):
            yield from _of_panels(panel)
        elif isinstance(panel, BarsPanel):
            shown = sorted(panel.bars, key=lambda bar: -abs(bar.value))[:_LISTED]
            if shown:
                yield f"{panel.title}: {'; '.join(map(_bar, shown))}"
        elif isinstance(panel, WaterfallPanel):
            parts = sorted((r for r in panel.rises if not r.total), key=lambda r: -abs(r.value))[:_LISTED]
            totals = [r for r in panel.rises if r.total]
            yield f"{panel.title}: {'; '.join(f'{r.label} {r.text}' for r in (*parts, *totals))}"
        elif isinstance(panel, GraphPanel):
            yield f"{panel.title}, {panel.note}. {thickest(panel)}"
        elif isinstance(panel, TextPanel):
            for line in panel.lines:
                yield " ".join(
                    part for part in (f"{line.label}:", line.text, f"({line.remark})") if part not in ("", "()")
                )
        elif isinstance(panel, StripsPanel):
            said = [f"{s.operator} {s.label}, {s.remark}".strip() for s in panel.strips if s.remark]
            if said:
                yield f"{panel.title}: {'; '.join(said)}" if panel.title else "; ".join(said)
        elif isinstance(panel, CurvePanel) and panel.focus is not None:
            yield f"{panel.title}: {panel.focus[2]}" if panel.title else panel.focus[2]
        elif isinstance(panel, RulerPanel):
            yield f"u = {number(panel.u)} falls on {panel.labels[panel.landed]}"


def _bar(bar: Bar) -> str:
    return f"{bar.label} {bar.text}" + (f" ({bar.remark})" if bar.remark else "")
