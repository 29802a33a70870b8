"""Edits as a user writes them, SITE[INDEX]=VALUE. VALUE is a number, or one of these sources of numbers:

    mean                    the mean over the bundled reference texts
    other, other[INDEX]     the same cells, or those at INDEX, in the other prompt's pass
    tokens[" a", " b"]      the embedding of one token minus that of another
    prompts["one", "two"]   the mean of a tensor over one text minus that over another
    direction["..."]        a direction as written in the directions workspace, like direction["woman - man"]
    neuron[L, K]            the direction that neuron K of block L writes (its row of W_out)
    edge[L, H]              how head H of block L differs in the other prompt, added directly to q, k or v
    across                  for attn.z: the head's output from its own queries and the other prompt's keys and values

A factor may precede the source, as in `blocks.3.resid_pre+=4*tokens[" Paris", " London"]`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis import rulers, what_if
from desktop_app.core.analysis.parts import head_rows, output_matrices
from desktop_app.core.analysis.score import columns_of
from desktop_app.core.comparing.alignment import Alignment
from desktop_app.core.program.private import hide
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.edit import Cells, Edit, Range, put_from, read_edit, read_index
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import Cancelled, LogitscopeError, ModelError
from desktop_app.gpt2.formulas import softmax
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.tensors import Tensor, tensor_table
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

_VALUE = re.compile(
    r"(?:(?P<times>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?)\s*\*\s*)?(?P<name>[a-z]+)\s*(?:\[(?P<of>.*)\])?",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class EditInputs:
    """What the numbers of edits are computed from: the model, and the passes over the text and the other prompt."""

    engine: Engine
    tokenizer: Tokenizer | None
    plain: Trace  # the pass over the text without edits
    other: Trace | None = None
    alignment: Alignment = ()
    mask: str = CAUSAL
    reference: Callable[[], Sequence[Sequence[int]]] = tuple
    stop: Stop = field(default_factory=Stop)
    theirs: Checkpoint | None = None  # the model that computed the other pass, if it is not this engine's

    def needed(self, text: str) -> Trace:
        """The other prompt's pass, which the edit `text` needs. Raises ModelError if there is no other prompt."""
        if self.other is None:
            raise ModelError(f"The edit {text[:80]!r} needs another prompt; add one.")
        return self.other

    def ids_of(self, words: str, text: str) -> tuple[int, ...]:
        """The ids of a text. Raises ModelError if there is no tokenizer, or the text is empty."""
        hide(words)
        if self.tokenizer is None:
            raise ModelError(f"The edit {text[:80]!r} has text in it, and this model's tokenizer cannot be used.")
        ids = self.tokenizer.encode(words).ids
        if not ids:
            raise ModelError(f"The edit {text[:80]!r} has an empty text in it.")
        return ids


@dataclass(frozen=True)
class Recipe:
    """A parsed edit. Its numbers are `times` those of `source`, after whose name `of` stands in brackets.

    Without a source, its numbers are in `edit`.
    """

    text: str
    edit: Edit
    source: str = ""
    of: str | None = None
    times: float = 1.0


@dataclass(frozen=True)
class Source:
    """A source of numbers. `make` returns them, shaped like the site's cells or of length 1 along an axis.

    `takes` says, in words that end a sentence, what the brackets after the name may contain; "" if nothing.
    """

    make: Callable[[EditInputs, Recipe, Tensor], Array]
    takes: str = ""
    optional: bool = False
    of_other: bool = False  # reads the other prompt's pass


def parse_recipe(text: str, engine: Engine, positions: int) -> Recipe:
    """The edit that `text` describes, for a prompt of `positions` tokens. Raises ModelError that says what is wrong."""
    edit, value = read_edit(text, engine.config, positions)
    if not value:
        return Recipe(text, edit)
    match = _VALUE.fullmatch(value)
    if match is None or match["name"] not in SOURCES:
        known = ", ".join(SOURCES)
        raise ModelError(f"The edit {text[:80]!r} puts {value[:30]!r}, which is neither a number nor one of {known}.")
    if edit.keep == 0 and "*=" in text.partition(value)[0]:
        raise ModelError(f"The edit {text[:80]!r} multiplies by {match['name']}; only a number can.")
    source = SOURCES[match["name"]]
    given = match["of"]
    if (given is None and source.takes and not source.optional) or (given is not None and not source.takes):
        how = f"needs {source.takes}" if source.takes else "takes nothing in brackets"
        raise ModelError(f"The edit {text[:80]!r}: {match['name']} {how}.")
    return Recipe(text, edit, match["name"], given, float(match["times"] or 1))


_STRENGTH = re.compile(r"(?P<before>.*?(?:\*=|\+=|=)\s*)(?P<number>[-+]?[\d.]+(?:e[-+]?\d+)?)?(?P<after>.*)", re.DOTALL)


def strength_of(text: str) -> float | None:
    """The factor by which an edit scales, or the factor of the direction that it adds; None for any other edit."""
    match = _STRENGTH.fullmatch(text)
    if match is None or match["before"].rstrip().endswith(("+=", "*=")) is False:
        return None
    scales = match["before"].rstrip().endswith("*=")
    if scales == bool(match["after"].strip()):
        return None
    return float(match["number"]) if match["number"] else 1.0


def with_strength(text: str, strength: float) -> str:
    """The text of the edit with its factor replaced."""
    match = _STRENGTH.fullmatch(text)
    assert match is not None  # callers pass only an edit that has a factor
    star = "*" if match["after"].strip() and not match["after"].lstrip().startswith("*") else ""
    return f"{match['before']}{strength:g}{star}{match['after']}"


def resolve(texts: Sequence[str], inputs: EditInputs, idle: dict[str, str] | None = None) -> tuple[Edit, ...]:
    """The edits that these texts describe, in order, with their numbers.

    An `across` edit is resolved last, block by block, because it needs the queries of the pass with the other edits.
    Raises ModelError. If `idle` is given, an edit whose cells or numbers do not exist is recorded there instead, with
    the reason.
    """

    def tried(text: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except Cancelled:
            raise
        except ModelError as reason:
            if idle is None:
                raise
            idle[text] = str(reason)
            return None

    count = len(inputs.plain)
    read = [tried(text, partial(parse_recipe, text, inputs.engine, count)) for text in texts]
    recipes: list[Recipe] = [recipe for recipe in read if recipe is not None]

    def made(recipe: Recipe, now: EditInputs) -> tuple[Edit, ...]:
        return tried(recipe.text, lambda: tuple(_edits(recipe, now))) or ()

    edits = [edit for recipe in recipes if recipe.source != ACROSS for edit in made(recipe, inputs)]
    if all(recipe.source == "other" for recipe in recipes) and all(_is_there(edit, inputs.plain) for edit in edits):
        return ()  # all edits put the values that are there already; leaving them out avoids rounding differences
    table = inputs.engine.table
    crossing = sorted((r for r in recipes if r.source == ACROSS), key=lambda r: table[r.edit.site].layer or 0)
    for _, block in groupby(crossing, key=lambda r: table[r.edit.site].layer):
        plain, mask = inputs.plain, inputs.mask
        trace = plain
        if edits or mask != CAUSAL:
            trace = inputs.engine.trace(plain.ids, edits=edits, mask=mask, reuse=plain, stop=inputs.stop)
        now = replace(inputs, plain=trace)
        edits += [edit for recipe in block for edit in made(recipe, now)]
    return tuple(edits)


def read_other(edits: Iterable[Edit]) -> bool:
    """Whether numbers of any of these edits come from the other prompt's pass."""
    return any(edit.source in SOURCES and SOURCES[edit.source].of_other for edit in edits)


def _is_there(edit: Edit, plain: Trace) -> bool:
    """Whether an edit puts the values that the pass has in these cells already."""
    return isinstance(edit.put, Cells) and np.array_equal(_cells(plain.read(edit.site), edit.where), edit.put.array)


def _edits(recipe: Recipe, inputs: EditInputs) -> Iterator[Edit]:
    if not recipe.source:
        yield recipe.edit
        return
    tensor = tensor_table(inputs.engine.config)[recipe.edit.site]
    made = SOURCES[recipe.source].make(inputs, recipe, tensor) * np.float32(recipe.times)
    if np.isnan(made).any():
        # Positions without a counterpart in the other prompt are NaN; each run of positions between them becomes an
        # edit.
        yield from _stretches(recipe, made, tensor.spec.row_axis)
        return
    yield put_from(recipe.edit, made, recipe.text, recipe.source)


def _stretches(recipe: Recipe, made: Array, axis: int) -> Iterator[Edit]:
    others = tuple(n for n in range(made.ndim) if n != axis)
    there = ~np.isnan(made).any(others)
    if not there.any():
        raise ModelError(f"The edit {recipe.text[:80]!r}: none of its tokens has a counterpart in the other prompt.")
    start = recipe.edit.where[axis][0]
    edges = np.flatnonzero(np.diff(there.astype(np.int8), prepend=0, append=0))
    for first, stop in edges.reshape(-1, 2).tolist():
        where = list(recipe.edit.where)
        where[axis] = (start + first, start + stop)
        numbers = made.take(range(first, stop), axis)
        yield put_from(replace(recipe.edit, where=tuple(where)), numbers, recipe.text, recipe.source)


def _span(span: Range, size: int) -> range:
    return range(span[0], size if span[1] is None else span[1])


def _cells(array: Array, where: Sequence[Range]) -> Array:
    return np.asarray(array[tuple(slice(*span) for span in where)])


# Sources of numbers


def _mean(inputs: EditInputs, recipe: Recipe, tensor: Tensor) -> Array:
    if tensor.name.endswith("attn.scaled"):
        raise ModelError(f"The edit {recipe.text[:80]!r}: scores of pairs have no mean over other texts.")
    mean = what_if.means(inputs.engine, inputs.reference(), inputs.stop)[tensor.name]
    where = list(recipe.edit.where)
    where[tensor.spec.row_axis] = (0, 1)
    return _cells(mean, where)


def _other(inputs: EditInputs, recipe: Recipe, tensor: Tensor) -> Array:
    other, where, axis = inputs.needed(recipe.text), recipe.edit.where, tensor.spec.row_axis
    values = other.read(tensor.name)
    if recipe.of is not None:
        theirs = read_index(recipe.of, tensor, inputs.engine.config, len(other), recipe.text)
        found = _cells(values, theirs)
        own = tuple(len(_span(span, size)) for span, size in zip(where, _shape(inputs, tensor), strict=True))
        if any(a not in (1, b) for a, b in zip(found.shape, own, strict=True)):
            said = f"{list(found.shape)} numbers of the other prompt do not fit {list(own)} of this"
            raise ModelError(f"The edit {recipe.text[:80]!r}: {said}; name as many.")
        return found
    if "key" in tensor.axes and len(other) != len(inputs.plain):
        raise ModelError(f"The edit {recipe.text[:80]!r}: a grid of scores fits only a text of equal length.")
    rows = _span(where[axis], len(inputs.plain))
    places = [inputs.alignment[n] for n in rows]
    whole = values.take([0 if n is None else n for n in places], axis)
    found = _cells(whole, [(0, None) if n == axis else span for n, span in enumerate(where)]).astype(np.float32)
    missing = [n for n, place in enumerate(places) if place is None]
    found[(slice(None),) * axis + (missing,)] = np.nan
    return found


def _shape(inputs: EditInputs, tensor: Tensor) -> tuple[int, ...]:
    return tensor.spec.shape(inputs.engine.config, len(inputs.plain))


def _arguments(recipe: Recipe, least: int, most: int, kinds: tuple[type, ...], what: str) -> list[Any]:
    try:
        found = json.loads(f"[{recipe.of}]")
    except (ValueError, RecursionError):  # reported below, together with other faults
        found = None
    if not isinstance(found, list) or not least <= len(found) <= most or not all(type(one) in kinds for one in found):
        raise ModelError(f"The edit {recipe.text[:80]!r}: {recipe.source} needs {what}.")
    return found


def _along_stream(recipe: Recipe, tensor: Tensor, vector: Array) -> Array:
    """A vector [d_model], reshaped for the cells of a site that is as wide as the residual stream."""
    if tensor.axes[-1] != "d_model":
        raise ModelError(f"The edit {recipe.text[:80]!r}: {tensor.name} is not as wide as the residual stream.")
    return _cells(vector[None].astype(np.float32), ((0, 1), recipe.edit.where[1]))


def _tokens(inputs: EditInputs, recipe: Recipe, tensor: Tensor) -> Array:
    ids = []
    for one in _arguments(recipe, 1, 2, (str, int), SOURCES["tokens"].takes):
        own = (one,) if isinstance(one, int) else inputs.ids_of(one, recipe.text)
        if len(own) != 1:
            raise ModelError(f"The edit {recipe.text[:80]!r}: {one[:40]!r} is {len(own)} tokens; give one.")
        if not 0 <= own[0] < inputs.engine.config.vocab_size:
            raise ModelError(f"The edit {recipe.text[:80]!r}: there is no token {own[0]}.")
        ids.append(own[0])
    rows = inputs.engine.checkpoint.weights["embed.W_E"][ids].astype(np.float32)
    return _along_stream(recipe, tensor, rows[0] - rows[1] if len(rows) > 1 else rows[0])


def _prompts(inputs: EditInputs, recipe: Recipe, tensor: Tensor) -> Array:
    if tensor.name.endswith("attn.scaled"):
        raise ModelError(f"The edit {recipe.text[:80]!r}: scores of pairs have no mean over a text.")
    axis, means = tensor.spec.row_axis, []
    for words in _arguments(recipe, 2, 2, (str,), SOURCES["prompts"].takes):
        ids = inputs.ids_of(words, recipe.text)
        values = inputs.engine.trace(ids, stop=inputs.stop).read(tensor.name)
        means.append(values.mean(axis, keepdims=True, dtype=np.float64))
    where = list(recipe.edit.where)
    where[axis] = (0, 1)
    return _cells((means[0] - means[1]).astype(np.float32), where)


def _neuron(inputs: EditInputs, recipe: Recipe, tensor: Tensor) -> Array:
    layer, neuron = _arguments(recipe, 2, 2, (int,), SOURCES["neuron"].takes)
    config = inputs.engine.config
    if not (0 <= layer < config.n_layer and 0 <= neuron < config.d_mlp):
        raise ModelError(f"The edit {recipe.text[:80]!r}: there is no neuron {neuron} in block {layer}.")
    return _along_stream(recipe, tensor, inputs.engine.checkpoint.weights[f"blocks.{layer}.mlp.W_out"][neuron])


def _direction(inputs: EditInputs, recipe: Recipe, tensor: Tensor) -> Array:
    (text,) = _arguments(recipe, 1, 1, (str,), SOURCES["direction"].takes)
    hide(text)
    if inputs.tokenizer is None:
        raise ModelError(f"The edit {recipe.text[:80]!r} has text in it, and this model's tokenizer cannot be used.")

    def run(words: str) -> Trace:
        return inputs.engine.trace(inputs.ids_of(words, recipe.text), stop=inputs.stop)

    try:
        vector = rulers.vector_of(inputs.engine.checkpoint, rulers.parse_ruler(text, inputs.tokenizer), run)
    except (Cancelled, ModelError):
        raise
    except LogitscopeError as reason:
        raise ModelError(f"The edit {recipe.text[:80]!r}: {reason}") from reason
    return _along_stream(recipe, tensor, vector)


def _edge(inputs: EditInputs, recipe: Recipe, tensor: Tensor) -> Array:
    """(result in the other prompt - result in this one), centred, / ln1's scale in this one * w, times W_Q, W_K or W_V.

    This patches the direct path from head to head, with the layer norm's scale frozen. Wang et al. 2022 (arXiv
    2211.00593), section 3.1, patch whole paths.
    """
    layer, head = _arguments(recipe, 2, 2, (int,), SOURCES["edge"].takes)
    config, other, place = inputs.engine.config, inputs.needed(recipe.text), tensor.layer or 0
    heads = _span(recipe.edit.where[0], config.n_head)
    if not tensor.name.endswith(("attn.q", "attn.k", "attn.v")) or recipe.edit.keep != 1:
        raise ModelError(f"The edit {recipe.text[:80]!r}: an edge is added (+=) to attn.q, attn.k or attn.v.")
    if not (0 <= layer < place and 0 <= head < config.n_head):
        raise ModelError(f"The edit {recipe.text[:80]!r}: there is no head {head} of block {layer} before it.")
    rows = _span(recipe.edit.where[1], len(inputs.plain))
    own = inputs.engine.checkpoint

    def result(trace: Trace, by: Checkpoint) -> Array:
        matrix = output_matrices(by, layer)[head].astype(np.float64)
        return np.asarray(head_rows(trace, layer, 0, len(trace))[head] @ matrix)

    places = [inputs.alignment[n] for n in rows]
    there = result(other, inputs.theirs or own)[[0 if n is None else n for n in places]]
    said = there - result(inputs.plain, own)[list(rows)]
    said -= said.mean(-1, keepdims=True)
    weights = own.weights
    said = said / inputs.plain.read(f"blocks.{place}.ln1.scale")[list(rows)] * weights[f"blocks.{place}.ln1.w"]
    found = []
    for one in heads:
        columns = columns_of(config.n_embd, config.d_head, one, tensor.name[-1])
        found.append(said @ weights[f"blocks.{place}.attn.W_QKV"][:, columns].astype(np.float64))
    whole = np.stack(found).astype(np.float32)
    whole[:, [n for n, there in enumerate(places) if there is None]] = np.nan
    return _cells(whole, [(0, None), (0, None), recipe.edit.where[2]])


def _across(inputs: EditInputs, recipe: Recipe, tensor: Tensor) -> Array:
    layer = tensor.layer or 0
    if not tensor.name.endswith("attn.z") or recipe.edit.keep != 0:
        raise ModelError(f"The edit {recipe.text[:80]!r}: what a head reads across is put (=) into attn.z.")
    pattern = across_pattern(inputs.plain, inputs.needed(recipe.text), layer)
    z = pattern @ inputs.needed(recipe.text).read(f"blocks.{layer}.attn.v")
    return _cells(z, recipe.edit.where)


def across_pattern(trace: Trace, other: Trace, layer: int) -> Array:
    """The attention weights of one pass's queries on another pass's keys, unmasked: [head, query, other's key]."""
    q, k = (one.read(f"blocks.{layer}.attn.{letter}") for one, letter in ((trace, "q"), (other, "k")))
    return softmax(q @ k.transpose(0, 2, 1) / np.float32(trace.config.score_divisor(layer)))


ACROSS = "across"
SOURCES: dict[str, Source] = {
    "mean": Source(_mean),
    "other": Source(_other, "an index of the other prompt's tensor, like other[3]", optional=True, of_other=True),
    "tokens": Source(_tokens, 'a token or two, in quotes or by id, like tokens[" a", " b"]'),
    "prompts": Source(_prompts, 'two texts in quotes, like prompts["one", "two"]'),
    "direction": Source(_direction, 'a direction in quotes, like direction["woman - man"]'),
    "neuron": Source(_neuron, "a block and a neuron, like neuron[3, 120]"),
    "edge": Source(_edge, "the block and the number of a head, like edge[3, 5]", of_other=True),
    ACROSS: Source(_across, of_other=True),
}
"""Name of a source, as written in an edit -> the source."""
