"""A whole block in one view: what its heads attend to, and what it adds to the residual stream."""

from dataclasses import replace

from desktop_app.core.levels import diverging
from desktop_app.core.panels import Box, Hue, StripsPanel, column, row
from desktop_app.core.scene import Scene
from desktop_app.core.views import attention
from desktop_app.core.views.common import norm, strip, token_map, token_name, wrap_width
from desktop_app.gpt2.phrase import Phrase, Sentences

TITLE = Phrase("the whole block")
LEAD = Sentences(
    Phrase("Every head reads the stream and adds what it found; then the MLP reads the sum and adds its part."),
    Phrase("The stream itself goes straight through."),
)
EXPLAIN = (
    "A block adds twice to each token's vector. Attention brings in what other positions hold: the grids show how "
    "much each token reads from every token that the mask lets it see, head by head. The MLP then works on every "
    "position by itself. What leaves the block is what came in, plus these two additions."
)
FORMULA = "resid_post = resid_pre + attn_out + mlp_out"


def whole_block(scene: Scene) -> Box:
    """All patterns of the block, the vectors whose sum is its result for the selected token, and all results."""
    terms = (
        ("resid_pre", Hue.RESIDUAL, ""),
        ("attn_out", Hue.ATTENTION, "+"),
        ("mlp_out", Hue.MLP, "+"),
        ("resid_post", Hue.ACCENT, "="),
    )
    strips = tuple(
        replace(s, remark=norm(s.values))
        for s in (strip(scene, scene.block(name), name, hue=hue, operator=sign) for name, hue, sign in terms)
    )
    result = scene.block("resid_post")
    return row(
        attention.all_heads(scene, "pattern"),
        column(
            StripsPanel(
                title=Phrase("What is added for {1}", token_name(scene, scene.token)),
                strips=strips,
                levels=diverging(*(s.values for s in strips), rule=Phrase("shared by the four")),
                wrap=wrap_width(scene.config.n_embd),
            ),
            token_map(scene, result, result, note=Phrase("the stream afterwards"), carpet=False),
        ),
    )
