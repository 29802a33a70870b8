"""The tables of places: the steps of the forward pass in order, and the workspaces."""

import tomllib
from dataclasses import replace
from difflib import get_close_matches
from functools import cache

from desktop_app.core.bundle import resource
from desktop_app.core.compare import compared, mode_of, shown
from desktop_app.core.panels import Hue, View, headed
from desktop_app.core.places import BESIDE, BLOCK, IN, OUT, Entry, Step, StepSpec, Text
from desktop_app.core.scene import Scene
from desktop_app.core.state import WALK, State
from desktop_app.core.views import (
    attention,
    census,
    check,
    circuits,
    directions,
    embedding_map,
    evidence,
    flow,
    heads,
    inputs,
    lens,
    look,
    masks,
    mlp,
    predictions,
    sampling,
    sheet,
    superposition,
    sweep,
    training,
    vectors,
    why,
)
from desktop_app.core.views.limits import with_limits
from desktop_app.core.want import Want
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.names import answer
from desktop_app.gpt2.phrase import Capital, Phrase, Sentences, joined
from desktop_app.gpt2.weights import expand

_SCALES = ("scale_linear", "scale_sqrt", "scale_log")
_B = "blocks.{L}."


def _norm(name: str) -> tuple[str, ...]:
    return tuple(f"{name}.{part}" for part in ("mean", "scale", "normalized", "out"))


STEPS: tuple[StepSpec, ...] = (
    StepSpec("text", IN, "text", Hue.INK, (), inputs.text),
    StepSpec("tokens", IN, "tokens", Hue.INK, ("tokens",), inputs.tokens),
    StepSpec("embed", IN, "embed", Hue.RESIDUAL, ("embed",), inputs.embed),
    StepSpec("pos_embed", IN, "pos_embed", Hue.RESIDUAL, ("pos_embed",), inputs.pos_embed),
    StepSpec("sum", IN, "sum", Hue.RESIDUAL, ("blocks.0.resid_pre",), inputs.total),
    StepSpec("ln1", BLOCK, _B + "ln1", Hue.RESIDUAL, (*_norm(_B + "ln1"), _B + "resid_pre"), vectors.ln1),
    StepSpec("qkv", BLOCK, _B + "attn.qkv", Hue.QUERY, (), attention.qkv),
    StepSpec(
        "heads",
        BLOCK,
        _B + "attn.heads",
        Hue.KEY,
        (_B + "attn.q", _B + "attn.k", _B + "attn.v"),
        attention.heads,
        per_head=True,
    ),
    *(
        StepSpec(
            op,
            BLOCK,
            f"{_B}attn.{op}",
            Hue.ATTENTION,
            (f"{_B}attn.{op}",),
            content,
            per_head=True,
            grids=True,
            options=(
                (*_SCALES, "skip_first", "keys_down")
                if op == "pattern"
                else ("layer_limits", "skip_first", "keys_down")
            ),
        )
        for op, content in (
            ("scores", attention.scores),
            ("scaled", attention.scaled),
            ("masked", attention.masked),
            ("pattern", attention.pattern),
        )
    ),
    StepSpec("z", BLOCK, _B + "attn.z", Hue.VALUE, (_B + "attn.z",), attention.z, per_head=True),
    StepSpec("concat", BLOCK, _B + "attn.concat", Hue.ATTENTION, (_B + "attn.concat",), attention.concat),
    StepSpec("attn_out", BLOCK, _B + "attn_out", Hue.ATTENTION, (_B + "attn_out",), attention.attn_out),
    StepSpec("resid_mid", BLOCK, _B + "resid_mid", Hue.RESIDUAL, (_B + "resid_mid",), vectors.resid_mid),
    StepSpec("ln2", BLOCK, _B + "ln2", Hue.RESIDUAL, _norm(_B + "ln2"), vectors.ln2),
    StepSpec(
        "mlp.pre", BLOCK, _B + "mlp.pre", Hue.MLP, (_B + "mlp.pre",), mlp.pre, options=("sort_neurons", "skip_first")
    ),
    StepSpec("mlp.post", BLOCK, _B + "mlp.post", Hue.MLP, (_B + "mlp.post",), mlp.post, options=("sort_neurons",)),
    StepSpec(
        "mlp_out", BLOCK, _B + "mlp_out", Hue.MLP, (_B + "mlp_out",), mlp.out, options=("sort_neurons", "skip_first")
    ),
    StepSpec(
        "resid_post",
        BLOCK,
        _B + "resid_post",
        Hue.RESIDUAL,
        (_B + "resid_post",),
        vectors.resid_post,
    ),
    StepSpec("ln_final", OUT, "ln_final", Hue.RESIDUAL, _norm("ln_final"), vectors.ln_final),
    StepSpec("logits", OUT, "logits", Hue.ACCENT, ("logits",), sampling.logits),
    StepSpec("temperature", OUT, "temperature", Hue.ACCENT, (), sampling.temperature),
    StepSpec("top_k", OUT, "top_k", Hue.ACCENT, (), sampling.top_k),
    StepSpec("top_p", OUT, "top_p", Hue.ACCENT, (), sampling.top_p),
    StepSpec("probabilities", OUT, "probabilities", Hue.ACCENT, (), sampling.probabilities),
    StepSpec("draw", OUT, "draw", Hue.ACCENT, (), sampling.draw),
    StepSpec("append", OUT, "append", Hue.ACCENT, (), inputs.append),
)


WEIGHTS, WHAT_IF = "Weights", "What if"
"""The tabs for the weights and their training, and for the effects of changing a pass."""

WORKSPACES: tuple[StepSpec, ...] = (
    StepSpec(
        "sheet",
        BESIDE,
        "sheet",
        Hue.INK,
        (),
        sheet.content,
        options=_SCALES,
        wants=sheet.wants,
        reads=("step",),
        keys=("Ctrl+Alt+1",),
        along=True,
        numpy=sheet.as_numpy,
    ),
    StepSpec(
        "atlas",
        BESIDE,
        "heads",
        Hue.ATTENTION,
        (),
        heads.content,
        options=(
            "heads_patterns",
            "heads_scores",
            "heads_one",
            "heads_arcs",
            "heads_weights",
            "heads_mean",
            "heads_rollout",
            "skip_first",
        ),
        wants=heads.wants,
        keys=("Ctrl+2",),
        describe=heads.describe,
        edits=heads.targets,
        open=heads.open_cell,
        choose=heads.choose,
        numpy=heads.as_numpy,
    ),
    StepSpec(
        "lens",
        BESIDE,
        "lens",
        Hue.ACCENT,
        (),
        lens.content,
        options=("lens_token", "lens_probability", "lens_rank", "lens_entropy", "lens_kl"),
        wants=lens.wants,
        reads=("pinned", "position", "translators"),
        keys=("Ctrl+3",),
        describe=lens.describe,
        edits=lens.targets,
        open=lens.open_cell,
        numpy=lens.as_numpy,
    ),
    StepSpec(
        "why",
        BESIDE,
        "why",
        Hue.ACCENT,
        (),
        why.content,
        options=("why_target", "why_mean", "why_none", "why_against", "effects"),
        wants=why.wants,
        reads=("target", "against", "unfolded", "pinned", "position"),
        keys=("Ctrl+4",),
        describe=why.describe,
        edits=why.targets,
        open=why.open_cell,
        choose=why.choose,
        numpy=why.as_numpy,
    ),
    StepSpec(
        "look",
        BESIDE,
        "look",
        Hue.QUERY,
        (),
        look.content,
        per_head=True,
        options=("look_relative", "look_raw", "look_heads", "look_sublayers", "look_blocks", "look_kinds"),
        wants=look.wants,
        reads=("key",),
        keys=("Ctrl+5",),
        describe=look.describe,
        edits=look.targets,
        open=look.open_cell,
        numpy=look.as_numpy,
    ),
    StepSpec(
        "flow",
        BESIDE,
        "flow",
        Hue.ATTENTION,
        (),
        flow.content,
        options=("flow_1", "flow_2", "flow_4", "flow_10"),
        wants=flow.wants,
        keys=("Ctrl+6",),
        describe=flow.describe,
        edits=flow.targets,
        open=flow.open_cell,
        choose=flow.choose,
        numpy=flow.as_numpy,
    ),
    StepSpec(
        "circuits",
        BESIDE,
        "circuits",
        Hue.ATTENTION,
        (),
        circuits.content,
        options=("circuits_all", "circuits_q", "circuits_k", "circuits_v", "circuits_own", "embedding_alone"),
        wants=circuits.wants,
        keys=("Ctrl+7",),
        group=WEIGHTS,
        entry=Entry("circuits_least", "Pairs from so much beyond random on", top=0.4),
        describe=circuits.describe,
        edits=circuits.targets,
        open=circuits.open_cell,
        choose=circuits.choose,
        numpy=circuits.as_numpy,
    ),
    StepSpec(
        "sweep",
        BESIDE,
        "sweep",
        Hue.ACCENT,
        (),
        sweep.content,
        options=(
            *("sweep_heads", "sweep_mlps", "sweep_strongest", "sweep_zero"),
            *("sweep_resid_pre", "sweep_attn_out", "sweep_mlp_out", "sweep_from_heads", "sweep_out"),
        ),
        wants=sweep.wants,
        reads=("target", "against", "pinned"),
        keys=("Ctrl+8",),
        describe=sweep.describe,
        edits=sweep.targets,
        open=sweep.open_cell,
        choose=sweep.choose,
        numpy=sweep.as_numpy,
        group=WHAT_IF,
    ),
    StepSpec(
        "evidence",
        BESIDE,
        "evidence",
        Hue.MLP,
        (),
        evidence.content,
        options=("evidence_strongest", "evidence_deciles", "evidence_heads", "evidence_active"),
        wants=evidence.wants,
        reads=("neuron", "evidence"),
        keys=("Ctrl+Shift+9",),
        group=WEIGHTS,
        entry=Entry("evidence_find", "A neuron, or a text that its passages peak on", "5.812, dog"),
        describe=evidence.describe,
        edits=evidence.targets,
        open=evidence.open_cell,
        choose=evidence.choose,
        numpy=evidence.as_numpy,
    ),
    StepSpec(
        "masks",
        BESIDE,
        "masks",
        Hue.ATTENTION,
        (),
        masks.content,
        wants=masks.wants,
        keys=("Ctrl+Shift+8",),
        describe=masks.describe,
        open=masks.open_cell,
        choose=masks.choose,
        numpy=masks.as_numpy,
        group=WHAT_IF,
    ),
    StepSpec(
        "directions",
        BESIDE,
        "directions",
        Hue.RESIDUAL,
        (),
        directions.content,
        options=("directions_sum", "directions_ruler", "directions_plane", "rows_trimmed", "ruler_steer"),
        wants=directions.wants,
        reads=("rulers",),
        keys=("Ctrl+9",),
        group=WEIGHTS,
        entry=Entry("direction", "A sum of tokens or another direction", "uncle - man + woman"),
        describe=directions.describe,
        open=directions.open_cell,
        numpy=directions.as_numpy,
    ),
    StepSpec(
        "map",
        BESIDE,
        "map",
        Hue.RESIDUAL,
        (),
        embedding_map.content,
        options=("map_components", "map_neighbours", "rows_trimmed", "map_whole"),
        wants=embedding_map.wants,
        reads=("map_token", "map_window", "pinned"),
        keys=("Ctrl+Alt+M",),
        group=WEIGHTS,
        entry=Entry("map_find", "Find a token on the map", "find ' Paris' or #12"),
        describe=embedding_map.describe,
        open=embedding_map.open_cell,
        choose=embedding_map.choose,
        numpy=embedding_map.as_numpy,
    ),
    StepSpec(
        "superposition",
        BESIDE,
        "superposition",
        Hue.MLP,
        (),
        superposition.content,
        options=("superposition_embedding", "superposition_neurons", "rows_trimmed"),
        wants=superposition.wants,
        reads=("pinned",),
        keys=("Ctrl+Alt+O",),
        group=WEIGHTS,
        describe=superposition.describe,
        edits=superposition.targets,
        open=superposition.open_cell,
        numpy=superposition.as_numpy,
    ),
    StepSpec(
        "predictions",
        BESIDE,
        "predictions",
        Hue.ACCENT,
        (),
        predictions.content,
        wants=predictions.wants,
        keys=("Ctrl+Alt+A",),
        options=_SCALES,
        group=WEIGHTS,
        describe=predictions.describe,
        open=predictions.open_cell,
        numpy=predictions.as_numpy,
    ),
    StepSpec(
        "training",
        BESIDE,
        "training",
        Hue.ACCENT,
        (),
        training.content,
        wants=training.wants,
        keys=("Ctrl+Alt+T",),
        group=WEIGHTS,
    ),
    StepSpec("census", BESIDE, "census", Hue.INK, (), census.content),
    StepSpec("check", BESIDE, "check", Hue.INK, (), check.content, wants=check.wants),
)
"""The workspaces other than the walk. Those with `keys` have a tab; the others open under the view."""


def _words(text: str | list[str]) -> Phrase:
    """An entry of the tables: a text, or several sentences."""
    flat = [" ".join(part.split()) for part in ([text] if isinstance(text, str) else text)]
    return Phrase(flat[0]) if len(flat) == 1 else Sentences(*map(Phrase, flat))


@cache
def texts() -> dict[str, Text]:
    """op -> texts, for every row of the tables of places; "op/variant" has the texts for models of another config."""
    raw = {
        name: words
        for file in ("steps.toml", "workspaces.toml")
        for name, words in tomllib.loads(resource(file).read_text(encoding="utf-8")).items()
    }
    for name, words in raw.items():
        op = name.split("/")[0]
        raw[name] = {**raw[op], **words}
    return {op: Text(**{k: _words(v) for k, v in row.items()}) for op, row in raw.items()}


def _variant(op: str, config: Config) -> str:
    """The entry of `texts` for this config: not every GPT-2 has GELU, a tied unembedding and the usual scaling."""
    if op == "mlp.post" and config.activation != "gelu_tanh":
        return f"{op}/{config.activation}"
    if op == "scaled" and config.scale_attn_by_inverse_layer_idx:
        return f"{op}/layer" if config.scale_attn_weights else f"{op}/layer_only"
    if op == "scaled" and not config.scale_attn_weights:
        return f"{op}/none"
    if op == "logits" and not config.tie_word_embeddings:
        return f"{op}/untied"
    return op


@cache
def step_list(config: Config) -> tuple[Step, ...]:
    """Every step of a model with this config, in order."""
    found: list[Step] = []

    def add(part: str, layer: int | None) -> None:
        for spec in STEPS:
            if spec.part == part:
                words = texts()[_variant(spec.op, config)]
                found.append(Step(expand(spec.key, layer), layer, len(found), spec, words))

    add(IN, None)
    for layer in range(config.n_layer):
        add(BLOCK, layer)
    add(OUT, None)
    return tuple(found)


@cache
def workspaces(config: Config) -> tuple[Step, ...]:
    """Every workspace of a model with this config."""
    return tuple(Step(spec.key, None, -1, spec, texts()[_variant(spec.op, config)]) for spec in WORKSPACES)


def find_step(name: str, config: Config) -> Step:
    """The step or workspace with that key, operation or tensor name. Raises ExportError, with the closest names."""
    steps = (*step_list(config), *workspaces(config))
    for step in steps:
        if name == step.key:
            return step
    for step in steps:
        if name in step.tensors:
            return step
    near = get_close_matches(name, [s.key for s in steps], 3, 0.5)
    hint = answer(name, config) or (
        f"did you mean {' or '.join(near)}?" if near else "try tokens, blocks.0.attn.pattern or probabilities."
    )
    raise ExportError(f"There is no step {name[:80]!r} in this model; {hint}")


def current_place(state: State, config: Config) -> Step | None:
    """The place shown in the centre: the state's workspace, or its step in the walk; None if the model lacks it."""
    steps, key = (step_list(config), state.step) if state.workspace == WALK else (workspaces(config), state.workspace)
    return next((s for s in steps if s.key == key), None)


def build_view(scene: Scene, step: Step) -> View:
    """The view of `step`: its headline names block and head, its panels come from `content` in the table.

    If `content` returns a whole view, an empty headline or lead is replaced by the step's own.
    """
    return compared(scene, lambda own: _view(own, step), step.tensors)


def _view(scene: Scene, step: Step) -> View:
    """The view of one pass."""
    if step.layer is not None and scene.layer != step.layer:
        # The state's block may be another one, selected in a workspace; a step shows its own.
        scene = replace(scene, state=replace(scene.state, layer=step.layer))
    content = step.spec.content(scene)
    if isinstance(content, View):
        return replace(content, title=content.title or Capital(step.text.title), lead=content.lead or step.text.lead)
    where: list[str] = []
    if step.layer is not None:
        where.append(Phrase("Block {1}", step.layer))
    if step.spec.per_head:
        if step.layer is None:
            where.append(Phrase("Block {1}", scene.layer))
        where.append(Phrase("Head {1}", scene.head))
    own = step.text.title
    title = headed(joined(" · ", where), own) if where else Capital(own)
    turned = scene.state.view.keys_down and step.text.lead_turned
    view = View(title, turned or step.text.lead, content)
    return with_limits(view, scene.state.view)


def view_key(scene: Scene, step: Step) -> tuple[object, ...]:
    """What the view of `step` depends on; views of two scenes with equal keys are the same."""
    state, spec = scene.state, step.spec
    traces = tuple(own.trace for own in shown(scene))
    key = (scene.trace, traces, step.key, scene.layer, scene.head, scene.token, state.view, len(state.appended))
    if spec.part == OUT:
        return (*key, state)
    made = tuple(scene.result(want) for want in wants_of(scene, step))
    return (*key, tuple(getattr(state, name) for name in spec.reads), made)


def wants_of(scene: Scene, step: Step) -> tuple[Want, ...]:
    """The products that the view of `step` reads, for each pass that it shows."""
    return wants_of_place(scene, step, mode_of(scene).shows)


def wants_of_place(scene: Scene, step: Step, passes: tuple[str, ...]) -> tuple[Want, ...]:
    """The products that views of `step` read, for the passes of these names."""
    return tuple(
        replace(want, of=name) for name in passes for want in step.spec.wants(scene.beside[name] if name else scene)
    )
