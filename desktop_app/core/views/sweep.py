"""The sweep workspace: parts are ablated, or patched from another prompt, one at a time; the effects are shown.

Its cells are `sweep.effect[row, column]`. Rows are blocks (or neurons), and columns are heads or positions; for MLPs
and neurons there is one column.
"""

from dataclasses import dataclass, replace

import numpy as np

from desktop_app.core.analysis import what_if
from desktop_app.core.analysis.what_if import Ablation, Patch
from desktop_app.core.comparing.alignment import Alignment, aligned
from desktop_app.core.edits.changes import with_edits
from desktop_app.core.edits.editing import Place, Target, head, mlp
from desktop_app.core.edits.reference import reference_texts
from desktop_app.core.edits.targets import row as row_of
from desktop_app.core.levels import Levels, cell_text, diverging, number
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.opening.pass_as_numpy import pass_program, seen_in
from desktop_app.core.panels import Array, Bar, BarsPanel, Box, Hue, Line, MapPanel, Source, TextPanel, View, column
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import WALK, State
from desktop_app.core.views.common import token_name
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Phrase

CELLS = "sweep.effect"
_WRITTEN = 98  # characters that fit into a row of cells, with a space between cells
_LISTED = 50
MUTED = ("heads", "mlps", "strongest")


def _mute(work: Work, what: str, how: what_if.How, target: int, against: int) -> Ablation:
    texts = reference_texts(work.model.tokenizer) if how == "mean" else ()
    return what_if.ablate(
        work.model.engine,
        work.trace,
        target=target,
        against=against,
        what=what,
        how=how,
        reference=texts,
        stop=work.stop,
        progress=work.progress,
        partly=work.partly,
    )


def _put(work: Work, what: str, way: str, target: int, against: int) -> Patch:
    other = work.passes.other
    assert other is not None  # this product is requested only if there is another prompt
    kind = "heads" if what == "from_heads" else what
    # The other prompt is the clean one. Denoising patches its cells into this prompt; noising does the reverse.
    return what_if.patch(
        work.model.engine,
        other,
        work.trace,
        target=target,
        against=against,
        what=kind,  # type: ignore[arg-type] # one of the choices
        direction="denoise" if way == "in" else "noise",
        alignment=work.passes.asked.alignment,
        stop=work.stop,
        progress=work.progress,
        partly=work.partly,
    )


_MUTE = Product("sweep", Phrase("Muting each in turn"), _mute, quick=False)
_PUT = Product("sweep_put", Phrase("Patching in each in turn"), _put, of_both=True, quick=False)


@dataclass(frozen=True)
class _Asked:
    """The parts to edit one at a time, and the two tokens whose logits are measured."""

    what: str
    target: int
    against: int

    @property
    def muted(self) -> bool:
        return self.what in MUTED


def _asked(scene: Scene) -> _Asked:
    """What to edit and measure. The default tokens: each prompt's likeliest, or the two likeliest of this prompt."""
    state, order = scene.state, scene.ranked.order
    target = int(order[0]) if state.target is None else state.target
    rival = int(scene.other.ranked.order[0]) if scene.other is not None else target
    if rival == target:
        rival = int(next(t for t in order[:2] if t != target))
    against = rival if state.against is None or state.against == target else state.against
    return _Asked(state.view.sweep, target, against)


def fits(scene: Scene) -> str:
    """A sentence that says why nothing can be patched in from the other prompt; "" if patching is possible."""
    if scene.passes.guest is not None:
        return Phrase(
            "A sweep patches in cells from this same model's pass over another prompt; remove the other model first."
        )
    if scene.other is None:
        return Phrase("Patching takes cells from another prompt: write one first (Ctrl+Shift+L).")
    return ""


def of_both(scene: Scene) -> bool:
    """Whether the view is of both prompts: one is patched with cells of the other."""
    return scene.state.view.sweep not in MUTED


def _patched(scene: Scene, found: Ablation | Patch) -> Scene:
    """The scene of the prompt that is patched: this prompt's or, for noising, the other prompt's."""
    noise = isinstance(found, Patch) and found.direction == "noise"
    return scene.other if noise and scene.other is not None else scene


def _counterparts(scene: Scene, found: Ablation | Patch) -> Alignment:
    """For each position of the patched prompt, the position that its values come from; () for ablation."""
    if not isinstance(found, Patch) or scene.other is None:
        return ()
    own, other = scene.trace.ids, scene.other.trace.ids
    both = (own, other) if found.direction == "denoise" else (other, own)
    return aligned(*both, scene.passes.asked.alignment)


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    asked, view = _asked(scene), scene.state.view
    if len(scene.ranked) < 2 or (not asked.muted and fits(scene)):
        return ()
    if asked.muted:
        return (Want(_MUTE, (asked.what, view.sweep_how, asked.target, asked.against)),)
    return (Want(_PUT, (asked.what, view.sweep_way, asked.target, asked.against)),)


def _found(scene: Scene) -> Ablation | Patch | None:
    wanted = wants(scene)
    return scene.made(wanted[0]) if wanted else None


def content(scene: Scene) -> View:
    """The effect of each part on the logit difference, for the parts computed so far."""
    asked = _asked(scene)
    quoted = scene.tokenizer.quoted
    title = Phrase("{1} against {2}, {3}", quoted(asked.target), quoted(asked.against), _DONE[asked.what])
    reason = "" if asked.muted else fits(scene)
    found = _found(scene)
    if found is None:
        words = reason or (_MUTE if asked.muted else _PUT).waiting
        return View(title, "", column(TextPanel(lines=(Line("", words),))))
    return View(title, "", column(_ends(scene, found), _picture(scene, found)))


_DONE = {
    "heads": Phrase("with each head muted"),
    "mlps": Phrase("with each MLP muted"),
    "strongest": Phrase("with each of the strongest neurons muted"),
    "resid_pre": Phrase("with each residual vector from the other prompt"),
    "attn_out": Phrase("with what attention writes from the other prompt"),
    "mlp_out": Phrase("with what the MLPs write from the other prompt"),
    "from_heads": Phrase("with what each head read from the other prompt"),
}


def _ends(scene: Scene, found: Ablation | Patch) -> TextPanel:
    """Text lines with what is measured, and its value without an edit."""
    done = np.isfinite(found.logit_difference)
    lines = []
    if isinstance(found, Ablation):
        put = "0" if found.how == "zero" else Phrase("their mean over the example texts")
        lines.append(
            Line(
                Phrase("as it is"),
                number(found.base),
                Phrase("the difference of the logits; muted parts are set to {1}", put),
            )
        )
    else:
        lines.append(Line(Phrase("this prompt"), number(found.corrupt), Phrase("the difference of the logits")))
        lines.append(Line(Phrase("other prompt"), number(found.clean), Phrase("the same difference there")))
        if found.refused:
            lines.append(Line("", "", found.refused))
        else:
            lines.append(
                Line(
                    Phrase("colours"),
                    Phrase("{1} to {2}", 0, 1),
                    Phrase("the share of the way from the patched prompt to the other one; below 0, away from it"),
                )
            )
    wanted = wants(scene)
    if wanted and not scene.has(wanted[0]):
        lines.append(
            Line(Phrase("done"), f"{int(done.sum())} / {done.size}", Phrase("what is not computed yet is empty"))
        )
    elif found.what != "heads" and (alone := sum(place is None for place in _counterparts(scene, found))):
        positions = Phrase("1 position") if alone == 1 else Phrase("{1} positions", alone)
        lines.append(
            Line(Phrase("empty"), positions, Phrase("these positions have no counterpart in the other prompt"))
        )
    return TextPanel(lines=tuple(lines))


def _values(found: Ablation | Patch) -> Array:
    """The numbers shown, [row, column]: the change of the logit difference or, if it is defined, a patch's effect."""
    if isinstance(found, Ablation):
        values = found.logit_difference - found.base
    else:
        start = found.corrupt if found.direction == "denoise" else found.clean
        values = found.logit_difference - start if found.refused else found.effect
    return values if values.ndim == 2 else values[:, None]


_OF_SHARES = Levels(-1, 1, rule=Phrase("fixed, −1 to 1"))


def _share(value: float) -> str:
    """A share of the way with two decimals; what rounds to 0 has no sign."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _picture(scene: Scene, found: Ablation | Patch) -> MapPanel | BarsPanel:
    values = _values(found)
    if isinstance(found, Ablation) and found.which:
        return _neurons(found, values[:, 0])
    by_head = found.what == "heads"
    columns = (
        tuple(Phrase("head {1}", n) for n in range(values.shape[1]))
        if by_head
        else ()
        if isinstance(found, Ablation)
        else _patched(scene, found).labels
    )
    shares = isinstance(found, Patch) and not found.refused
    written = _share if shares else cell_text
    texts = tuple(tuple("" if np.isnan(v) else written(float(v)) for v in line) for line in values)
    # A truncated number could be taken for another number, so narrow columns show colours alone.
    longest = max((len(text) for line in texts for text in line), default=0)
    return MapPanel(
        title=Phrase("Share of the way") if shares else Phrase("Change of the difference"),
        hint=Phrase("click a cell to go to that run"),
        values=values,
        levels=_OF_SHARES if shares else diverging(values),
        row_labels=tuple(Phrase("block {1}", n) for n in range(len(values))),
        column_labels=columns,
        picks=None,
        texts=texts if values.shape[1] * (longest + 1) <= _WRITTEN else (),
        source=Source(CELLS, ("row", "col")),
        hue=Hue.ACCENT,
    )


def _neurons(found: Ablation, values: Array) -> BarsPanel:
    """The neurons as bars, by how much ablating each changes the logit difference, as far as computed."""
    order = [int(n) for n in np.argsort(-np.abs(np.nan_to_num(values)), kind="stable") if np.isfinite(values[n])]
    bars = tuple(
        Bar(
            Phrase("neuron {1} of block {2}", found.which[n][1], found.which[n][0]),
            float(values[n]),
            number(float(values[n])),
            source=(CELLS, (n, 0)),
        )
        for n in order[:_LISTED]
    )
    return BarsPanel(title=Phrase("Change of the difference"), hint=Phrase("click a bar to go to that run"), bars=bars)


# Cells


def _at(scene: Scene, cell: Cell) -> tuple[Ablation | Patch, int, int, float]:
    found = _found(scene)
    if found is None:
        raise ModelError(f"{cell.name} is not computed yet for the current settings; open it once the view shows it.")
    values = _values(found)
    inside = len(cell.index) == 2 and all(i < n for i, n in zip(cell.index, values.shape, strict=True))
    if cell.name != CELLS or not inside:
        raise ModelError(f"There is no {cell.name}{list(cell.index)}.")
    return found, *cell.index, float(values[cell.index])  # type: ignore[return-value] # two indices, just checked


def _target(scene: Scene, found: Ablation | Patch, row: int, col: int) -> Target:
    """The part that was edited to compute a cell."""
    if found.what == "heads":
        return head(row, col)
    if found.what == "mlps":
        return mlp(row)
    if isinstance(found, Ablation):
        layer, neuron = found.which[row]
        site = f"blocks.{layer}.mlp.post"
        return Target(Phrase("neuron {1} of block {2}", neuron, layer), (Place(site, (":", neuron)),))
    return row_of(_patched(scene, found), f"blocks.{row}.{found.what}", col)


def targets(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited for a cell: the part that it represents."""
    found, row, col, _ = _at(scene, cell)
    if isinstance(found, Patch) and found.direction == "noise" and found.what != "heads":
        # The cell's edit was made in the other prompt; in this prompt, the corresponding position can be edited.
        here = _counterparts(scene, found)[col]
        return () if here is None else (row_of(scene, f"blocks.{row}.{found.what}", here),)
    return (_target(scene, found, row, col),)


def describe(scene: Scene, cell: Cell) -> Readout:
    """What is shown about a cell under the pointer."""
    found, row, col, value = _at(scene, cell)
    flat = found.logit_difference if found.logit_difference.ndim == 2 else found.logit_difference[:, None]
    asked, quoted = _asked(scene), scene.tokenizer.quoted
    words = _target(scene, found, row, col).words
    place_ = Phrase("{1} less {2}: {3}", quoted(asked.target), quoted(asked.against), number(float(flat[row, col])))
    apart = _counterparts(scene, found)
    missing = (
        Phrase("no counterpart") if apart and found.what != "heads" and apart[col] is None else Phrase("not done yet")
    )
    return Readout(missing if np.isnan(value) else number(value), words, place_)


def choose(scene: Scene, cell: Cell) -> State | None:
    """The state after a click: it has the cell's edit, and is at the step of the edited tensor."""
    found, row, col, value = _at(scene, cell)
    if np.isnan(value):
        return scene.state
    target, state = _target(scene, found, row, col), scene.state
    if isinstance(found, Ablation):
        text = f"{target.places[0]}={'0' if found.how == 'zero' else 'mean'}"
    else:
        text = f"{target.places[0]}=other"
        if found.direction == "noise":
            here = scene.tokenizer.decode(scene.trace.ids) if state.appended else state.text
            state = replace(state, text=state.other, appended=(), other=here, token=None, position=None, key=None)
    layer = found.which[row][0] if isinstance(found, Ablation) and found.which else row
    step = {"heads": "attn.pattern", "mlps": "mlp.post", "strongest": "mlp.post", "resid_pre": "ln1"}
    at = f"blocks.{layer}.{step.get(found.what, found.what)}"
    state = replace(with_edits(state, text), workspace=WALK, step=at, layer=layer)
    if found.what == "heads":
        return replace(state, head=col)
    return replace(state, token=col) if isinstance(found, Patch) else state


def open_cell(scene: Scene, cell: Cell) -> View:
    """The numbers from which a cell was computed."""
    found, row, col, value = _at(scene, cell)
    readout = describe(scene, cell)
    flat = found.logit_difference if found.logit_difference.ndim == 2 else found.logit_difference[:, None]
    ld = float(flat[row, col])
    lines = [
        Line(
            Phrase("edited run"),
            number(ld),
            Phrase("the first token's logit less the second's, after the last position"),
        )
    ]
    if isinstance(found, Ablation):
        lines.append(Line(Phrase("as it is"), number(found.base)))
        lines.append(Line(Phrase("change"), number(value), f"{number(ld)} − {number(found.base)}"))
    else:
        start, end = (found.corrupt, found.clean) if found.direction == "denoise" else (found.clean, found.corrupt)
        lines += [
            Line(Phrase("patched prompt"), number(start)),
            Line(Phrase("the prompt that the values are from"), number(end)),
        ]
        if not found.refused:
            made = f"({number(ld)} − {number(start)}) / ({number(end)} − {number(start)})"
            lines.append(Line(Phrase("share of the way"), number(value), made))
    where = token_name(scene, len(scene.trace) - 1)
    return View(
        Phrase("{1}: {2}", readout.name, readout.value),
        Phrase("after {1}", where),
        Box((TextPanel(lines=tuple(lines)),)),
    )


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """Lines of code that rerun every edited pass of the picture, or that of one cell, from the ids alone."""
    found = _found(scene)
    if found is None:
        raise ModelError("The sweep is not computed yet; copy it when it is shown.")
    asked, shape = _asked(scene), _values(found).shape
    row, col = (None, None) if cell is None else _at(scene, cell)[1:3]
    rows = f"range({shape[0]})" if row is None else f"[{row}]"
    columns = f"range({shape[1]})" if col is None else f"[{col}]"
    site, cells = _written(found)
    lines = [f"def measured(logits):\n    return logits[{asked.target}] - logits[{asked.against}]"]
    if isinstance(found, Ablation):
        lines += ["patched, other = tokens, None"]
        lines += _means(scene) if found.how == "mean" else ["source = None"]
    else:
        assert scene.other is not None  # a patch needs another prompt
        ids = list(scene.other.trace.ids)
        patched, other = ("tokens", ids) if found.direction == "denoise" else (ids, "tokens")
        lines += [f"patched, other, source = {patched}, {other}, {{}}"]
    lines += [
        "h, q, k = pairs(len(tokens))",
        f"seen = {seen_in(scene.trace.run.mask, scene.config)}",
        "start = measured(run(patched, seen))",
    ]
    if isinstance(found, Patch):
        lines += ["end = measured(run(other, seen, kept=source))"]
    lines += [
        "def edited(row, col):",
        f"    site, cells = {site}, {cells}",
        "    return measured(run(patched, seen, site, cells, 0.0 if source is None else source[site][cells]))",
        f"result = np.array([[edited(row, col) for col in {columns}] for row in {rows}]) - start",
    ]
    if isinstance(found, Patch) and not found.refused:
        lines.append("result /= end - start")
    if cell is not None:
        lines.append("result = result[0, 0]")
    about = f"{'the cell ' + str(list(cell.index)) if cell is not None else 'every cell'} of the picture"
    return pass_program(scene, f"{about}, {_DONE[asked.what]}: each in a separate pass", lines)


def _written(found: Ablation | Patch) -> tuple[str, str]:
    """The tensor and the cells that are edited for `row` and `col`, as Python expressions."""
    if found.what == "heads":
        return 'f"blocks.{row}.attn.z"', "col"
    if found.what == "mlps":
        return 'f"blocks.{row}.mlp.post"', "..."
    if isinstance(found, Ablation):
        return f'f"blocks.{{{list(found.which)}[row][0]}}.mlp.post"', f"np.s_[:, {list(found.which)}[row][1]]"
    return f'f"blocks.{{row}}.{found.what}"', "col"


def _means(scene: Scene) -> list[str]:
    """Lines of code that compute the mean of every tensor over the example texts."""
    most = min(what_if.REFERENCE_TOKENS, scene.config.n_positions)
    texts = [list(ids[:most]) for ids in reference_texts(scene.tokenizer) if len(ids)]
    return [
        "texts, source = [",
        *(f"    {ids}," for ids in texts),
        "], {}",
        "for ids in texts:",
        "    h, q, k = pairs(len(ids))",
        f"    run(ids, [k <= q] * {scene.config.n_layer}, kept=(kept := {{}}))",
        "    for name, x in kept.items():",
        "        source[name] = source.get(name, 0.0) + x.sum(-2, keepdims=True) / sum(map(len, texts))",
    ]
