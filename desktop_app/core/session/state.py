"""The state of the program: everything that the user has chosen, in one frozen record, and functions that change it."""

from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any

from desktop_app.core.asking.choices import CHOICES
from desktop_app.core.comparing.alignment import RULES, TOKENS
from desktop_app.core.opening.cells import Cell
from desktop_app.core.program.private import hide
from desktop_app.core.session import fields as kinds
from desktop_app.core.session.fields import Change, kept
from desktop_app.gpt2.config import MOST_BLOCKS, MOST_HEADS
from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.sampling import Sampling
from desktop_app.gpt2.tokenizer import Encoding, Tokenizer

WALK = "walk"
TEXT_LIMIT = 1_000_000  # characters; each takes at most twelve bytes in JSON, so that the text fits into a session file


def _one_of(name: str) -> Any:
    """A view option whose values are the choices of its row in core/asking/choices.py."""
    return kept(CHOICES[name].usual, kinds.choice(*CHOICES[name].words))


@dataclass(frozen=True)
class ViewOptions:
    """How views show numbers. No option changes a number."""

    pattern_scale: str = _one_of("pattern_scale")
    # colour limits from the numbers of this view, or from those of the whole block
    limits: str = kept("view", kinds.choice("view", "layer"))
    skip_first: bool = kept(False, kinds.flag)  # leave position 0 out of the view
    keys_down: bool = kept(False, kinds.flag)  # attention grids with queries as columns, as some videos draw them
    sort_neurons: bool = kept(False, kinds.flag)
    lens: str = _one_of("lens")  # what the lens's cells show
    # what the lens reads: the residual stream, or only the output of attention or of MLPs
    lens_of: str = _one_of("lens_of")
    # what is subtracted from the explained logit if no token to compare with is chosen
    baseline: str = _one_of("baseline")
    flow: str = _one_of("flow")  # the smallest share for which an edge is drawn
    heads: str = _one_of("heads")
    heads_form: str = _one_of("heads_form")  # how the text is shown on a head's page
    heads_by: str = _one_of("heads_by")  # the order of heads
    heads_of: str = _one_of("heads_of")  # which heads are listed
    look: str = _one_of("look")  # whether the terms of a score are shown raw, or minus the mean of the row
    look_parts: str = _one_of("look_parts")
    sweep: str = _one_of("sweep")  # which parts are edited, one at a time
    sweep_how: str = _one_of("sweep_how")  # the value that ablated parts are set to
    sweep_way: str = _one_of("sweep_way")  # direction of patching: from the other prompt into this one, or the reverse
    # whether the effect of ablating each part is shown next to its contribution
    effects: bool = kept(False, kinds.flag)
    compare: str = _one_of("compare")  # which passes are shown, if there are edits or another prompt
    circuits: str = _one_of("circuits")  # the input of the later head (query, key or value) that reads the earlier head
    circuits_least: float = kept(0.15, kinds.share)  # pairs of heads are shown from this score above random upwards
    # which pairs are shown: those of all heads, or only those with the displayed head
    circuits_of: str = _one_of("circuits_of")
    directions: str = _one_of("directions")
    map: str = _one_of("map")
    map_find: str = kept("", kinds.text(200))  # the token searched for on the map, as typed
    superposition: str = _one_of("superposition")  # whether the directions of tokens' rows or of neurons are shown
    rows: str = _one_of("rows")  # rows of the embedding: centred, or with their largest components removed as well
    direction: str = kept("", kinds.text(1000), undo=True)  # the direction as typed; if empty, the selected token's row
    stands_for: str = _one_of("stands_for")  # what represents a token in a head's tables
    evidence: str = _one_of("evidence")
    evidence_find: str = kept("", kinds.text(200))  # a neuron like 5.812, or a text to search for
    # The largest |number| of the colour scale in every view of a step, in place of the view's own limit. Attention
    # patterns, whose scale is 0 to 1 otherwise, have a separate one. Undo restores both numbers, but does not restore
    # switches.
    limit: float | None = kept(None, kinds.size, undo=True)
    pattern_limit: float | None = kept(None, kinds.size, undo=True)


@dataclass(frozen=True)
class State:
    """The prompt, the place in the pass that is viewed, and the options.

    `text` is the typed text. `appended` are the ids drawn or picked after it; a pass is defined by ids, because the
    text of drawn tokens need not encode to the same tokens again.

    `token` is the position of the selected token (the query). `position` is the position whose next-token distribution
    is shown. `key` is the position whose attention from the selected token is explained; None is the position that it
    attends to most. For the first two, None is the last position.

    `draws` counts the draws made so far. `target` is the token whose logit is explained, `against` the token whose
    logit is subtracted, and `unfolded` lists the blocks whose parts this explanation shows separately. `translators` is
    the path of a file of translators for the lens (core/analysis/translators.py), "" for none.

    `workspace` is what the centre of the window shows: the walk (the steps of the forward pass), at `step`, or another
    workspace. `opened` is the path of cells opened in the inspector, the last of which is shown.
    """

    text: str = kept("", kinds.text(TEXT_LIMIT), run=True)
    appended: tuple[int, ...] = kept((), kinds.ids, run=True)
    # Whether the prompt begins with the tokenizer's first token, like <|endoftext|>, or with a space. None leaves this
    # to the model's files.
    start: bool | None = kept(None, kinds.switch, run=True)
    space: bool | None = kept(None, kinds.switch, run=True)
    model: str = kept("", kinds.text(4096), run=True)
    int8: bool = kept(False, kinds.flag, run=True)  # use the weights rounded to int8
    # Changes to the pass: edits as typed (core/edits/recipes.py), the mask (gpt2/mask.py), and the other prompt that
    # edits may take values from, with the rule that aligns its tokens with this prompt's.
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
    # the token at the centre of the embedding map; None is the selected one
    map_token: int | None = kept(None, kinds.token)
    # the visible part of the map, as fractions of its width and height; () is all of it
    map_window: tuple[float, ...] = kept((), kinds.window)
    rulers: tuple[str, ...] = kept((), kinds.texts(40, 1000), undo=True)  # the directions that the user saved, as typed
    translators: str = kept("", kinds.text(4096), undo=True)
    neuron: int | None = kept(None, kinds.token)  # the block's neuron whose evidence is shown; None is the most active
    # path of a file or folder of evidence; "" is the evidence that comes with the model
    evidence: str = kept("", kinds.text(4096), undo=True)
    story: str = kept("", kinds.text(4096))  # the name of the open story, as in `stories`
    stop: int = kept(0, kinds.whole(0, 499))
    view: ViewOptions = field(default_factory=ViewOptions)

    @property
    def changed(self) -> bool:
        """Whether the requested pass differs from the model's unedited pass over the text."""
        return any(change.on for change in self.edits) or self.mask != CAUSAL

    @property
    def asked(self) -> tuple[object, ...]:
        """The values that determine the pass: two states with equal values have the same pass."""
        return tuple(getattr(self, name) for name in ASKED)

    def with_sampling(self, **changes: object) -> "State":
        """The state with sampling settings changed. Raises SamplingError."""
        return replace(self, sampling=replace(self.sampling, **changes))  # type: ignore[arg-type] # names are Sampling's


def with_option(state: State, name: str, value: object) -> State:
    """The state with one view option changed."""
    return replace(state, view=replace(state.view, **{name: value}))  # type: ignore[arg-type] # names are ViewOptions'


def unplaced(state: State) -> State:
    """The state with no position chosen: positions are meaningless once the text changes."""
    return replace(state, token=None, position=None, key=None)


ASKED = tuple(f.name for f in fields(State) if f.metadata.get("run"))
"""Fields that determine what the pass computes."""

UNDOABLE = tuple(f.name for f in fields(State) if f.metadata.get("undo"))
"""Fields that undo restores; the viewed place is not among them."""

UNDOABLE_OPTIONS = tuple(f.name for f in fields(ViewOptions) if f.metadata.get("undo"))
"""The view options that undo restores."""


def encode(state: State, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids of the state's prompt. Raises TokenizerError for a text that cannot be encoded."""
    first = tokenizer.first if begins(state, tokenizer) else ()
    return (*first, *_typed(state, tokenizer).ids, *state.appended)


def begins(state: State, tokenizer: Tokenizer) -> bool:
    """Whether the prompt begins with the tokenizer's first token."""
    return bool(tokenizer.first) and (tokenizer.begins if state.start is None else state.start)


def spaced(state: State, tokenizer: Tokenizer) -> bool:
    """Whether a space is put in front of a text that does not begin with one."""
    return tokenizer.has_space and (tokenizer.prefix_space if state.space is None else state.space)


def _typed(state: State, tokenizer: Tokenizer) -> Encoding:
    hide(state.text)
    return tokenizer.encode(state.text, prefix_space=spaced(state, tokenizer))


def full_text(state: State, tokenizer: Tokenizer) -> str:
    """The editor's contents: the typed text followed by the text of the appended tokens."""
    return state.text + tokenizer.decode(state.appended)


def cut_after(state: State, count: int, tokenizer: Tokenizer) -> State:
    """The state whose prompt consists of its first `count` tokens.

    The typed text is cut as far back as it still encodes to the same tokens; the tokens after that are stored as ids.
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
    """The state with `token` appended after the position whose probabilities are shown; later tokens are removed."""
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

    Appended tokens after the edited part stay as they are, as do those before it if the text was only shortened to the
    end of a token. Otherwise appended tokens before the edited part become typed text, which is tokenized again.
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
    stay = len(before) - typed - edge  # number of characters of the tokens that stay
    changed = replace(moved, text=text[: len(text) - stay], appended=state.appended[edges[edge] :])
    absorbed = replace(state, appended=state.appended[: edges[edge]])
    untouched = min(shared_beginning(before, text), len(before) - same_end, len(text) - same_end)
    with suppress(TokenizerError):  # a text that cannot be encoded has no tokens to compare; the pass reports it
        return changed, _recut(absorbed, changed, untouched, tokenizer)
    return changed, ""


def _edges(appended: tuple[int, ...], tokenizer: Tokenizer) -> dict[int, int]:
    """The number of tokens of `appended` that end at each offset of their text, for offsets that split no character."""

    def words(start: int, stop: int) -> str:
        return tokenizer.decode(appended[max(0, start) : stop])

    edges, at, last = {0: 0}, 0, 0
    for n in range(1, len(appended) + 1):
        # A character has at most four bytes. So if one is split here, all of its bytes are in three tokens on either
        # side.
        if words(n - 3, n + 3) == words(n - 3, n) + words(n, n + 3):
            at, last = at + len(words(last, n)), n
            edges[at] = n
    return edges


def shared_beginning(one: str, other: str) -> int:
    """The number of characters that two texts have in common at their start."""
    same, most = 0, min(len(one), len(other))
    while same < most:  # binary search: comparing slices is a hundred times faster than comparing characters one by one
        half = (same + most + 1) // 2
        same, most = (half, most) if one[same:half] == other[same:half] else (same, half - 1)
    return same


def _recut(absorbed: State, changed: State, untouched: int, tokenizer: Tokenizer) -> str:
    """A note on appended tokens that became typed text, if that text is tokenized differently; else "".

    Only tokens within the first `untouched` characters count: the user edited the others.
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
