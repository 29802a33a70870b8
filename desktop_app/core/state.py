"""Everything that a person chose, in one frozen record, and the changes that keep it consistent."""

from dataclasses import dataclass, field, replace

from desktop_app.gpt2.sampling import Sampling
from desktop_app.gpt2.tokenizer import Tokenizer


@dataclass(frozen=True)
class ViewOptions:
    """How views show numbers; none of it changes a number."""

    pattern_scale: str = "linear"  # linear, sqrt, log
    limits: str = "view"  # view: from what is shown; layer: from the whole block
    skip_first: bool = False  # leave position 0 out
    sort_neurons: bool = False
    probabilities: str = "final"


@dataclass(frozen=True)
class State:
    """The prompt and where one looks at it.

    `text` is what was typed and `appended` the ids that were drawn or picked after it: drawn tokens need not
    re-encode to themselves, so ids are the truth of a trace. `token` is the selected token (the query), `position`
    the one whose next-token distribution is shown; None means the last. `draws` numbers the draws made so far.
    """

    text: str = ""
    appended: tuple[int, ...] = ()
    start: bool = False  # prepend <|endoftext|>
    model: str = ""
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
    first = (tokenizer.eos_id,) if state.start and tokenizer.eos_id is not None else ()
    return (*first, *tokenizer.encode(state.text).ids, *state.appended)


def full_text(state: State, tokenizer: Tokenizer) -> str:
    """What the editor shows: the typed text and the appended tokens' text."""
    return state.text + tokenizer.decode(state.appended)


def cut_after(state: State, count: int, tokenizer: Tokenizer) -> State:
    """The state with the first `count` tokens alone.

    The typed text is cut where it re-encodes to the same tokens; what stands after that is kept as ids.
    """
    ids = encode(state, tokenizer)[:count]
    offset = 1 if state.start and tokenizer.eos_id is not None else 0
    typed = len(encode(replace(state, appended=()), tokenizer))
    if count >= typed:
        return replace(state, appended=ids[typed:])
    spans = tokenizer.encode(state.text).spans
    for kept in range(count - offset, -1, -1):
        text = state.text[: spans[kept - 1][1]] if kept > 0 else ""
        if tokenizer.encode(text).ids == ids[offset : offset + kept]:
            return replace(state, text=text, appended=ids[offset + kept :])
    return replace(state, text="", appended=ids[offset:])


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

    Appended tokens become typed text, unless only typed characters in front of them changed.
    """
    tail = tokenizer.decode(state.appended)
    if state.appended and tail and text.endswith(tail) and "\ufffd" not in tail and text != full_text(state, tokenizer):
        head = text[: len(text) - len(tail)]
        if _shares_start(head, state.text):
            return replace(state, text=head, token=None, position=None), ""
    changed = replace(state, text=text, appended=(), token=None, position=None)
    if not state.appended:
        return changed, ""
    before = encode(state, tokenizer)
    after = encode(changed, tokenizer)
    shared = next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
    if shared is None or shared >= len(before) - 1:
        return changed, ""
    was = " ".join(tokenizer.label(t) for t in before[shared : shared + 3])
    now = " ".join(tokenizer.label(t) for t in after[shared : shared + 3])
    return changed, f"Typed text is cut into tokens anew: {was} became {now} at position {shared}."


def _shares_start(one: str, other: str) -> bool:
    """Whether two texts differ in one place only, as after typing or deleting."""
    return one != other and (not other or not one or one[0] == other[0] or one[-1] == other[-1])
