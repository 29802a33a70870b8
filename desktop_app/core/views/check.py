"""The view of the check: every tensor recomputed, the largest differences first."""

from desktop_app.core.check import TOLERANCE, Finding, check_pass
from desktop_app.core.levels import number
from desktop_app.core.panels import Bar, BarsPanel, Hue, Line, TextPanel, View, column
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.phrase import Phrase, Sentences

_WORST = 12


def _check(work: Work) -> tuple[Finding, ...]:
    found, count, run = [], len(work.trace.table), work.trace.run
    for finding in check_pass(work.model.engine, run.ids, stop=work.stop, edits=run.edits, mask=run.mask):
        found.append(finding)
        work.progress(len(found) / count)
    return tuple(found)


CHECK = Want(Product("check", Phrase("Checking every tensor"), _check, quick=False))


def wants(_scene: Scene) -> tuple[Want, ...]:
    """The product that the view needs: the findings of the check."""
    return (CHECK,)


def content(scene: Scene) -> View:
    """The findings for this text, or a note that the check is still running."""
    return check_view(scene.made(CHECK))


def check_view(findings: tuple[Finding, ...] | None) -> View:
    """The largest differences first, then all tensors in the order of the pass; `findings` is None during the check."""
    lead = Sentences(
        Phrase("Each tensor is recomputed in float64 from the traced values of its direct inputs."),
        Phrase(
            "A difference is measured relative to the sum of the absolute terms; up to {1} of that counts as rounding.",
            number(TOLERANCE),
        ),
    )
    if findings is None:
        return View(CHECK.product.waiting, lead, column(TextPanel()))
    good = sum(f.good for f in findings)
    verdict = Phrase("{1} of {2} tensors agree with their formulas", good, len(findings))
    worst = sorted(findings, key=lambda f: -f.relative)[:_WORST]
    bars = tuple(
        Bar(
            f.name,
            min(f.relative, 10 * TOLERANCE),
            number(f.relative),
            Phrase("differs by {1}", number(f.absolute)),
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
            Phrase("differs by {1} at {2}", number(f.absolute), list(f.index)),
            Hue.INK if f.good else Hue.KEY,
        )
        for f in findings
    )
    return View(
        verdict,
        lead,
        column(
            BarsPanel(
                title=Phrase("Largest differences"),
                note=Phrase("relative to the sum of absolute terms"),
                hint=Phrase("click one"),
                bars=bars,
            ),
            TextPanel(title=Phrase("All tensors"), note=Phrase("in the order of the forward pass"), lines=lines),
        ),
    )
