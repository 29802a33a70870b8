"""The decode loop: token after token with cached keys and values, for the command line and for the window."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.edit import Edit
from desktop_app.gpt2.engine import Engine, Past
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.sampling import Ranked, Sampling, Stages, stages, uniform
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.tensors import past_inputs
from desktop_app.gpt2.trace import Trace


class End(Enum):
    """Why generation ended."""

    COUNT = "as many tokens as asked for"
    END_OF_TEXT = "the model ended the text"
    CONTEXT = "the context is full"


@dataclass(frozen=True, eq=False)
class Drawn:
    """One drawn token: its position in the text, and everything that determined the draw."""

    position: int
    token: int
    draw: int
    """The number of this draw, which together with the seed determines `u`."""
    u: float
    rank: int
    stages: Stages


@dataclass(frozen=True)
class Ended:
    """The last value that `generate` yields."""

    reason: End


def generate(
    engine: Engine,
    ids: Sequence[int],
    sampling: Sampling,
    count: int,
    *,
    ends: Collection[int],
    first_draw: int = 0,
    trace: Trace | None = None,
    edits: tuple[Edit, ...] = (),
    mask: str = CAUSAL,
    stop: Stop | None = None,
) -> Iterator[Drawn | Ended]:
    """Draw up to `count` tokens after `ids`. Yields each token as it is drawn, then the reason why generation ended.

    After the first pass, each token costs a pass over one position. A token in `ends` is drawn and ends the text.

    Args:
        engine: the model's engine.
        ids: the text so far; if it fills the context, generation ends before anything runs.
        sampling: how to draw, including the seed.
        count: the maximum number of tokens.
        ends: the ids that end a text (`gpt2/endings.py`).
        first_draw: the number of the first draw.
        trace: used in place of the first pass if it is the trace of exactly these `ids`, without edits and under
            GPT-2's mask.
        edits: the edits of every pass; an edit of all positions also applies to drawn tokens.
        mask: which keys a query sees. Under any mask other than GPT-2's, each token costs a full pass.
        stop: cancels the work.

    Raises:
        ModelError: ids that the model cannot take.
        Cancelled: `stop` was set.
    """
    ids = tuple(ids)
    room = engine.config.n_positions - len(ids)
    engine.check_ids(ids)
    if not room:
        yield Ended(End.CONTEXT)
        return
    run = _Edited(engine, ids, edits, mask, stop) if edits or mask != CAUSAL else _Plain(engine, ids, trace, stop)
    for step in range(count):
        result = stages(Ranked(run.logits), sampling)
        u = uniform(sampling.seed, first_draw + step)
        rank = result.landing(u)
        token = int(result.ranked.order[rank])
        yield Drawn(len(ids) + step, token, first_draw + step, u, rank, result)
        if token in ends:
            yield Ended(End.END_OF_TEXT)
            return
        if step + 1 == count:
            break
        if step + 1 == room:
            yield Ended(End.CONTEXT)
            return
        run.advance(token)
    yield Ended(End.COUNT)


class _Plain:
    """Passes without edits, each of which uses the keys and values of the previous one."""

    def __init__(self, engine: Engine, ids: tuple[int, ...], trace: Trace | None, stop: Stop | None) -> None:
        self._engine, self._stop = engine, stop
        if trace is not None and trace.ids == ids and not trace.run.changes:
            self._past, self.logits = trace.past(len(ids)), trace.logits(-1)
        else:
            self._past, self.logits = _advance(engine, ids, engine.empty_past(), stop)

    def advance(self, token: int) -> None:
        """Run one more token."""
        self._past, self.logits = _advance(self._engine, (token,), self._past, self._stop)


class _Edited:
    """Passes with edits, each of which continues the previous one."""

    def __init__(
        self, engine: Engine, ids: tuple[int, ...], edits: tuple[Edit, ...], mask: str, stop: Stop | None
    ) -> None:
        self._engine, self._edits, self._mask, self._stop = engine, edits, mask, stop
        self._trace = engine.trace(ids, edits=edits, mask=mask, stop=stop)
        self.logits = self._trace.logits(-1)

    def advance(self, token: int) -> None:
        """Run one more token."""
        ids = (*self._trace.ids, token)
        self._trace = self._engine.trace(ids, edits=self._edits, mask=self._mask, reuse=self._trace, stop=self._stop)
        self.logits = self._trace.logits(-1)


def _advance(
    engine: Engine, ids: Sequence[int], past: Past, stop: Stop | None
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
    """Run `ids` after `past`; return the past extended by them, and the logits [d_vocab] after the last."""
    sources = past_inputs(engine.config)
    new = engine.run(ids, past, [*sources.values(), "ln_final.out"], stop)
    grown = {name: np.concatenate([past[name], new[source]], axis=1) for name, source in sources.items()}
    return grown, engine.logits(new["ln_final.out"][-1:], stop)[0]
