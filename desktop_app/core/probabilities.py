"""The probability panel's bars: the likeliest next tokens at one position, with the cuts, pinned tokens and the draw.

Each bar has an outline: the token's probability before the cuts or, for an edited pass, before the edits and the cuts.
"""

from desktop_app.core.asking.intents import Append
from desktop_app.core.levels import number, percent
from desktop_app.core.panels import Bar, BarsPanel, Cut
from desktop_app.core.scene import Scene
from desktop_app.core.views.sampling import cut_lines, cut_words, shown_ranks


def chances_key(scene: Scene) -> tuple[object, ...]:
    """The values that the panel depends on: two scenes with equal keys have the same panel."""
    state = scene.state
    before = None if scene.before is None else scene.before.trace
    return scene.trace, before, scene.position, state.position, state.sampling, state.draws, state.pinned


def bars_panel(scene: Scene, count: int) -> BarsPanel:
    """Up to `count` tokens by rank, then the pinned tokens with their ranks."""
    stages, ranked = scene.stages, scene.ranked
    ranks = shown_ranks(stages.n_kept, len(ranked), count)
    # The drawn token is always listed. If `count` leaves it out, it replaces the listed token that ranks just above it.
    if scene.landed not in ranks:
        place = sum(r < scene.landed for r in ranks)
        ranks[place - 1] = scene.landed
    pinned = [ranked.rank_of(t) for t in scene.state.pinned if t < len(ranked)]
    rows = ranks + [r for r in pinned if r not in ranks]
    bars = tuple(_bar(scene, rank, pinned=rank in pinned) for rank in rows)
    cuts = cut_lines(ranks, stages.n_kept, cut_words(scene)) or (Cut(len(ranks), cut_words(scene)),)
    return BarsPanel(bars=bars, cuts=cuts)


def _bar(scene: Scene, rank: int, *, pinned: bool) -> Bar:
    stages = scene.stages
    token = int(scene.ranked.order[rank])
    kept = rank < stages.n_kept
    probability = float(stages.final[rank]) if kept else 0.0
    before = float(stages.probs_scaled[rank])
    if scene.before is not None:
        # Without the edits, and before the cuts, whether or not the token was cut.
        was = scene.before.stages
        before = float(was.probs_scaled[was.ranked.rank_of(token)])
    logit = number(float(scene.ranked.logits[rank]))
    return Bar(
        scene.tokenizer.label(token),
        probability,
        _share(scene, rank),
        f"#{rank + 1:,}" if pinned else logit,
        outline=before,
        kept=kept,
        marked=rank == scene.landed,
        pick=Append(token),
        pinned=pinned,
    )


def found_words(scene: Scene, token: int) -> str:
    """A token's rank, from 1, and its probability in words: "' Paris' · rank 312 of 4,096 · was 0.030 % · cut"."""
    rank = scene.ranked.rank_of(token)
    fate = "kept" if rank < scene.stages.n_kept else "cut"
    return (
        f"{scene.tokenizer.quoted(token)} · rank {rank + 1:,} of {len(scene.ranked):,} · {_share(scene, rank)} · {fate}"
    )


def _share(scene: Scene, rank: int) -> str:
    """The final probability; for a token that was cut, its probability before the cuts, marked as cut."""
    if rank < scene.stages.n_kept:
        return percent(float(scene.stages.final[rank]))
    return f"was {percent(float(scene.stages.probs_scaled[rank]))}"
