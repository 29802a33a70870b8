"""The table of steps, in the order of the forward pass, and the view of any step or workspace."""

import tomllib
from dataclasses import replace
from difflib import get_close_matches
from functools import cache

from desktop_app.core.comparing.compare import AFTER, compared, mode_of, shown
from desktop_app.core.panels import Hue, View, headed
from desktop_app.core.places import BLOCK, IN, OUT, SCALES, Step, StepSpec, Text
from desktop_app.core.program.bundle import resource
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import WALK, State, with_option
from desktop_app.core.views import attention, inputs, mlp, sampling, vectors
from desktop_app.core.views.limits import with_limits
from desktop_app.core.want import Want
from desktop_app.core.workspaces import WORKSPACES
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.names import answer
from desktop_app.gpt2.overflow import without_warnings
from desktop_app.gpt2.phrase import Capital, Phrase, Sentences, joined
from desktop_app.gpt2.weights import expand

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
    StepSpec("qkv", BLOCK, _B + "attn.qkv", Hue.QUERY, (), attention.qkv, hues=(Hue.QUERY, Hue.KEY, Hue.VALUE)),
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
                (*SCALES, "skip_first", "keys_down") if op == "pattern" else ("layer_limits", "skip_first", "keys_down")
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
        "mlp.pre",
        BLOCK,
        _B + "mlp.pre",
        Hue.MLP,
        (_B + "mlp.pre",),
        mlp.pre,
        options=("sort_neurons", "skip_first"),
        sizes=("n_embd", "d_mlp"),
    ),
    StepSpec("mlp.post", BLOCK, _B + "mlp.post", Hue.MLP, (_B + "mlp.post",), mlp.post, options=("sort_neurons",)),
    StepSpec(
        "mlp_out",
        BLOCK,
        _B + "mlp_out",
        Hue.MLP,
        (_B + "mlp_out",),
        mlp.out,
        options=("sort_neurons", "skip_first"),
        sizes=("d_mlp", "n_embd"),
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


def _words(text: str | list[str]) -> Phrase:
    """An entry of the tables: a text, or several sentences."""
    flat = [" ".join(part.split()) for part in ([text] if isinstance(text, str) else text)]
    return Phrase(flat[0]) if len(flat) == 1 else Sentences(*map(Phrase, flat))


@cache
def texts() -> dict[str, Text]:
    """op -> texts, for every row of the tables of places; "op/variant" for another config or mask than GPT-2's."""
    raw = {
        name: words
        for file in ("steps.toml", "workspaces.toml")
        for name, words in tomllib.loads(resource(file).read_text(encoding="utf-8")).items()
    }
    for name, words in raw.items():
        own = dict(raw[name.split("/")[0]])
        if "lead" in words:
            own.pop("lead_turned", None)  # it says the same as the lead that is replaced
        raw[name] = {**own, **words}
    return {op: Text(**{k: _words(v) for k, v in row.items()}) for op, row in raw.items()}


def _variant(op: str, config: Config) -> str:
    """The key in `texts` for this config: not every GPT-2 has GELU, a tied unembedding and the usual scaling."""
    if op == "mlp.post" and config.activation != "gelu_tanh":
        return f"{op}/{config.activation}"
    if op == "scaled" and config.scale_attn_by_inverse_layer_idx:
        return f"{op}/layer" if config.scale_attn_weights else f"{op}/layer_only"
    if op == "scaled" and not config.scale_attn_weights:
        return f"{op}/none"
    if op == "logits" and not config.tie_word_embeddings:
        return f"{op}/untied"
    return op


def text_of(scene: Scene, step: Step) -> Text:
    """The texts of a place for the pass of a scene: some of them differ under a mask other than GPT-2's."""
    if scene.trace.run.mask == CAUSAL:
        return step.text
    return texts().get(f"{step.spec.op}/other_mask", step.text)


@cache
def step_list(config: Config) -> tuple[Step, ...]:
    """Every step of a model with this config, in the order of the forward pass."""
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
    """The step or workspace with that key, operation or tensor. Raises ExportError that suggests the closest names."""
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
    """The place shown in the centre: the workspace or, in the walk, the step; None if the model has no such place."""
    steps, key = (step_list(config), state.step) if state.workspace == WALK else (workspaces(config), state.workspace)
    return next((s for s in steps if s.key == key), None)


@without_warnings
def build_view(scene: Scene, step: Step) -> View:
    """The view of `step`: block and head are named in its headline, and `content` of its row returns the panels.

    If `content` returns a whole view, an empty headline or lead in it is replaced by the step's.
    """
    return compared(as_compared(scene, step), lambda own: _view(own, step), step.tensors)


def as_compared(scene: Scene, step: Step) -> Scene:
    """The scene, which compares nothing if the view of `step` is of both prompts itself."""
    return replace(scene, state=with_option(scene.state, "compare", AFTER)) if step.spec.both(scene) else scene


def _view(scene: Scene, step: Step) -> View:
    """The view of `step` for one pass."""
    if step.layer is not None and scene.layer != step.layer:
        # A step shows its own block, although another block may have been selected in a workspace.
        scene = replace(scene, state=replace(scene.state, layer=step.layer))
    content, text = step.spec.content(scene), text_of(scene, step)
    if isinstance(content, View):
        title, lead = content.title or Capital(text.title), content.lead or text.lead
        return with_limits(replace(content, title=title, lead=lead), scene.state.view)
    where: list[str] = []
    if step.layer is not None:
        where.append(Phrase("Block {1}", step.layer))
    if step.spec.per_head:
        if step.layer is None:
            where.append(Phrase("Block {1}", scene.layer))
        where.append(Phrase("Head {1}", scene.head))
    title = headed(joined(" · ", where), text.title) if where else Capital(text.title)
    turned = scene.state.view.keys_down and text.lead_turned
    view = View(title, turned or text.lead, content)
    return with_limits(view, scene.state.view)


def view_key(scene: Scene, step: Step) -> tuple[object, ...]:
    """The values that the view of `step` depends on: two scenes with equal keys have the same view."""
    state, spec = scene.state, step.spec
    traces = tuple(own.trace for own in shown(as_compared(scene, step)))
    key = (scene.trace, traces, step.key, scene.layer, scene.head, scene.token, state.view, len(state.appended))
    if spec.part == OUT:
        return (*key, state)
    made = tuple(scene.result(want) for want in wants_of(scene, step))
    return (*key, tuple(getattr(state, name) for name in spec.reads), made)


def wants_of(scene: Scene, step: Step) -> tuple[Want, ...]:
    """The products that the view of `step` reads, for each pass that it shows."""
    return wants_of_place(scene, step, mode_of(as_compared(scene, step)).shows)


def wants_of_place(scene: Scene, step: Step, passes: tuple[str, ...]) -> tuple[Want, ...]:
    """The products that the view of `step` reads, for the passes of these names."""
    return tuple(
        replace(want, of=name) for name in passes for want in step.spec.wants(scene.beside[name] if name else scene)
    )
