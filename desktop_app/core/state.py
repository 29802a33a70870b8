"""Everything that the user has chosen, in one frozen record, and functions that change it consistently."""

from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any

from desktop_app.core import fields as kinds
from desktop_app.core.alignment import RULES, TOKENS
from desktop_app.core.choices import CHOICES
from desktop_app.core.fields import Change, kept
from desktop_app.core.opening.cells import Cell
from desktop_app.core.private import hide
from desktop_app.gpt2.config import MOST_BLOCKS, MOST_HEADS
from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.sampling import Sampling
from desktop_app.gpt2.tokenizer import Encoding, Tokenizer

WALK = "walk"
TEXT_LIMIT = 1_000_000  # characters; at most twelve bytes each in JSON, so that they fit into a session file


def _one_of(name: str) -> Any:
    """A view option whose values are the words of its row in core/choices.py."""
    return kept(CHOICES[name].usual, kinds.choice(*CHOICES[name].words))


@dataclass(frozen=True)
class ViewOptions:
    """How views show numbers; no option changes a number."""

    pattern_scale: str = _one_of("pattern_scale")
    limits: str = kept("view", kinds.choice("view", "layer"))  # of colours: from this view, or the whole block
    skip_first: bool = kept(False, kinds.flag)  # leave position 0 out of the view
    keys_down: bool = kept(False, kinds.flag)  # attention grids with queries as columns, as some videos draw them
    sort_neurons: bool = kept(False, kinds.flag)
    lens: str = _one_of("lens")  # what the lens's cells show
    lens_of: str = _one_of("lens_of")  # what the lens reads: the stream, or what one kind of sublayer writes
    baseline: str = _one_of("baseline")  # what is subtracted from the explained logit if no token is chosen
    flow: str = _one_of("flow")  # the smallest share that gets a line
    heads: str = _one_of("heads")
    heads_form: str = _one_of("heads_form")  # how the text is shown on a head's page
    heads_by: str = _one_of("heads_by")  # the order of heads
    heads_of: str = _one_of("heads_of")  # which heads are listed
    look: str = _one_of("look")  # the terms of a score, less the row's mean or raw
    look_parts: str = _one_of("look_parts")
    sweep: str = _one_of("sweep")  # which parts are edited, one at a time
    sweep_how: str = _one_of("sweep_how")  # the value that muted parts are set to
    sweep_way: str = _one_of("sweep_way")  # from the other prompt into this one, or out of this one
    effects: bool = kept(False, kinds.flag)  # whether the effect of muting each part is shown, next to its contribution
    compare: str = _one_of("compare")  # which passes are shown, if there are edits or another prompt
    circuits: str = _one_of("circuits")  # which input of the later head reads the earlier one
    circuits_least: float = kept(0.08, kinds.share)  # the smallest score above random that is shown
    circuits_of: str = _one_of("circuits_of")  # pairs of all heads, or those with the shown head
    directions: str = _one_of("directions")
    map: str = _one_of("map")
    map_find: str = kept("", kinds.text(200))  # the token searched for on the map, as typed
    superposition: str = _one_of("superposition")  # the directions of tokens' rows, or of neurons
    rows: str = _one_of("rows")  # the embedding's rows: centred, or also without their largest components
    direction: str = kept("", kinds.text(1000), undo=True)  # as typed; the selected token's row if empty
    stands_for: str = _one_of("stands_for")  # what represents a token in a head's tables
    evidence: str = _one_of("evidence")
    evidence_find: str = kept("", kinds.text(200))  # a neuron like 5.812, or a text to search for
    # Where the colour scale ends, as |number|, in every view of a step, instead of the view's own limits; the second is
    # for attention patterns, whose own scale goes from 0 to 1. Undo restores these numbers, but not switches.
    limit: float | None = kept(None, kinds.size, undo=True)
    pattern_limit: float | None = kept(None, kinds.size, undo=True)


@dataclass(frozen=True)
class State:
    """The prompt and the place that is viewed.

    `text` is the typed text and `appended` the ids that were drawn or picked after it: the text of drawn tokens need
    not encode to the same tokens, so a trace is defined by ids. `token` is the position of the selected token (the
    query), `position` the one whose next-token distribution is shown; None means the last. `key` is the position whose
    attention from the selected token is explained, None for the one it attends to most. `draws` counts the draws made
    so far. `target` is the token whose logit is explained, `against` the one whose logit is subtracted, and `unfolded`
    are the blocks that this explanation shows by their parts. `translators` is a file of translators for the lens
    (core/analysis/translators.py), "" for none. `workspace` is what the centre of the window shows: the walk (the steps
    of the forward pass), at `step`, or another workspace. `opened` is the path of cells opened in the inspector, the
    last of which is shown.
    """

    text: str = kept("", kinds.text(TEXT_LIMIT), run=True)
    appended: tuple[int, ...] = kept((), kinds.ids, run=True)
    # Whether the prompt begins with its first token, like <|endoftext|>, or with a space; None: as the files say.
    start: bool | None = kept(None, kinds.switch, run=True)
    space: bool | None = kept(None, kinds.switch, run=True)
    model: str = kept("", kinds.text(4096), run=True)
    int8: bool = kept(False, kinds.flag, run=True)  # the model's weights rounded to int8
    # Changes to the pass: edits as written (core/recipes.py), the mask (gpt2/mask.py), and the other prompt that cells
    # may come from, with the rule that aligns its tokens.
    edits: tuple[Change, ...] = kept((), kinds.changes, run=True)
    mask: str = kept(CAUSAL, kinds.text(40_000), run=True)
    other: str = kept("", kinds.text(TEXT_LIMIT), run=True)
    alignment: str = kept(TOKENS, kinds.choice(*RULES), run=True)
    beside: str = kept("", kinds.text(4096), run=True)  # the folder of a second model to compare with
    workspace: str = kept(WALK, kinds.text(40))
    step: str = kept("text", kinds.text(200))
    layer: int = kept(0, kinds.whole(0, MOST_BLOCKS - 1))
    head: int = kept(0, kinds.whole(0, MOST_HEADS - 1))
    token: int | None = kept(None, kinds.position)
    position: int | None = kept(None, kinds.position)
    key: int | None = kept(None, kinds.position)
    opened: tuple[Cell, ...] = kept((), kinds.cells)
    sampling: Sampling = field(default_factory=Sampling, metadata={"undo": True})
    draws: int = kept(0, kinds.whole(0, 2**53), undo=True)
    pinned: tuple[int, ...] = kept((), kinds.ids, undo=True)
    target: int | None = kept(None, kinds.token, undo=True)
    against: int | None = kept(None, kinds.token, undo=True)
    unfolded: tuple[int, ...] = kept((), kinds.ids)
    map_token: int | None = kept(None, kinds.token)  # the token at the centre of the map; None is the selected one
    map_window: tuple[float, ...] = kept((), kinds.window)  # the part of the map that is shown, in shares; () is all
    rulers: tuple[str, ...] = kept((), kinds.texts(40, 1000), undo=True)  # kept directions, as typed
    translators: str = kept("", kinds.text(4096), undo=True)
    neuron: int | None = kept(None, kinds.token)  # the block's neuron whose evidence is shown; None is the most active
    evidence: str = kept("", kinds.text(4096), undo=True)  # a file or folder of evidence; "" is the model's own
    story: str = kept("", kinds.text(4096))  # the story that is open, by its name in `stories`
    stop: int = kept(0, kinds.whole(0, 499))
    view: ViewOptions = field(default_factory=ViewOptions)

    @property
    def changed(self) -> bool:
        """Whether the requested pass differs from the model's unedited pass over the text."""
        return any(change.on for change in self.edits) or self.mask != CAUSAL

    @property
    def asked(self) -> tuple[object, ...]:
        """Everything that determines the pass: states with equal values have the same one."""
        return tuple(getattr(self, name) for name in ASKED)

    def with_sampling(self, **changes: object) -> "State":
        """The state with sampling settings changed. Raises SamplingError."""
        return replace(self, sampling=replace(self.sampling, **changes))  # type: ignore[arg-type] # names are Sampling's


def with_option(state: State, name: str, value: object) -> State:
    """The state with one view option changed."""
    return replace(state, view=replace(state.view, **{name: value}))  # type: ignore[arg-type] # names are ViewOptions'


def unplaced(state: State) -> State:
    """The state with no position chosen, as needed before the text changes."""
    return replace(state, token=None, position=None, key=None)


ASKED = tuple(f.name for f in fields(State) if f.metadata.get("run"))
"""Fields that determine what the pass computes."""

UNDOABLE = tuple(f.name for f in fields(State) if f.metadata.get("undo"))
"""Fields that undo restores; the viewed place is not among them."""

UNDOABLE_OPTIONS = tuple(f.name for f in fields(ViewOptions) if f.metadata.get("undo"))
"""The view options that undo restores."""


def encode(state: State, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids of the state's prompt. Raises TokenizerError for text that cannot be encoded."""
    first = tokenizer.first if begins(state, tokenizer) else ()
    return (*first, *_typed(state, tokenizer).ids, *state.appended)


def begins(state: State, tokenizer: Tokenizer) -> bool:
    """Whether the prompt begins with the tokenizer's first token."""
    return bool(tokenizer.first) and (tokenizer.begins if state.start is None else state.start)


def spaced(state: State, tokenizer: Tokenizer) -> bool:
    """Whether a space is put in front of a text that has none."""
    return tokenizer.has_space and (tokenizer.prefix_space if state.space is None else state.space)


def _typed(state: State, tokenizer: Tokenizer) -> Encoding:
    hide(state.text)
    return tokenizer.encode(state.text, prefix_space=spaced(state, tokenizer))


def full_text(state: State, tokenizer: Tokenizer) -> str:
    """The editor's contents: the typed text and the text of the appended tokens."""
    return state.text + tokenizer.decode(state.appended)


def cut_after(state: State, count: int, tokenizer: Tokenizer) -> State:
    """The state whose prompt is the first `count` tokens alone.

    The typed text is cut where it re-encodes to the same tokens; the tokens after that are kept as ids.
    Raises TokenizerError as `encode` does.
    """
    ids = encode(state, tokenizer)[:count]
    first = len(encode(replace(state, text="", appended=()), tokenizer))
    if count < first:
        return replace(state, start=False, text="", appended=())
    typed = len(encode(replace(state, appended=()), tokenizer))
    if count >= typed:
        return replace(state, appended=ids[typed:])
    spans = _typed(state, tokenizer).spans
    for left in range(count - first, 0, -1):
        text = state.text[: spans[left - 1][1]]
        cut = replace(state, text=text, appended=())
        if _typed(cut, tokenizer).ids == ids[first : first + left]:
            return replace(cut, appended=ids[first + left :])
    return replace(state, text="", appended=ids[first:])


def append(state: State, token: int, tokenizer: Tokenizer, *, drawn: bool = False) -> State:
    """The state with `token` put after the position whose probabilities are shown; any later tokens are cut off."""
    if state.position is not None:
        state = cut_after(state, state.position + 1, tokenizer)
    return replace(
        state,
        appended=(*state.appended, token),
        token=None,
        position=None,
        key=None,
        draws=state.draws + 1 if drawn else state.draws,
    )


def edit(state: State, text: str, tokenizer: Tokenizer) -> tuple[State, str]:
    """The state after the editor's text became `text`, and a note if tokens changed that the user did not edit.

    Appended tokens after the changed part are kept, and so are those that remain if the text was cut off between two.
    Appended tokens before the changed part become typed text, which is tokenized again.
    """
    before = full_text(state, tokenizer)
    if text == before:
        return state, ""
    moved = unplaced(state)
    typed, edges = len(state.text), _edges(state.appended, tokenizer)
    if before.startswith(text) and len(text) - typed in edges:
        return replace(moved, appended=state.appended[: edges[len(text) - typed]]), ""
    same_end = shared_beginning(before[::-1], text[::-1])
    changed_to = len(before) - same_end - typed
    edge = min(at for at in edges if at >= changed_to)
    stay = len(before) - typed - edge  # characters of the tokens that stay
    changed = replace(moved, text=text[: len(text) - stay], appended=state.appended[edges[edge] :])
    absorbed = replace(state, appended=state.appended[: edges[edge]])
    untouched = min(shared_beginning(before, text), len(before) - same_end, len(text) - same_end)
    with suppress(TokenizerError):  # a text that cannot be encoded has no tokens to compare; the pass reports it
        return changed, _recut(absorbed, changed, untouched, tokenizer)
    return changed, ""


def _edges(appended: tuple[int, ...], tokenizer: Tokenizer) -> dict[int, int]:
    """Offset in the text of `appended` -> how many tokens end there, for offsets that split no character."""

    def words(start: int, stop: int) -> str:
        return tokenizer.decode(appended[max(0, start) : stop])

    edges, at, last = {0: 0}, 0, 0
    for n in range(1, len(appended) + 1):
        # A character has at most four bytes, so three tokens on either side contain all bytes of one that is split
        # here.
        if words(n - 3, n + 3) == words(n - 3, n) + words(n, n + 3):
            at, last = at + len(words(last, n)), n
            edges[at] = n
    return edges


def shared_beginning(one: str, other: str) -> int:
    """The length of the common beginning of two texts, in characters."""
    same, most = 0, min(len(one), len(other))
    while same < most:  # a binary search, since comparing slices is a hundred times faster than comparing characters
        half = (same + most + 1) // 2
        same, most = (half, most) if one[same:half] == other[same:half] else (same, half - 1)
    return same


def _recut(absorbed: State, changed: State, untouched: int, tokenizer: Tokenizer) -> str:
    """A note on appended tokens that have become typed text, if that text is tokenized differently.

    Only tokens within the first `untouched` characters count: the others were edited.
    """
    if not absorbed.appended:
        return ""
    stood, now = encode(absorbed, tokenizer), encode(changed, tokenizer)
    if stood == encode(replace(absorbed, text=full_text(absorbed, tokenizer), appended=()), tokenizer):
        return ""
    at = _first_difference(stood, now)
    first = len(encode(replace(absorbed, text="", appended=()), tokenizer))
    if at is None or len(tokenizer.decode(stood[first : at + 1])) > untouched:
        return ""
    was, became = (" ".join(tokenizer.label(t) for t in ids[at : at + 3]) for ids in (stood, now))
    return f"Typed text is tokenized again: {was} became {became} at position {at}."


def _first_difference(one: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
