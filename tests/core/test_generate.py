"""The decode loop: it draws as from full passes over the growing text, and ends where it should."""

import numpy as np
import pytest

from desktop_app.core.generate import Drawn, End, Ended, generate
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import Cancelled, ModelError
from desktop_app.gpt2.sampling import Sampling, uniform
from desktop_app.gpt2.session import Stop
from tests import reference
from tests.checkpoints import TINY, random_weights, write_checkpoint


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(load_checkpoint(write_checkpoint(tmp_path_factory.mktemp("model"), tokenizer=False)))


def run(engine, ids, count, **options):
    options.setdefault("ends", ())
    *drawn, ended = generate(engine, ids, options.pop("sampling", Sampling()), count, **options)
    assert all(isinstance(event, Drawn) for event in drawn)
    assert isinstance(ended, Ended)
    return drawn, ended.reason


def logits_of(drawn):
    """The logits [d_vocab], from their ranking."""
    ranked = drawn.stages.ranked
    return ranked.logits[ranked.ranks]


def test_logits_while_decoding_equal_those_of_a_full_pass(engine):
    drawn, _ = run(engine, (3, 1, 4), 20)
    ids = [3, 1, 4] + [event.token for event in drawn]
    expected = reference.forward(random_weights(TINY), TINY, ids)["logits"]
    for event in drawn:
        assert np.abs(logits_of(event) - expected[event.position - 1]).max() < 1e-4 * np.abs(expected).max()


def test_positions_and_draws_count_up_and_each_draw_uses_its_own_number(engine):
    drawn, reason = run(engine, (3, 1), 5, sampling=Sampling(seed=9), first_draw=7)
    assert reason is End.COUNT
    assert [event.position for event in drawn] == [2, 3, 4, 5, 6]
    assert [event.draw for event in drawn] == [7, 8, 9, 10, 11]
    assert [event.u for event in drawn] == [uniform(9, n) for n in range(7, 12)]


def test_what_is_drawn_continues_where_another_generation_left_off(engine):
    whole, _ = run(engine, (5,), 8)
    first, _ = run(engine, (5,), 3)
    rest, _ = run(engine, (5, *(event.token for event in first)), 5, first_draw=3)
    assert [event.token for event in whole] == [event.token for event in first + rest]


def test_greedy_takes_the_largest_logit_of_the_reference(engine):
    drawn, _ = run(engine, (3, 1, 4), 6, sampling=Sampling(greedy=True))
    ids = [3, 1, 4]
    for event in drawn:
        assert event.token == reference.forward(random_weights(TINY), TINY, ids)["logits"][-1].argmax()
        ids.append(event.token)


def test_a_trace_of_the_prompt_saves_its_pass_and_changes_nothing(engine):
    trace = engine.trace((3, 1, 4))
    with_trace, _ = run(engine, (3, 1, 4), 6, trace=trace)
    without, _ = run(engine, (3, 1, 4), 6)
    assert [event.token for event in with_trace] == [event.token for event in without]
    other, _ = run(engine, (3, 1, 5), 6, trace=trace)
    assert [event.token for event in other] == [event.token for event in run(engine, (3, 1, 5), 6)[0]]


def test_the_token_that_ends_a_text_is_drawn_and_then_it_ends(engine):
    drawn, _ = run(engine, (3,), 10)
    wanted = drawn[4].token
    ended, reason = run(engine, (3,), 10, ends=[wanted])
    first = [event.token for event in drawn].index(wanted)
    assert [event.token for event in ended] == [event.token for event in drawn[: first + 1]]
    assert reason is End.END_OF_TEXT


def test_the_context_fills_to_its_last_position_and_no_further(engine):
    drawn, reason = run(engine, (3,) * 30, 10)
    assert (len(drawn), reason) == (2, End.CONTEXT)
    drawn, reason = run(engine, (3,) * 30, 2)
    assert (len(drawn), reason) == (2, End.COUNT)
    drawn, reason = run(engine, (3,) * 32, 10)
    assert (drawn, reason) == ([], End.CONTEXT)


def test_ids_that_the_model_cannot_take_are_refused(engine):
    for ids in ((), (97,), (-1,), (3,) * 33):
        with pytest.raises(ModelError):
            run(engine, ids, 1)


def test_stop_ends_it_between_two_tokens(engine):
    stop = Stop()
    events = generate(engine, (3,), Sampling(), 10, ends=(), stop=stop)
    next(events)
    stop.set()
    with pytest.raises(Cancelled):
        list(events)
