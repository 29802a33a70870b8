"""Logitscope in a script or a notebook: open a model, run a text, read tensors, draw figures, analyse predictions.

Scripts import it as `logitscope`:

    import logitscope

    model = logitscope.open_model("bundled")
    run = model.run("The cat sat on the")
    run["blocks.0.attn.pattern"]                    # numpy, [head, query, key]
    run.figure("blocks.0.attn.pattern", head=3)     # shown inline in Jupyter
    run.attribute(" mat").contribution              # what each part adds to the logit of " mat"
    model.run("The cat sat on the", edits=["blocks.0.attn.z[3]=0"])  # without head 3 of block 0

Nothing is downloaded, and no window is needed. If something cannot be done, LogitscopeError gives the reason in one
sentence.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from desktop_app.core.analysis import attribution as attributions
from desktop_app.core.analysis import circuits as compositions
from desktop_app.core.analysis import directions as embedded
from desktop_app.core.analysis import flow as flows
from desktop_app.core.analysis import head_circuits, what_if
from desktop_app.core.analysis import heads as batteries
from desktop_app.core.analysis import lens as lenses
from desktop_app.core.analysis import score as scores
from desktop_app.core.analysis.attribution import Attribution
from desktop_app.core.analysis.circuits import Circuits
from desktop_app.core.analysis.directions import Nearest
from desktop_app.core.analysis.expression import parse_sum
from desktop_app.core.analysis.flow import Flow
from desktop_app.core.analysis.head_circuits import Directions, TokenTable
from desktop_app.core.analysis.heads import Heads, HeadsOnText
from desktop_app.core.analysis.lens import Lens
from desktop_app.core.analysis.score import Score
from desktop_app.core.analysis.what_if import Ablation, Direction, How, Patch, Patched
from desktop_app.core.comparing.alignment import TOKENS
from desktop_app.core.edits.reference import reference_texts
from desktop_app.core.library.find import find_model
from desktop_app.core.model import Model as OpenedModel
from desktop_app.core.model import open_model as open_folder
from desktop_app.core.passes import Asked, alone
from desktop_app.core.runs import changes
from desktop_app.core.session.state import State, ViewOptions, encode
from desktop_app.core.views.weights import find_part
from desktop_app.figures.export import Job, Options, kind_of, render, write
from desktop_app.figures.order import Order, make
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import LogitscopeError, ModelError, TokenizerError, outside_vocabulary
from desktop_app.gpt2.files import refuse_existing
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.sampling import Ranked, Sampling, stages
from desktop_app.gpt2.trace import Trace
from desktop_app.switches import import_matplotlib

import_matplotlib()

Array = NDArray[Any]


def open_model(name: str | PathLike[str] = "bundled", *, int8: bool = False) -> "Model":
    """Open a model that is on this machine.

    Args:
        name: a bundled model ("bundled", "sorter"), a checkpoint's folder, or `owner/name` of a model that was
            downloaded from the Hugging Face Hub before (by `logitscope models get`).
        int8: whether to round the weights to int8; results then differ from those of the float32 weights.

    Raises:
        LogitscopeError: the model is not on this machine, or cannot be used; the message says why and what to do.
    """
    return Model(open_folder(find_model(str(name)), int8=int8, text=False))


class Model:
    """An opened model, as returned by `open_model`."""

    def __init__(self, opened: OpenedModel) -> None:
        self._opened = opened

    def __repr__(self) -> str:
        return repr(self._opened)

    @property
    def name(self) -> str:
        """The model's display name."""
        return self._opened.name

    @property
    def config(self) -> Config:
        """The model's hyper-parameters: n_layer, n_head, n_embd, n_positions, vocab_size and so on."""
        return self._opened.config

    def weight(self, name: str, *, head: int | None = None) -> Array:
        """A weight by its name ("blocks.0.attn.W_Q", or "unembed.W_U" [d_vocab, d_model]), or one head's part of it.

        The array is read-only float32, with the numbers that the model computes with. Raises ModelError if there is no
        such weight or head.
        """
        part = find_part(self.config, name, head)
        found = part.of(self._opened.checkpoint.weights[part.weight]).view()
        found.flags.writeable = False
        return found

    def run(
        self,
        text: str | None = None,
        *,
        ids: Sequence[int] | None = None,
        bos: bool | None = None,
        prefix_space: bool | None = None,
        edits: Iterable[str] = (),
        mask: str = CAUSAL,
        other: str | None = None,
    ) -> "Run":
        """Compute the forward pass over a text or over token ids, optionally with edits.

        Args:
            text: the prompt; give either this or `ids`.
            ids: the prompt as token ids.
            bos: whether to begin with the model's beginning-of-text token; by default as its tokenizer says.
            prefix_space: whether to put a space in front of the text; by default as its tokenizer says.
            edits: changes to the pass, applied in this order and written as for `--edit`: "SITE[INDEX]=VALUE" replaces
                numbers by VALUE, `*=` multiplies them by it, and `+=` adds it. "blocks.1.attn.z[2]=0" ablates head 2
                of block 1; "blocks.0.attn.scaled[1, 5, 0]=-inf" stops head 1 from attending from query 5 to key 0.
                VALUE may also be `mean`, or another of the sources that docs/what-if.md names.
            mask: which keys a query sees, like "window:16"; by default GPT-2's causal mask.
            other: another prompt, from which edits may take values.

        Raises:
            LogitscopeError: both or neither of text and ids were given, or the model cannot run them or an edit.
        """
        if (text is None) == (ids is None):
            raise LogitscopeError("Give either a text or ids.")
        model = self._opened
        state = State(text or "", start=bos, space=prefix_space, int8=model.config.int8)
        given = encode(state, model.tokenizer) if ids is None else tuple(int(token) for token in ids)
        model.engine.check_ids(given)
        beside = None if other is None else encode(replace(state, text=other), model.tokenizer)
        asked = Asked(given, _edits(edits), mask, beside)
        made, named = changes(model.engine, model.tokenizer, asked)
        return Run(self, model.engine.trace(given, edits=made, mask=named), state, from_ids=ids is not None)

    def token(self, given: str | int) -> int:
        """The id of a token that is given by its text, including the space (" Paris"), or by its id.

        Raises TokenizerError if a text is not exactly one token, ModelError for an id that does not exist.
        """
        tokenizer = self._opened.tokenizer
        if isinstance(given, str):
            ids = tokenizer.encode(given).ids
            if len(ids) != 1:
                raise TokenizerError(f"{given[:40]!r} {tokenizer.counted(ids)}; give one token.")
            return ids[0]
        if not 0 <= given < self.config.vocab_size:
            raise ModelError(outside_vocabulary(int(given), self.config.vocab_size))
        return int(given)

    def label(self, token: int) -> str:
        """The text of a token as shown in the window, with visible spaces."""
        return self._opened.tokenizer.label(self.token(token))

    def heads(self, *, seed: int = 0, edits: Iterable[str] = ()) -> Heads:
        """Scores of every head on repeated random tokens, as from `logitscope heads`; axes in `Heads.AXES`.

        `edits` are applied in every pass. Raises LogitscopeError.
        """
        begin = next(iter(self._opened.tokenizer.first), None)
        return batteries.compute(self._opened.engine, begin=begin, seed=seed, edits=_edits(edits))

    def circuits(self) -> Circuits:
        """How strongly each head composes with earlier ones, and each head's copying score; axes in `Circuits.AXES`."""
        return compositions.kept(self._opened.checkpoint)

    def directions(self, words: str, *, without: int = 0, top: int = 10) -> Nearest:
        """The tokens nearest to a sum of embeddings like "uncle - man + woman", by cosine; axes in `Nearest.AXES`.

        Each word stands for the token with a leading space. `without` is the number of principal components to remove
        from the embedding's rows. Raises LogitscopeError if `words` is not a sum of tokens.
        """
        asked = parse_sum(words, self._opened.tokenizer)
        checkpoint = self._opened.checkpoint
        return embedded.arithmetic(checkpoint, asked.terms, answer=asked.answer, without=without, top=top)

    def head_table(
        self,
        circuit: Literal["OV", "QK"],
        layer: int,
        head: int,
        *tokens: str | int,
        through_mlp: bool = True,
        top: int = head_circuits.TOP,
    ) -> TokenTable:
        """What a head promotes when it reads tokens (OV), or which keys it prefers (QK); axes in `TokenTable.AXES`.

        With `through_mlp`, tokens are represented by their embedding after block 0's MLP. By default, `tokens` are
        those for which the head writes the longest vectors. Raises LogitscopeError.
        """
        checkpoint = self._opened.checkpoint
        ids = [self.token(token) for token in tokens]
        if not ids:
            ids = head_circuits.typical(checkpoint, layer, head, through_mlp=through_mlp).tolist()
        return head_circuits.table(checkpoint, circuit, layer, head, ids, through_mlp=through_mlp, top=top)

    def singular_directions(self, circuit: Literal["OV", "QK"], layer: int, head: int) -> Directions:
        """The singular directions of a head's W_OV or W_QK; axes in `Directions.AXES`. Raises ModelError."""
        return head_circuits.singular(self._opened.checkpoint, circuit, layer, head)

    def figure(
        self, subject: str, *, layer: int | None = None, head: int | None = None, theme: str = "light", **drawn: Any
    ) -> "Figure":
        """A figure that needs no text: "weights:blocks.0.attn.W_Q", or "census".

        `drawn` are fields of `Options`, as in `Run.figure`. Raises LogitscopeError that names the most similar
        subjects.
        """
        options = _options(theme, drawn)
        order = Order(Path("figure.svg"), step=subject, layer=layer, head=head, prompted=False)
        return Figure(make(order, self._opened), options)


class Run:
    """A forward pass over a text, as returned by `Model.run`. It is immutable.

    `run[name]` is the tensor of that name, a read-only numpy array with the axes `run.axes(name)`. For a name of
    TransformerLens or transformers, it raises ModelError, whose message says what the tensor is called here.
    """

    def __init__(self, model: Model, trace: Trace, state: State, *, from_ids: bool) -> None:
        self.model = model
        """The model that computed the pass."""
        self.trace = trace
        """The pass itself, from which single heads and rows can be read: `run.trace.read(name, head=3, row=-1)`."""
        self._state = state
        self._from_ids = from_ids

    def __repr__(self) -> str:
        edited = f", edited: {', '.join(self.edits)}" if self.edits else ""
        return f"<Run of {len(self)} tokens on {self.model.name}: {len(self.names)} tensors{edited}>"

    def __len__(self) -> int:
        return len(self.trace)

    def __getitem__(self, name: str) -> Array:
        return self.trace[name]

    def __contains__(self, name: object) -> bool:
        return name in self.trace.table

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of every tensor, in the order in which they are computed."""
        return tuple(self.trace.table)

    def axes(self, name: str) -> tuple[str, ...]:
        """The names of a tensor's axes, like ("head", "query", "key"). Raises ModelError for an unknown name."""
        if name not in self:
            self.trace[name]  # raises an error that says what the tensor is called here
        return self.trace.table[name].axes

    @property
    def ids(self) -> tuple[int, ...]:
        """The token ids of the text."""
        return self.trace.ids

    @property
    def edits(self) -> tuple[str, ...]:
        """The edits of the pass, in order, in the notation of `Model.run`.

        The value of an edited tensor X before its edits can be read as `X.before`.
        """
        return tuple(edit.text for edit in self.trace.run.edits)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The token at each position as shown in the window, with visible spaces and line ends."""
        return tuple(map(self.model.label, self.ids))

    def next(self, count: int = 10, *, position: int = -1, temperature: float = 1.0) -> list[tuple[str, float]]:
        """The `count` likeliest tokens after a position, and their probabilities, in descending order."""
        ranked = Ranked(self.trace.logits(position))
        probabilities = stages(ranked, Sampling(temperature=temperature)).probs_scaled[:count]
        tokens = ranked.order[: len(probabilities)]
        return [(self.model.label(int(t)), float(p)) for t, p in zip(tokens, probabilities, strict=True)]

    def figure(
        self,
        step: str,
        *,
        layer: int | None = None,
        head: int | None = None,
        token: int | None = None,
        position: int | None = None,
        view: ViewOptions | None = None,
        theme: str = "light",
        **drawn: Any,
    ) -> "Figure":
        """The figure of a step or workspace, as drawn by `logitscope figure --step`; Jupyter shows it inline.

        Args:
            step: its name: "blocks.0.attn.pattern", "overview:pattern" with a layer, "probabilities", "lens".
            layer: the block, if the name does not contain it.
            head: the head, from 0.
            token: the position of the selected token (the query); by default the last.
            position: the position after which predictions are shown; by default the last.
            view: how numbers are shown.
            theme: light, dark, print or projector.
            drawn: further fields of `Options`: size, dpi, caption, font_size, language, title, transparent.

        Raises:
            LogitscopeError: there is no such step (the message names similar ones), head or position.
        """
        options = _options(theme, drawn)
        state = replace(self._state, token=token, position=position, view=view or ViewOptions())
        ids = ",".join(map(str, self.ids)) if self._from_ids else None
        order = Order(Path("figure.svg"), step=step, layer=layer, head=head, ids=ids, state=state)
        return Figure(make(order, self.model._opened, lambda _asked: alone(self.trace)), options)

    def lens(self, *targets: str | int, what: Literal["stream", "attn_out", "mlp_out"] = "stream") -> Lens:
        """The logit lens: what the model would predict from each point of the residual stream; axes in `Lens.AXES`.

        `targets` are tokens, by text or id, whose logits and ranks are returned for each point. Raises LogitscopeError.
        """
        asked = tuple(map(self.model.token, targets))
        return lenses.compute(self._checkpoint, self.trace, what=what, targets=asked)

    def attribute(
        self,
        target: str | int,
        against: str | int | None = None,
        *,
        baseline: Literal["mean", "none"] = "mean",
        position: int = -1,
    ) -> Attribution:
        """What each part of the model adds to the logit of `target` after `position`; axes in `Attribution.AXES`.

        The logit is relative to the logit of `against`. Without `against` it is relative to the mean of all logits or,
        with `baseline` "none", absolute. Raises LogitscopeError.
        """
        other = None if against is None else self.model.token(against)
        asked = self.model.token(target)
        return attributions.compute(
            self._checkpoint, self.trace, target=asked, against=other, baseline=baseline, position=position
        )

    def score(self, layer: int, head: int, query: int, key: int) -> Score:
        """`blocks.layer.attn.scaled[head, query, key]` as a sum over query parts and key parts; axes in `Score.AXES`.

        It explains why the head attends from `query` to `key`. Raises ModelError.
        """
        length = len(self)
        places = [place + length if place < 0 else place for place in (query, key)]
        return scores.compute(self._checkpoint, self.trace, layer=layer, head=head, query=places[0], key=places[1])

    def heads(self, *, leave_first: bool = False, leave_self: bool = False) -> HeadsOnText:
        """Scores of every head on this text. Those of `Model.heads`, on standard inputs, are easier to compare.

        `leave_first` excludes attention to key 0 from the scores, `leave_self` each token's attention to itself. Axes
        are in `HeadsOnText.AXES`.
        """
        return batteries.on_text(self._checkpoint, self.trace, leave_first=leave_first, leave_self=leave_self)

    def flow(self, *, position: int = -1, threshold: float = flows.THRESHOLD) -> Flow:
        """Which parts the last `resid_post` at `position` consists of, back to the embeddings. Raises ModelError."""
        return flows.compute(self._checkpoint, self.trace, position=position, threshold=threshold)

    def ablate(
        self,
        target: str | int,
        against: str | int,
        *,
        what: str = "heads",
        how: How = "zero",
        reference: Iterable[Sequence[int]] | None = None,
    ) -> Ablation:
        """Ablate heads, MLPs or neurons one at a time: the effect on logit[target] - logit[against] at the last token.

        Args:
            target: the token whose logit counts, by its text or id.
            against: the token whose logit is subtracted.
            what: "heads", "mlps", or "neurons:3" for those of block 3.
            how: what replaces their values: "zero", or the "mean" over `reference`.
            reference: texts as token ids; by default the example texts.

        Raises:
            LogitscopeError: a token or block that does not exist, or no text for a mean.
        """
        opened = self.model._opened
        texts = reference_texts(opened.tokenizer) if reference is None and how == "mean" else reference or ()
        one, other = self.model.token(target), self.model.token(against)
        return what_if.ablate(opened.engine, self.trace, target=one, against=other, what=what, how=how, reference=texts)

    def patch(
        self,
        corrupt: "Run",
        target: str | int,
        against: str | int,
        *,
        what: Patched = "resid_pre",
        direction: Direction = "denoise",
        align: str = TOKENS,
    ) -> Patch:
        """Patch cells of this pass into the pass `corrupt`, one at a time; if `direction` is "noise", the reverse.

        Args:
            corrupt: a run of the same model over a text that leads to another prediction.
            target: the token whose logit counts, by its text or id.
            against: the token whose logit is subtracted.
            what: "resid_pre", "attn_out" or "mlp_out", for each block and position, or "heads".
            direction: "denoise", or "noise".
            align: how tokens of texts with different lengths are matched: "tokens", "start" or "end".

        Raises:
            LogitscopeError: a token that does not exist, or another model.
        """
        opened = self.model._opened
        if corrupt.model._opened is not opened:
            raise LogitscopeError("The two runs come from two opened models; run both texts on one.")
        one, other = self.model.token(target), self.model.token(against)
        return what_if.patch(
            opened.engine,
            self.trace,
            corrupt.trace,
            target=one,
            against=other,
            what=what,
            direction=direction,
            alignment=align,
        )

    @property
    def _checkpoint(self) -> Any:
        return self.model._opened.checkpoint


class Figure:
    """A figure that can be drawn. A notebook shows it inline; `save` writes it as SVG, PDF or PNG."""

    def __init__(self, job: Job, options: Options) -> None:
        self._job = job
        self._options = options

    def __repr__(self) -> str:
        return f"<Figure: {self._job.view.title}>"

    @property
    def description(self) -> str:
        """The figure in words, for readers who cannot see it."""
        return self._job.description

    @cached_property
    def svg(self) -> str:
        """The figure as SVG; the same run and options always give the same text."""
        return render(self._job, replace(self._options, kind="svg")).decode("utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | PathLike[str], *, force: bool = False) -> Path:
        """Write the figure, completely or not at all, and return its path; the suffix selects SVG, PDF or PNG.

        Raises ExportError if the file exists and `force` is not given, or if it cannot be written.
        """
        to = Path(path)
        options = replace(self._options, kind=kind_of(to))
        refuse_existing(to, force=force)
        write(to, render(self._job, options))
        return to


def _edits(given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise LogitscopeError(f"Edits are a list of texts; give edits=[{given[:80]!r}].")
    return tuple(given)


def _options(theme: str, drawn: dict[str, Any]) -> Options:
    known = [name for name in Options.__dataclass_fields__ if name != "kind"]
    for name in drawn:
        if name not in known:
            raise LogitscopeError(f"A figure has no option {name[:40]!r}; it has {', '.join(known)}.")
    return Options(theme=theme, **drawn)
