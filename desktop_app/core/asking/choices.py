"""View options with a fixed set of values: the values, and each option's command-line flag and help.

This module imports only light modules, because the command line needs it to parse arguments.
"""

from dataclasses import dataclass

from desktop_app.core.analysis.measures import MEASURES


@dataclass(frozen=True)
class Choice:
    """The values that a field of `ViewOptions` may have, its flag without dashes, and its default, if not the first."""

    field: str
    words: tuple[str, ...]
    flag: str
    help: str
    default: str = ""

    @property
    def usual(self) -> str:
        """The default."""
        return self.default or self.words[0]


_ROWS = (
    Choice("pattern_scale", ("linear", "sqrt", "log"), "scale", "colours of a pattern"),
    Choice(
        "heads",
        ("patterns", "scores", "one", "weights", "block", "mean", "rollout"),
        "heads-show",
        "heads: every pattern, a score of every head, the page of one on the text or by its weights, the mean of a "
        "block or of all, or rollout",
    ),
    Choice(
        "heads_form", ("shaded", "arcs"), "heads-form", "heads: a head's text shaded by its weights, or joined by arcs"
    ),
    Choice("heads_by", (*MEASURES, "like"), "heads-by", "heads: what they are ordered by", "induction"),
    Choice("heads_of", ("all", "labelled", "block"), "heads-of", "heads: which are listed"),
    Choice("lens", ("token", "probability", "rank", "entropy", "kl"), "lens", "lens: what its cells show"),
    Choice(
        "lens_of", ("stream", "attn_out", "mlp_out"), "lens-of", "lens: the stream, or what attention or the MLPs write"
    ),
    Choice(
        "baseline",
        ("mean", "none"),
        "baseline",
        "why: without --against, what is subtracted: the mean of all logits, or nothing",
    ),
    Choice("look", ("relative", "raw"), "look", "look: terms less their mean over the keys, or as they are"),
    Choice(
        "look_parts",
        ("parts", "heads", "sublayers", "blocks", "kinds"),
        "look-parts",
        "look: how finely parts are split",
        "heads",
    ),
    Choice(
        "sweep",
        ("heads", "mlps", "strongest", "resid_pre", "attn_out", "mlp_out", "from_heads"),
        "sweep",
        "sweep: mute each head, MLP or strong neuron, or patch in cells (of heads: from_heads) from the other prompt",
    ),
    Choice("sweep_how", ("mean", "zero"), "sweep-how", "sweep: the value that a muted part is set to"),
    Choice("sweep_way", ("in", "out"), "sweep-way", "sweep: from the other prompt into this one, or out of it"),
    Choice(
        "compare",
        ("after", "before", "change", "both", "other", "pair"),
        "compare",
        "an edited pass as it is (after), as it was (before), the change, or both with the change; the other prompt, "
        "or this one with it and the difference (pair)",
    ),
    Choice(
        "circuits", ("all", "q", "k", "v"), "circuits", "circuits: which input of the later head reads the earlier one"
    ),
    Choice("circuits_of", ("all", "head"), "circuits-of", "circuits: pairs of all heads, or of the shown one"),
    Choice(
        "directions",
        ("sum", "ruler", "plane"),
        "directions",
        "directions: tokens nearest to one, one as a ruler, or the text in a plane",
    ),
    Choice(
        "map",
        ("components", "neighbours"),
        "map",
        "map: by two principal components, or by keeping neighbours together",
    ),
    Choice("superposition", ("embedding", "neurons"), "superposition", "superposition: of tokens' rows, or of neurons"),
    Choice("rows", ("centred", "trimmed"), "rows", "directions: rows less their mean, or less three components, too"),
    Choice("stands_for", ("mlp0", "embedding"), "tokens-as", "circuits: tokens through block 0's MLP, or as embedded"),
    Choice(
        "evidence",
        ("strongest", "deciles", "heads"),
        "evidence-show",
        "evidence: a neuron's strongest passages, some of each tenth, or a head's strongest",
    ),
    Choice("flow", ("0.01", "0.02", "0.04", "0.1"), "threshold", "flow: the smallest share that is drawn", "0.04"),
)

CHOICES = {row.field: row for row in _ROWS}
"""Field of `ViewOptions` -> its row."""
