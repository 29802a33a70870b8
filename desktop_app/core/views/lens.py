"""The lens workspace: what each point of the residual stream would predict, through the final norm and W_U."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from desktop_app.core.analysis import lens as analysis
from desktop_app.core.analysis.lens import Lens
from desktop_app.core.analysis.translators import load_translators
from desktop_app.core.asking.intents import Select
from desktop_app.core.edits.editing import Target
from desktop_app.core.edits.targets import row
from desktop_app.core.levels import Levels, cell_text, number, percent, unit
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    Array,
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Hue,
    Line,
    MapPanel,
    Source,
    TextPanel,
    View,
    column,
    formula_line,
)
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Count, Phrase, Sentences, joined

_CURVES = 6  # the maximum number of tokens followed
# Texts of up to _WHOLE tokens are shown completely. Of a longer one, _CLOSE tokens are shown, _AHEAD of them after the
# selected token.
_WHOLE, _CLOSE, _AHEAD = 20, 12, 2
# the fewest columns with texts; the most letters of a word, and of a row of words and of one of numbers, in full
_FEWEST, _LONGEST, _LETTERS, _LETTERS_OF_NUMBERS = 6, 10, 84, 120
_LIKELIEST = 3  # the number of tokens followed if none is pinned
_CELLS, _OF_TARGETS = ("top_probability", "entropy", "kl"), ("target_probability", "target_rank")
_QUICK = 4e9  # multiplications and additions up to which the lens is computed at once, with the pass

_TITLES = {
    "token": ("The likeliest token", Phrase("colour: its probability")),
    "probability": ("Probability of {1}", ""),
    "rank": ("Rank of {1}", Phrase("1 is the likeliest")),
    "entropy": ("Entropy", Phrase("in nats; 0 is certain")),
    "kl": ("KL from the model's own prediction", Phrase("in nats; 0 at the last row")),
}


_NO_PREDICTION = Phrase("It is not a prediction of the model, which reads it together with everything else.")
_OF = {
    "stream": ("", ""),
    "attn_out": (
        Phrase("What attention alone would predict"),
        Sentences(
            Phrase(
                "What each block's attention writes is read by itself, through the final layer norm (with its own "
                "mean and scale) and the unembedding."
            ),
            _NO_PREDICTION,
        ),
    ),
    "mlp_out": (
        Phrase("What each MLP alone would predict"),
        Sentences(
            Phrase(
                "What each block's MLP writes is read by itself, through the final layer norm (with its own mean "
                "and scale) and the unembedding."
            ),
            _NO_PREDICTION,
        ),
    ),
}
"""What the lens reads -> title and introduction, where they differ from those of the workspace."""


def _compute(work: Work, targets: tuple[int, ...], what: analysis.What, translators: str) -> Lens | str:
    checkpoint = work.model.checkpoint
    try:
        return analysis.compute(
            checkpoint,
            work.trace,
            what=what,
            targets=targets,
            translators=load_translators(Path(translators), checkpoint.config) if translators else None,
            stop=work.stop,
            progress=work.progress,
        )
    except ModelError as reason:  # the file is missing or belongs to another model; the view says so
        return str(reason)


_LENS = Product("lens", Phrase("Reading every point through the unembedding"), _compute)


def followed(scene: Scene) -> tuple[int, ...]:
    """The ids of the followed tokens: those pinned, or the likeliest after the shown position."""
    pinned = scene.state.pinned[:_CURVES]
    return pinned or tuple(int(i) for i in scene.ranked.order[:_LIKELIEST])


def want(scene: Scene) -> Want:
    """The request for the lens over this text, with the followed tokens."""
    config = scene.config
    products = 2 * (2 * config.n_layer + 1) * len(scene.trace) * config.n_embd * config.vocab_size
    what = scene.state.view.lens_of
    translators = scene.state.translators if what == "stream" else ""
    return Want(_LENS, (followed(scene), what, translators), quick=products <= _QUICK)


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    return (want(scene),)


def lens_of(scene: Scene) -> Lens | None:
    """The lens; None until it is ready, or if it cannot be computed."""
    found = scene.made(want(scene))
    return found if isinstance(found, Lens) else None


def content(scene: Scene) -> View:
    """The grid of points by positions, and the followed tokens through depth at the selected token."""
    title, lead = _OF[scene.state.view.lens_of]
    return View(title, lead, _panels(scene))


def _panels(scene: Scene) -> Box:
    lens = lens_of(scene)
    if lens is None:
        said = scene.made(want(scene))
        again = Phrase("“Lens: through translators from a file …” in the menu reads without translators again.")
        more = again if said is not None else ""
        return column(TextPanel(lines=(Line("", said or _LENS.waiting, more),)))
    start, end = _close(scene, lens)
    if end - start == len(scene.trace):
        return column(_grid(scene, lens, start, end), _curves(scene, lens), weights=(3.0, 1.0))
    # Where not all fit, words and numbers are shown only around the selected token; below, the whole text is shown by
    # colour alone.
    close, whole = _grid(scene, lens, start, end), _grid(scene, lens, 0, len(scene.trace))
    whole = replace(whole, title=Phrase("The whole text"), note="", texts=())
    return column(close, _curves(scene, lens), whole, weights=(3.0, 1.0, 1.0))


def _close(scene: Scene, lens: Lens) -> tuple[int, int]:
    """The range of positions whose cells contain texts: all, or as many around the selected token as fit."""
    length, of_words = len(scene.trace), scene.state.view.lens == "token"
    most = length if length <= _WHOLE else _CLOSE

    def about(count: int) -> tuple[int, int]:
        end = min(length, max(count, scene.token + 1 + _AHEAD))
        return end - count, end

    first, _ = about(most)  # holds the narrower ones
    letters = np.array([[len(text) for text in row] for row in _texts(scene, lens, *about(most))]).max(axis=0)
    for count in range(most, _FEWEST, -1):
        start, end = about(count)
        longest = letters[start - first : end - first].max()
        if of_words and count * (min(longest, _LONGEST) + 1) <= _LETTERS:
            return start, end
        if not of_words and count * (longest + 1) <= _LETTERS_OF_NUMBERS:
            return start, end
    return about(min(length, _FEWEST))


def _texts(scene: Scene, lens: Lens, start: int, end: int) -> tuple[tuple[str, ...], ...]:
    """What is written over the cells of positions `start` to `end`: [point][pos]."""
    shows = scene.state.view.lens
    if shows == "token":
        tokens = lens.top_id[:, start:end]
        known = {int(i): scene.tokenizer.label(int(i)) for i in np.unique(tokens)}
        return tuple(tuple(known[int(i)] for i in row) for row in tokens)
    values = _shown(lens, shows)[1][:, start:end]
    if shows == "rank":
        return tuple(tuple(Count(int(v)) for v in row) for row in values)
    return tuple(tuple(cell_text(float(v), share=shows == "probability") for v in row) for row in values)


def _grid(scene: Scene, lens: Lens, start: int, end: int) -> MapPanel:
    """The grid of points by positions `start` to `end`."""
    shows = scene.state.view.lens
    title, note = _TITLES[shows]
    if lens.own_logits is None and shows == "kl":
        note = Phrase("in nats")
    translated = Phrase("T: through a translator") if lens.translated.any() else ""
    note = joined(" · ", filter(None, (note, translated, _part_shown(start, end, len(scene.trace)))))
    name, values, levels = _shown(lens, shows)
    values = values[:, start:end]
    index: tuple[int | str, ...] = (0, "row", "col") if name.startswith("target") else ("row", "col")
    return MapPanel(
        title=Phrase(title, scene.tokenizer.quoted(followed(scene)[0])),
        note=note,
        values=values,
        levels=levels,
        row_labels=tuple(
            f"{short_point(p)} T" if through else short_point(p)
            for p, through in zip(lens.points, lens.translated, strict=True)
        ),
        column_labels=scene.labels[start:end],
        first_column=start,
        selected_column=scene.token - start,
        column_picks=Select,
        picks=None,
        texts=_texts(scene, lens, start, end),
        words=shows == "token",
        source=Source(f"lens.{name}", index, first_col=start),
        hue=Hue.ACCENT,
    )


def _part_shown(start: int, end: int, length: int) -> str:
    """Which columns have words, if not all; the others are below the grid, by colour alone."""
    if end - start == length:
        return ""
    if end == length:
        return Phrase("the last {1} of {2} tokens, all below", end - start, Count(length))
    return Phrase("tokens {1} to {2} of {3}, all below", start, end - 1, Count(length))


def _shown(lens: Lens, shows: str) -> tuple[str, Array, Levels]:
    """What the cells show: its name, numbers [point, pos] and colour scale. Displayed ranks count from 1."""
    if shows == "token":
        return "top_probability", lens.top_probability, unit()
    if shows == "probability":
        return "target_probability", lens.target_probability[0], unit()
    if shows == "rank":
        ranks = lens.target_rank[0] + 1.0
        return (
            "target_rank",
            ranks,
            Levels(1.0, float(ranks.max()), diverging=False, power=0.25, rule=Phrase("this view"), turned=True),
        )
    values = lens.entropy if shows == "entropy" else lens.kl
    return shows, values, Levels(0.0, max(float(values.max()), 1e-9), diverging=False, rule=Phrase("this view"))


def short_point(point: str) -> str:
    """The row label of a point: `2 mid` for blocks.2.resid_mid, `2 attn` for blocks.2.attn_out."""
    _, layer, name = point.split(".")
    return f"{layer} {name.removeprefix('resid_').removesuffix('_out')}"


def _curves(scene: Scene, lens: Lens) -> CurvePanel:
    depth = np.arange(len(lens.points), dtype=float)
    cells = ((n, point, scene.token) for n in range(len(followed(scene))) for point in range(len(depth)))
    names = tuple(scene.tokenizer.label(i) for i in followed(scene))
    return CurvePanel(
        title=Phrase("After {1}", token_name(scene, scene.token)),
        note=Phrase("probability through depth; pin tokens to follow them"),
        lines=tuple((depth, lens.target_probability[n, :, scene.token].astype(float)) for n in range(len(names))),
        line_names=names,
        x_label=Phrase("points, from the embedding to the output") if lens.own_logits is not None else Phrase("blocks"),
        source=Source("lens.target_probability", (), each=tuple(cells)),
    )


# Cells


def _row(scene: Scene, cell: Cell) -> tuple[Lens, int, int]:
    """The lens, and the point and position of a cell. Raises ModelError if there is none."""
    lens = lens_of(scene)
    if lens is None:
        said = scene.made(want(scene))
        raise ModelError(str(said or f"{cell.name} is not computed yet; open it when the lens is shown."))
    name, targets = cell.name.removeprefix("lens."), len(lens.target_rank)
    *target, point, position = cell.index if len(cell.index) >= 2 else (-1, -1)
    if name not in (*_CELLS, *_OF_TARGETS):
        raise ModelError(f"There is no {cell.name}; the lens has {', '.join((*_CELLS, *_OF_TARGETS))}.")
    there = len(target) == (name in _OF_TARGETS) and all(0 <= n < targets for n in target)
    if not (there and 0 <= point < len(lens.points) and 0 <= position < lens.top_id.shape[1]):
        axes = f"{targets} followed tokens, " if name in _OF_TARGETS else ""
        shape = f"{axes}{len(lens.points)} points and {lens.top_id.shape[1]} positions"
        raise ModelError(f"{cell.name} has no cell {list(cell.index)}; there are {shape}.")
    return lens, point, position


def describe(scene: Scene, cell: Cell) -> Readout:
    """What is shown about a cell of the lens under the pointer."""
    lens, point, position = _row(scene, cell)
    top = scene.tokenizer.quoted(int(lens.top_id[point, position]))
    words = {
        "lens.top_probability": f"{top} {percent(float(lens.top_probability[point, position]))}",
        "lens.entropy": Phrase("{1} nats", number(float(lens.entropy[point, position]))),
        "lens.kl": Phrase("{1} nats", number(float(lens.kl[point, position]))),
    }.get(cell.name)
    if words is None:
        target = cell.index[0] if len(cell.index) == 3 else 0
        probability = percent(float(lens.target_probability[target, point, position]))
        words = Phrase("rank {1}, {2}", Count(int(lens.target_rank[target, point, position]) + 1), probability)
    return Readout(words, lens.points[point], Phrase("after {1}; likeliest {2}", token_name(scene, position), top))


_LEADS = {
    "": Phrase("What the model would predict if nothing were added to the stream after this point."),
    "translated": Phrase("This point after its translator, read through the final layer norm and the unembedding."),
    "attn_out": Phrase("What attention of this block wrote, read by itself: not a prediction of the model."),
    "mlp_out": Phrase("What the MLP of this block wrote, read by itself: not a prediction of the model."),
}


def targets(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited for a cell: the vector that the lens reads there."""
    lens, point, position = _row(scene, cell)
    return (row(scene, lens.points[point], position),)


_OF_ALL = {"lens.entropy": "−Σ p ln p", "lens.kl": "Σ p_final ln(p_final / p)"}
"""A number that is computed from all tokens' probabilities -> its formula."""


def _own_line(scene: Scene, cell: Cell) -> tuple[Line, ...]:
    """A line with the number of the cell, unless the bars show it already."""
    value = describe(scene, cell).value
    if cell.name in _OF_ALL:
        return (formula_line(_OF_ALL[cell.name], value),)
    if len(cell.index) == 3:
        return (Line(scene.tokenizer.quoted(followed(scene)[cell.index[0]]), value),)
    return ()


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened cell: the point's vector, the scale computed from it, and the tokens' results."""
    lens, point, position = _row(scene, cell)
    name = lens.points[point]
    y = scene.trace.read(name, row=position).astype(np.float64)
    layer = analysis.layer_of_translator(scene.config, name) if lens.translated[point] else None
    if layer is not None:
        try:
            y = load_translators(Path(scene.state.translators), scene.config).apply(layer, y[None])[0]
        except ModelError as reason:  # the file was removed or has changed since
            return View(Phrase("{1} after {2}", name, token_name(scene, position)), str(reason), Box(()))
    mean, scale = float(y.mean()), float(np.sqrt(y.var() + scene.config.layer_norm_epsilon))
    weights = scene.checkpoint.weights
    normed = (y - mean) / scale * weights["ln_final.w"] + weights["ln_final.b"]
    logits = (weights["unembed.W_U"] @ normed).astype(np.float64)
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    order = np.argsort(-logits, kind="stable")[:8]
    shown = [*order, *(i for i in followed(scene) if i not in order)]
    lines = (
        formula_line(Phrase("softmax( LN_final(y) · W_U ), with mean and scale of y")),
        *(
            (Line("y", f"{name} · T + c", Phrase("{1} and {2}", f"lens.{layer}.weight", f"lens.{layer}.bias")),)
            if layer is not None
            else ()
        ),
        Line(
            Phrase("with numbers"),
            Phrase("mean {1}, scale {2} of {3}, which opens below", number(mean), number(scale), name),
        ),
        *_own_line(scene, cell),
    )
    first = Bar(
        name, scale, Phrase("scale {1}", number(scale)), Phrase("open one of its numbers"), source=(name, (position, 0))
    )
    return View(
        Phrase(
            "{1} after {2}: {3} {4}",
            name,
            token_name(scene, position),
            scene.tokenizer.quoted(int(order[0])),
            percent(float(shares[order[0]])),
        ),
        _LEADS.get(scene.state.view.lens_of, _LEADS["translated" if layer is not None else ""]),
        column(
            TextPanel(lines=lines),
            BarsPanel(
                title=Phrase("What it would predict"),
                note=Phrase("recomputed here in float64"),
                bars=tuple(
                    Bar(
                        scene.tokenizer.label(int(i)),
                        float(shares[i]),
                        percent(float(shares[i])),
                        Phrase("logit {1}", number(float(logits[i]))),
                        marked=i in followed(scene),
                    )
                    for i in shown
                ),
            ),
            BarsPanel(title=Phrase("Read from"), hint=Phrase("click to open"), bars=(first,), hue=Hue.RESIDUAL),
        ),
    )


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """Lines of code that recompute what a cell's point would predict; without a cell, the last point's prediction."""
    lens = lens_of(scene)
    if lens is None:
        raise ModelError("The lens is not computed yet; copy it when it is shown.")
    point, position = cell.index[-2:] if cell is not None else (len(lens.points) - 1, scene.token)
    name = lens.points[point]
    layer = analysis.layer_of_translator(scene.config, name) if lens.translated[point] else None
    translated = [
        f'lens = safe_open({scene.state.translators!r}, "numpy")',
        f'y = y @ lens.get_tensor("lens.{layer}.weight")',
        f'y = y + lens.get_tensor("lens.{layer}.bias") if "lens.{layer}.bias" in lens.keys() else y',
    ]
    return program(
        scene.checkpoint,
        f"what {name} at position {position} would predict: the probability of every token",
        (
            ("y", name, f"[{position}]"),
            ("w", "ln_final.w", ""),
            ("b", "ln_final.b", ""),
            ("W_U", "unembed.W_U", ""),
        ),
        [
            *(translated if layer is not None else ()),
            f"normed = (y - y.mean()) / np.sqrt(y.var() + {scene.config.layer_norm_epsilon!r}) * w + b",
            "logits = W_U @ normed",
            "result = np.exp(logits - logits.max())",
            "result /= result.sum()",
        ],
    )
