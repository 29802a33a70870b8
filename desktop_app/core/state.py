"""Everything that a person chose, in one frozen record, and the changes that keep it consistent."""

from contextlib import suppress
from dataclasses import dataclass, field, replace

from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.sampling import Sampling
from desktop_app.gpt2.tokenizer import Encoding, Tokenizer


@dataclass(frozen=True)
class ViewOptions:
    """How views show numbers; none of it changes a number."""

    pattern_scale: str = "linear"  # linear, sqrt, log
    limits: str = "view"  # view: from what is shown; layer: from the whole block
    skip_first: bool = False  # leave position 0 out
    keys_down: bool = False  # attention grids with queries as columns, as some films draw them, not as rows
    sort_neurons: bool = False
    limit: float | None = None  # colours end at this |number| in every view of a step, in place of its own limits
    pattern_limit: float | None = None  # the same for patterns, whose own scale goes from 0 to 1


@dataclass(frozen=True)
class State:
    """The prompt and where one looks at it.

    `text` is what was typed and `appended` the ids that were drawn or picked after it: drawn tokens need not
    re-encode to themselves, so ids are the truth of a trace. `token` is the selected token (the query), `position`
    the one whose next-token distribution is shown; None means the last. `draws` numbers the draws made so far.
    """

    text: str = ""
    appended: tuple[int, ...] = ()
    start: bool | None = None  # begin with the tokenizer's first token, like <|endoftext|>; None: as its files say
    space: bool | None = None  # begin with a space; None: as the tokenizer's files say
    model: str = ""
    int8: bool = False  # the model's weights rounded to int8
    step: str = "text"
    layer: int = 0
    head: int = 0
    token: int | None = None
    position: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    draws: int = 0
    pinned: tuple[int, ...] = ()
    view: ViewOptions = field(default_factory=ViewOptions)

    def with_sampling(self, **changes: object) -> "State":
        """The same with sampling settings changed. Raises SamplingError."""
        return replace(self, sampling=replace(self.sampling, **changes))  # type: ignore[arg-type] # names are Sampling's


def encode(state: State, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids that the state's prompt stands for. Raises TokenizerError for text that cannot be spelled."""
    first = tokenizer.first if begins(state, tokenizer) else ()
    return (*first, *_typed(state, tokenizer).ids, *state.appended)


def begins(state: State, tokenizer: Tokenizer) -> bool:
    """Whether the prompt begins with the tokenizer's first token."""
    return bool(tokenizer.first) and (tokenizer.begins if state.start is None else state.start)


def spaced(state: State, tokenizer: Tokenizer) -> bool:
    """Whether the text begins with a space, one in front unless it has one."""
    return tokenizer.has_space and (tokenizer.prefix_space if state.space is None else state.space)


def _typed(state: State, tokenizer: Tokenizer) -> Encoding:
    return tokenizer.encode(state.text, prefix_space=spaced(state, tokenizer))


def full_text(state: State, tokenizer: Tokenizer) -> str:
    """What the editor shows: the typed text and the appended tokens' text."""
    return state.text + tokenizer.decode(state.appended)


def cut_after(state: State, count: int, tokenizer: Tokenizer) -> State:
    """The state whose prompt is the first `count` tokens alone.

    The typed text is cut where it re-encodes to the same tokens; what stands behind that is kept as ids.
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
    for kept in range(count - first, 0, -1):
        text = state.text[: spans[kept - 1][1]]
        cut = replace(state, text=text, appended=())
        if _typed(cut, tokenizer).ids == ids[first : first + kept]:
            return replace(cut, appended=ids[first + kept :])
    return replace(state, text="", appended=ids[first:])


def append(state: State, token: int, tokenizer: Tokenizer, *, drawn: bool = False) -> State:
    """The state with `token` after the position that the probabilities are shown for; what stood there is cut."""
    if state.position is not None:
        state = cut_after(state, state.position + 1, tokenizer)
    return replace(
        state,
        appended=(*state.appended, token),
        token=None,
        position=None,
        draws=state.draws + 1 if drawn else state.draws,
    )


def edit(state: State, text: str, tokenizer: Tokenizer) -> tuple[State, str]:
    """The state after the editor's text became `text`, and a note where tokens came out otherwise than they stood.

    Appended tokens behind the change stay as they are, and so do all of them where the end was cut off between two.
    Those in front of the change become typed text, which is cut into tokens anew.
    """
    before = full_text(state, tokenizer)
    if text == before:
        return state, ""
    moved = replace(state, token=None, position=None)
    typed, edges = len(state.text), _edges(state.appended, tokenizer)
    if before.startswith(text) and len(text) - typed in edges:
        return replace(moved, appended=state.appended[: edges[len(text) - typed]]), ""
    same_end = _shared(before[::-1], text[::-1])
    changed_to = len(before) - same_end - typed
    edge = min(at for at in edges if at >= changed_to)
    stay = len(before) - typed - edge  # characters of the tokens that stay
    changed = replace(moved, text=text[: len(text) - stay], appended=state.appended[edges[edge] :])
    absorbed = replace(state, appended=state.appended[: edges[edge]])
    untouched = min(_shared(before, text), len(before) - same_end, len(text) - same_end)
    with suppress(TokenizerError):  # a text that cannot be spelled has no tokens to compare; the pass says so
        return changed, _recut(absorbed, changed, untouched, tokenizer)
    return changed, ""


def _edges(appended: tuple[int, ...], tokenizer: Tokenizer) -> dict[int, int]:
    """Offset in the text of `appended` -> how many tokens end there, wherever that cuts no character in two."""

    def words(start: int, stop: int) -> str:
        return tokenizer.decode(appended[max(0, start) : stop])

    edges, at, last = {0: 0}, 0, 0
    for n in range(1, len(appended) + 1):
        # A character has four bytes at most: three tokens on either side hold all that one here could be made of.
        if words(n - 3, n + 3) == words(n - 3, n) + words(n, n + 3):
            at, last = at + len(words(last, n)), n
            edges[at] = n
    return edges


def _shared(one: str, other: str) -> int:
    """How many characters two texts have in common at their start."""
    most = min(len(one), len(other))
    return next((n for n in range(most) if one[n] != other[n]), most)


def _recut(absorbed: State, changed: State, untouched: int, tokenizer: Tokenizer) -> str:
    """What became of appended tokens that are typed text now, where that text alone makes other tokens.

    Only tokens within the first `untouched` characters count: the others a person has edited.
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
    return f"Typed text is cut into tokens anew: {was} became {became} at position {at}."


def _first_difference(one: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
