"""The view of whatever is opened: one number, a whole weight, the census, or the check of every tensor."""

from collections.abc import Sequence

from desktop_app.core.check import TOLERANCE, Finding
from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.view import opening_view
from desktop_app.core.panels import Bar, BarsPanel, Hue, Line, TextPanel, View, column
from desktop_app.core.scene import Scene
from desktop_app.core.views.census import census_view
from desktop_app.core.views.weights import find_part, has_heads, weight_view

CENSUS = Cell("census", ())
CHECK = Cell("check", ())
_WORST = 12


def view_of(scene: Scene, cell: Cell, findings: Sequence[Finding] = ()) -> View:
    """What `cell` opens to; an empty index means a whole weight. Raises ModelError where there is no such thing."""
    if cell == CENSUS:
        return census_view(scene.name, scene.config)
    if cell == CHECK:
        return check_view(findings)
    if not cell.index:
        part = find_part(scene.config, cell.name, scene.head if has_heads(cell.name) else None)
        return weight_view(scene.checkpoint, part, scene.tokenizer)
    return opening_view(scene, cell)


def check_view(findings: Sequence[Finding]) -> View:
    """Every tensor recomputed: the worst first, then all in the order of the pass."""
    bad = [f for f in findings if not f.good]
    verdict = f"{len(findings) - len(bad)} of {len(findings)} tensors are what their formulas say"
    lead = (
        "Each tensor is computed again in float64 from the traced values of its direct inputs. A difference counts "
        f"against the sum of the absolute terms; up to {number(TOLERANCE)} of that is rounding."
    )
    if not findings:
        return View("Checking every tensor …", lead, column(TextPanel()))
    worst = sorted(findings, key=lambda f: -f.relative)[:_WORST]
    bars = tuple(
        Bar(
            f.name,
            min(f.relative, 10 * TOLERANCE),
            number(f.relative),
            f"differs by {number(f.absolute)}",
            kept=f.good,
            marked=not f.good,
            source=(f.name, f.index),
        )
        for f in worst
    )
    lines = tuple(
        Line(
            f.name,
            number(f.relative),
            f"differs by {number(f.absolute)} at {list(f.index)}",
            Hue.INK if f.good else Hue.KEY,
        )
        for f in findings
    )
    return View(
        verdict,
        lead,
        column(
            BarsPanel(title="Largest differences", note="against the sum of absolute terms; click one", bars=bars),
            TextPanel(title="All of them", note="in the order of the forward pass", lines=lines),
        ),
    )
