"""The check workspace: every tensor is recomputed from its inputs; those that differ most are listed first."""

from desktop_app.core.check import TOLERANCE, Finding, check_pass
from desktop_app.core.levels import number
from desktop_app.core.panels import Bar, BarsPanel, Hue, Line, TextPanel, View, column
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.phrase import Phrase, Sentences

_WORST = 12  # how many tensors the bars show


def _check(work: Work) -> tuple[Finding, ...]:
    findings, count, run = [], len(work.trace.table), work.trace.run
    for finding in check_pass(work.model.engine, run.ids, stop=work.stop, edits=run.edits, mask=run.mask):
        findings.append(finding)
        work.progress(len(findings) / count)
    return tuple(findings)


CHECK = Want(Product("check", Phrase("Checking every tensor"), _check, quick=False))


def wants(_scene: Scene) -> tuple[Want, ...]:
    """The one product that the view shows: the findings of the check."""
    return (CHECK,)


def content(scene: Scene) -> View:
    """The view of the findings for this text, or of a check that is still running."""
    return check_view(scene.made(CHECK))


def check_view(findings: tuple[Finding, ...] | None) -> View:
    """The largest differences, then all tensors in the order of the pass; a view without them if `findings` is None."""
    lead = Sentences(
        Phrase("Each tensor is recomputed in float64 from the traced values of its direct inputs."),
        Phrase(
            "A difference is given relative to the sum of the terms' absolute values; up to {1} counts as rounding.",
            number(TOLERANCE),
        ),
    )
    if findings is None:
        return View(CHECK.product.waiting, lead, column(TextPanel()))
    agreeing = sum(f.good for f in findings)
    verdict = Phrase("{1} of {2} tensors agree with their formulas", agreeing, len(findings))
    worst = sorted(findings, key=lambda f: -f.relative)[:_WORST]
    bars = tuple(
        Bar(
            f.name,
            min(f.relative, 10 * TOLERANCE),  # bars are to scale: a longer one would shrink the others to nothing
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
                hint=Phrase("click one to open it"),
                bars=bars,
            ),
            TextPanel(title=Phrase("All tensors"), note=Phrase("in the order of the forward pass"), lines=lines),
        ),
    )
