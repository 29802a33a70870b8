"""Claims: statements about a model, as data that can be checked against a pass.

A claim is a statement that is measured on a scene, and the change to text or settings under which it is made. The
module `claims_file` reads claims from files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from desktop_app.core.analysis import circuits, superposition
from desktop_app.core.analysis.directions import arithmetic
from desktop_app.core.analysis.expression import parse_sum
from desktop_app.core.analysis.folding import require_head
from desktop_app.core.analysis.predictions import compute as predictions
from desktop_app.core.analysis.score import compute as score
from desktop_app.core.levels import number, percent
from desktop_app.core.model import Model
from desktop_app.core.opening.cells import Cell, read_cell
from desktop_app.core.runs import asked_of, compute_passes
from desktop_app.core.scene import Scene, make_scene
from desktop_app.core.session.state import State, encode
from desktop_app.gpt2.errors import SessionError
from desktop_app.gpt2.mask import CAUSAL

Head = tuple[int, int]
Heads = Mapping[str, Head]
"""The role of a head -> its block and number, for files that name heads by role."""


@dataclass(frozen=True)
class Finding:
    """The result of checking a claim: whether it holds, and what was measured, in words."""

    holds: bool
    said: str


@dataclass(frozen=True)
class Bounds:
    """An open interval in which a measured number must lie; None means no bound."""

    above: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        """Whether `value` lies within the bounds."""
        return (self.above is None or value > self.above) and (self.below is None or value < self.below)


class OfScene(Protocol):
    """A kind of statement that is measured on one scene."""

    def find(self, scene: Scene) -> Finding:
        """Measure the statement on `scene`. Raises LogitscopeError if it names something that does not exist."""


def _token(scene: Scene, word: str) -> int:
    ids = scene.tokenizer.encode(word).ids
    if len(ids) != 1:
        raise SessionError(f"{word!r} is {len(ids)} tokens of {scene.name}; a claim names one.")
    return ids[0]


@dataclass(frozen=True)
class Next:
    """A next token's rank among all tokens (from 1), its probability after top-k and top-p, and whether it survives."""

    word: str
    bounds: Bounds = Bounds()
    rank: int | None = None
    kept: bool | None = None

    def find(self, scene: Scene) -> Finding:
        """The token's rank and probability, as in the bars of the probability panel."""
        token = _token(scene, self.word)
        rank, share = scene.ranked.rank_of(token), scene.stages.probability_of(token)
        kept = rank < scene.stages.n_kept
        holds = (self.rank in (None, rank + 1)) and (self.kept in (None, kept)) and self.bounds.hold(share)
        return Finding(holds, f"{self.word!r} is rank {rank + 1} with {percent(share)}{'' if kept else ', cut'}")


@dataclass(frozen=True)
class Looks:
    """The attention weight from the selected token to one key, and whether it is the largest of its row."""

    head: Head
    to: int
    bounds: Bounds = Bounds()
    most: bool | None = None

    def find(self, scene: Scene) -> Finding:
        """The weight in the head's pattern, and the largest of its row."""
        row = _pattern(scene, self.head)[scene.token]
        if self.to >= len(row):
            raise SessionError(f"There is no key {self.to}; the text has {len(row)} tokens.")
        most = int(np.argmax(row))
        holds = self.bounds.hold(float(row[self.to])) and self.most in (None, most == self.to)
        gets = f"{scene.labels[self.to]} gets {percent(float(row[self.to]))}"
        return Finding(holds, f"{gets}; the largest weight goes to {scene.labels[most]}")


@dataclass(frozen=True)
class Answers:
    """Which earlier head, by what it wrote at the key, contributes most to a score minus the mean of its row."""

    head: Head
    to: int
    part: Head

    def find(self, scene: Scene) -> Finding:
        """The part with the largest contribution through the key."""
        _pattern(scene, self.head)
        if self.to > scene.token:
            raise SessionError(f"Key {self.to} comes after the selected token, {scene.token}.")
        layer, head = self.head
        found = score(scene.checkpoint, scene.trace, layer=layer, head=head, query=scene.token, key=self.to)
        most = found.key_parts[int(np.argmax(found.by_key_part(relative=True)))].name
        return Finding(
            most == f"blocks.{self.part[0]}.attn.result.{self.part[1]}", f"{most} contributes most of all parts"
        )


@dataclass(frozen=True)
class Always:
    """A head's attention to the key `back` tokens before the query, for queries from `since` on.

    It has to hold for all of these queries, or for a fraction of them.
    """

    head: Head
    back: int
    bounds: Bounds = Bounds()
    most: bool | None = None
    since: int | None = None
    share: float = 1.0

    def find(self, scene: Scene) -> Finding:
        """The fraction of queries for which the statement holds."""
        grid = _pattern(scene, self.head)
        queries = range(max(self.back, self.since or 0), len(grid))
        if not queries:
            raise SessionError(
                f"The text is too short: no token from position {max(self.back, self.since or 0)} on "
                f"has another {self.back} positions before it."
            )
        good = [
            self.bounds.hold(float(grid[q, q - self.back]))
            and self.most in (None, int(np.argmax(grid[q])) == q - self.back)
            for q in queries
        ]
        return Finding(sum(good) >= self.share * len(good), f"{sum(good)} of {len(good)} queries satisfy it")


@dataclass(frozen=True)
class Apart:
    """The smallest distance, in tokens, from an occurrence of one token to a later occurrence of another."""

    words: tuple[str, str]
    tokens: int

    def find(self, scene: Scene) -> Finding:
        """The distance between the two in the text."""
        first, second = (_token(scene, word) for word in self.words)
        ids = scene.trace.ids
        pairs = [b - a for b in range(len(ids)) for a in range(b) if (ids[a], ids[b]) == (first, second)]
        if not pairs:
            raise SessionError(f"The text has no {self.words[1]!r} after a {self.words[0]!r}.")
        return Finding(min(pairs) == self.tokens, f"they are {min(pairs)} apart")


@dataclass(frozen=True)
class Number:
    """One number of a tensor or of a weight."""

    cell: Cell
    bounds: Bounds

    def find(self, scene: Scene) -> Finding:
        """The number in that cell."""
        value = read_cell(scene.trace, scene.checkpoint.weights, self.cell)
        return Finding(self.bounds.hold(value), f"{self.cell.name}{list(self.cell.index)} is {number(value)}")


@dataclass(frozen=True)
class Drawn:
    """The token that is drawn with the current sampling settings."""

    word: str
    u: float | None = None

    def find(self, scene: Scene) -> Finding:
        """The token whose interval contains u."""
        landed = int(scene.ranked.order[scene.stages.landing(scene.u if self.u is None else self.u)])
        return Finding(landed == _token(scene, self.word), f"{scene.tokenizer.quoted(landed)} is drawn")


@dataclass(frozen=True)
class Count:
    """How many tokens the text has."""

    tokens: int

    def find(self, scene: Scene) -> Finding:
        """The length of the pass."""
        return Finding(len(scene.trace) == self.tokens, f"the text is {len(scene.trace)} tokens")


@dataclass(frozen=True)
class Left:
    """How many tokens are left to draw from, after top-k and top-p."""

    tokens: int

    def find(self, scene: Scene) -> Finding:
        """The number of tokens left after temperature, top-k and top-p."""
        return Finding(scene.stages.n_kept == self.tokens, f"{scene.stages.n_kept} tokens are left")


@dataclass(frozen=True)
class Active:
    """The fraction of a block's neurons whose activation for the selected token is above zero."""

    layer: int
    bounds: Bounds

    def find(self, scene: Scene) -> Finding:
        """The fraction of positive values in `mlp.post`."""
        if self.layer >= scene.config.n_layer:
            raise SessionError(f"There is no block {self.layer}; {scene.name} has {scene.config.n_layer}.")
        after = scene.trace.read(f"blocks.{self.layer}.mlp.post", row=scene.token)
        share = float((after > 0).mean())
        return Finding(self.bounds.hold(share), f"{percent(share)} of the neurons are above zero")


@dataclass(frozen=True)
class Loss:
    """The mean loss over the text's tokens, in nats."""

    bounds: Bounds

    def find(self, scene: Scene) -> Finding:
        """The mean loss over all positions but the last."""
        mean = predictions(scene.trace).mean_loss
        return Finding(self.bounds.hold(mean), f"the mean loss is {number(mean)} nats")


@dataclass(frozen=True)
class Near:
    """The rank of a token's row of W_E by cosine with another token's row; the nearest has rank 1."""

    word: str
    other: str
    rank: int

    def find(self, scene: Scene) -> Finding:
        """The row's rank among all others, computed in float64."""
        word, other = _token(scene, self.word), _token(scene, self.other)
        rows = scene.checkpoint.weights["embed.W_E"].astype(np.float64)
        cosines = rows @ rows[word] / np.linalg.norm(rows, axis=1).clip(1e-30)
        nearer = int((cosines > cosines[other]).sum()) - (word != other)
        return Finding(nearer + 1 == self.rank, f"{self.other!r} is number {nearer + 1} of those near {self.word!r}")


@dataclass(frozen=True)
class Sum:
    """The rank of a token's row of W_E by cosine with a sum, as in "uncle - man + woman"; the nearest has rank 1."""

    terms: str
    other: str
    rank: int

    def find(self, scene: Scene) -> Finding:
        """The rank among all tokens except those in the sum, by centred rows."""
        asked = parse_sum(self.terms, scene.tokenizer)
        made = arithmetic(scene.checkpoint, asked.terms, answer=_token(scene, self.other))
        return Finding(made.rank == self.rank, f"{self.other!r} has rank {made.rank} for {self.terms}")


@dataclass(frozen=True)
class Composes:
    """The composition score of a head with a later head that reads it (by "q", "k" or "v"), minus that of random heads.

    `most`: no other head in blocks from `since` up to the later head's may have a higher score.
    """

    head: Head
    into: Head
    by: str
    bounds: Bounds = Bounds()
    most: bool | None = None
    since: int = 0

    def find(self, scene: Scene) -> Finding:
        """The composition score of the pair, from the weights."""
        for layer, number_ in (self.head, self.into):
            require_head(scene.checkpoint, layer, number_)
        (earlier, _), (later, _) = self.head, self.into
        if not self.since <= earlier < later:
            raise SessionError(f"Head {self.head} is not in a block from {self.since} on that comes before {later}.")
        among = circuits.kept(scene.checkpoint).above(self.by)[self.since : later, :, *self.into]
        value = float(among[earlier - self.since, self.head[1]])
        holds = self.bounds.hold(value) and self.most in (None, value == among.max())
        return Finding(holds, f"the pair's score is {number(value)} above random; the largest is {number(among.max())}")


@dataclass(frozen=True)
class Copies:
    """A head's copying score, for tokens represented by their vectors after block 0's MLP."""

    head: Head
    bounds: Bounds

    def find(self, scene: Scene) -> Finding:
        """The score, from the weights."""
        require_head(scene.checkpoint, *self.head)
        value = float(circuits.kept(scene.checkpoint).copying_through_mlp[self.head])
        return Finding(self.bounds.hold(value), f"the copying score is {number(value)}")


@dataclass(frozen=True)
class Spread:
    """The standard deviation of the cosines between rows of W_E, as a multiple of that between random vectors."""

    bounds: Bounds

    def find(self, scene: Scene) -> Finding:
        """The ratio of the two standard deviations, for a sample of centred rows."""
        found = superposition.angles(superposition.directions_of(scene.checkpoint, "embedding"))
        value = found.spread / found.spread_random
        return Finding(self.bounds.hold(value), f"cosines spread {number(value)} times as widely as random ones")


@dataclass(frozen=True)
class Ends:
    """The text that results from repeatedly appending the likeliest token."""

    words: str

    def run_on(self, model: Model, ids: Sequence[int]) -> Finding:
        """Generate as many tokens after `ids` as the text in the statement has, and compare."""
        grown, trace = list(ids), None
        for _ in model.tokenizer.encode(self.words).ids:
            trace = model.engine.trace(grown, reuse=trace)
            grown.append(int(np.argmax(trace.logits(-1))))
        said = model.tokenizer.decode(grown[len(ids) :])
        return Finding(said == self.words, f"{said!r} follows")


def _pattern(scene: Scene, head: Head) -> Any:
    layer, number_ = head
    if layer >= scene.config.n_layer or number_ >= scene.config.n_head:
        raise SessionError(f"{scene.name} has no head {number_} in a block {layer}.")
    return scene.trace.read(f"blocks.{layer}.attn.pattern", head=number_)


Statement = OfScene | Ends
"""A statement about one pass, or about generated text, which takes several passes."""


@dataclass(frozen=True)
class Change:
    """The changes to the current state for which a statement is made; None where nothing changes."""

    text: str | None = None
    token: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    mute: tuple[Head, ...] = ()
    edits: tuple[str, ...] = ()

    def of(self, state: State) -> State:
        """The state after this change, except for its edits."""
        sampling = {name: getattr(self, name) for name in ("temperature", "top_k", "top_p")}
        state = state.with_sampling(**{name: value for name, value in sampling.items() if value is not None})
        if self.text is not None:
            state = replace(state, text=self.text, appended=(), token=None, position=None, key=None)
        return state if self.token is None else replace(state, token=self.token)

    @property
    def written(self) -> tuple[str, ...]:
        """All edits, including those that ablate heads, as `--edit` takes them."""
        return (*(f"blocks.{layer}.attn.z[{head}]=0" for layer, head in self.mute), *self.edits)


@dataclass(frozen=True)
class Claim:
    """A statement about a model, and the change to the current state for which it is made."""

    statement: Statement
    change: Change = Change()

    def check(self, model: Model, state: State) -> Finding:
        """Check the claim on `model`, for the text and settings of `state`; return what was measured.

        Raises LogitscopeError if the claim or the text names something that the model lacks, or if it is about
        generated text (`Ends`) and the pass has edits or a mask: text is generated without them.
        """
        state = self.change.of(state)
        ids = encode(state, model.tokenizer)
        asked = asked_of(state, model.tokenizer)
        asked = replace(asked, edits=(*asked.edits, *self.change.written))
        if isinstance(self.statement, Ends):
            if asked.edits or asked.mask != CAUSAL:
                raise SessionError(
                    "Claims about generated text are about the unchanged model; leave the edits and the mask out."
                )
            return self.statement.run_on(model, ids)
        trace = compute_passes(model.engine, model.tokenizer, asked).trace
        return self.statement.find(make_scene(model.name, model.checkpoint, model.tokenizer, trace, state))
