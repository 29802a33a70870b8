"""The engine: what it refuses, that it can be stopped, and that all ways of loading weights give the same numbers."""

import gc
import threading
import weakref

import numpy as np
import pytest

import desktop_app.gpt2.engine
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import Cancelled, ModelError
from desktop_app.gpt2.session import Stop
from tests import reference
from tests.checkpoints import TINY, random_weights, store_weights, write_checkpoint

IDS = (3, 1, 4, 1, 5)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(load_checkpoint(write_checkpoint(tmp_path_factory.mktemp("model"), tokenizer=False)))


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ((), "empty"),
        ((97,), r"id 97 at position 0 .*0 to 96"),
        ((1, -1), r"id -1 at position 1"),
        ((1,) * 33, r"33 tokens, 1 more than the model's context of 32"),
        ((2**63,), "outside"),
    ],
)
def test_ids_that_the_model_cannot_take_are_refused(engine, ids, words):
    with pytest.raises(ModelError, match=words):
        engine.trace(ids)
    with pytest.raises(ModelError, match=words):
        next(engine.tensors(ids, ["embed"]))


def test_positions_in_errors_count_the_past(engine):
    past = engine.trace(IDS).past(5)
    with pytest.raises(ModelError, match="position 6"):
        engine.run((1, 97), past, ["embed"])
    with pytest.raises(ModelError, match="33 tokens, 1 more"):
        engine.run((1,) * 28, past, ["embed"])


def test_the_context_can_be_filled_to_its_last_position(engine):
    ids = [n % 97 for n in range(32)]
    expected = reference.forward(random_weights(TINY), TINY, ids)["logits"][-1]
    assert np.abs(engine.trace(ids).logits(-1) - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_mapped_and_a_packed_engine_give_the_same_numbers(tmp_path):
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path, tokenizer=False)))
    before = engine.trace(IDS)
    engine.prepack()
    assert engine.packed
    after = engine.trace((*IDS, 7), reuse=engine.trace(IDS))
    full = engine.trace((*IDS, 7))
    for name in before.table:
        assert np.allclose(after[name], full[name], rtol=1e-5, atol=1e-5)
    assert np.allclose(before.logits(-1), full.logits(4), rtol=1e-5, atol=1e-5)


def test_packing_can_be_stopped_and_leaves_a_working_engine(tmp_path):
    config = TINY | {"n_positions": 64, "n_embd": 512, "n_head": 8, "n_layer": 24}
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path, config, tokenizer=False)))
    before = engine.trace(IDS).logits(-1)
    stop, caught = Stop(), []

    def work():
        try:
            engine.prepack(stop)
        except Cancelled as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not stop._on_set and thread.is_alive():
        threading.Event().wait(0.0005)
    stop.set()
    thread.join()
    assert caught and not engine.packed
    assert np.allclose(engine.trace(IDS).logits(-1), before, rtol=1e-4, atol=1e-4)


@pytest.fixture
def made(monkeypatch):
    """The sessions that the engine makes: (outputs exposed, packed, session); `before` and `after` run around each."""
    make = desktop_app.gpt2.engine.make_session

    class Made(list):
        before = after = staticmethod(lambda _options: None)

        def bodies(self, packed):
            """The graphs that expose few tensors, packed or not."""
            return [session for only, was_packed, session in self if only is not None and was_packed == packed]

    record = Made()

    def making(checkpoint, stop=None, **options):
        record.before(options)
        session = make(checkpoint, stop, **options)
        record.append((options.get("only"), options.get("packed", False), session))
        record.after(options)
        return session

    monkeypatch.setattr("desktop_app.gpt2.engine.make_session", making)
    return record


class Watched(Stop):
    """Records the sessions that are run."""

    def __init__(self):
        super().__init__()
        self.ran = []

    def run(self, session, *arguments, **options):
        self.ran.append(session)
        return super().run(session, *arguments, **options)


def test_an_unpacked_graph_that_is_ready_late_does_not_take_the_packed_ones_place(tmp_path, made, monkeypatch):
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path, tokenizer=False)))
    begun, packed = threading.Event(), threading.Event()

    def before(options):
        if options.get("only") and not options.get("packed"):
            begun.set()
            packed.wait(10)  # packing finishes while this graph is still being built

    def after(options):
        if options.get("only") and options.get("packed"):
            packed.set()

    made.before, made.after = before, after
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    slow = threading.Thread(target=engine.trace, args=(IDS,))
    slow.start()
    assert begun.wait(10)
    engine.prepack()
    slow.join()
    assert engine.packed
    watched = Watched()
    engine.trace((*IDS, 7), stop=watched)
    assert watched.ran[0] in made.bodies(packed=True)


def test_two_threads_that_need_the_same_graph_make_it_once(tmp_path, made, monkeypatch):
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path, tokenizer=False)))
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    both = threading.Barrier(2)

    def work():
        both.wait(10)
        engine.trace(IDS)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made.bodies(packed=False)) == 1


def test_a_text_beyond_the_capture_limit_runs_on_the_graph_that_exposes_little(tmp_path, made, monkeypatch):
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path, tokenizer=False)))
    engine.trace(IDS)
    assert not made.bodies(packed=False), "a short text needs no second graph"
    whole = engine.trace((*IDS, 7))
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 1000)
    lean = engine.trace((*IDS, 7), reuse=engine.trace(IDS))
    assert made.bodies(packed=False) and set(lean.captured) < set(whole.captured)
    for name in whole.table:
        assert np.allclose(lean[name], whole[name], rtol=1e-5, atol=1e-5), name


def test_half_precision_and_turned_weights_run_and_pack_as_others_do(tmp_path):
    weights = random_weights(TINY)
    for name, options in {"half": {"dtype": "F16"}, "turned": {"linear": True}}.items():
        write_checkpoint(tmp_path / name, tokenizer=False)
        left = store_weights(tmp_path / name, weights, **options)
        engine = Engine(load_checkpoint(tmp_path / name))
        expected = reference.forward(left, TINY, IDS)["logits"]
        for _ in range(2):
            logits = engine.trace(IDS, reuse=engine.trace(IDS[:2]))["logits"]
            assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
            engine.prepack()


def test_a_trace_of_another_model_is_not_reused(engine, tmp_path):
    other = Engine(load_checkpoint(write_checkpoint(tmp_path, seed=1, tokenizer=False)))
    foreign = other.trace(IDS)
    trace = engine.trace((*IDS, 7), reuse=foreign)
    assert trace.computed == 6
    assert np.array_equal(trace.logits(-1), engine.trace((*IDS, 7)).logits(-1))


def test_everything_means_a_full_pass_even_with_a_trace_to_reuse(engine):
    trace = engine.trace((*IDS, 7), reuse=engine.trace(IDS), everything=True)
    assert trace.computed == 6
    assert trace.captured.keys() == set(trace.table) - {"logits"}


def test_all_logits_come_in_pieces_and_equal_the_reference(engine, monkeypatch):
    monkeypatch.setattr("desktop_app.gpt2.engine._LOGIT_ROWS", 3)
    ids = [n % 97 for n in range(20)]
    expected = reference.forward(random_weights(TINY), TINY, ids)["logits"]
    assert np.abs(engine.trace(ids)["logits"] - expected).max() < 1e-4 * np.abs(expected).max()


# Stopping


def test_a_stop_set_before_ends_every_call_at_once(engine):
    trace = engine.trace(IDS)
    stop = Stop()
    stop.set()
    for call in (
        lambda: engine.trace(IDS, stop=stop),
        lambda: engine.trace((*IDS, 7), reuse=trace, stop=stop),
        lambda: engine.run(IDS, None, ["embed"], stop),
        lambda: engine.logits(trace["ln_final.out"], stop),
        lambda: next(engine.tensors(IDS, ["embed"], stop)),
        stop.check,
    ):
        with pytest.raises(Cancelled):
            call()


def test_a_stop_from_another_thread_ends_a_running_pass(tmp_path):
    # Large enough to run for seconds, so that the stop arrives meanwhile; a single run, with no check after it.
    config = TINY | {"n_positions": 1024, "n_embd": 256, "n_head": 64, "n_layer": 24}
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path, config, tokenizer=False)))
    stop, caught = Stop(), []

    def work():
        try:
            engine.run([1] * 1024, None, ["ln_final.out"], stop)
        except Cancelled as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not stop._on_set and thread.is_alive():
        threading.Event().wait(0.001)
    stop.set()
    thread.join()
    assert caught


def test_a_stop_that_was_not_set_stops_nothing_and_one_that_was_stops_only_its_own_request(engine):
    stopped, other = Stop(), Stop()
    stopped.set()
    assert stopped.wanted
    assert not other.wanted
    assert len(engine.trace(IDS, stop=other)) == 5


def test_two_threads_may_share_an_engine(engine):
    expected = {ids: engine.trace(ids).logits(-1) for ids in ((1, 2, 3), (4, 5), (6,))}
    wrong = []

    def work(ids):
        for _ in range(20):
            if not np.array_equal(engine.trace(ids).logits(-1), expected[ids]):
                wrong.append(ids)

    threads = [threading.Thread(target=work, args=(ids,)) for ids in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_long_text_runs_in_chunks_and_each_stands_on_those_before(engine, monkeypatch):
    whole = engine.trace(IDS, everything=True)
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    monkeypatch.setattr("desktop_app.gpt2.engine.CHUNK", 2)
    runs, run = [], type(engine).run

    def counted(self, ids, past, names, stop=None):
        runs.append((len(ids), next(iter(past.values())).shape[1] if past else 0))
        return run(self, ids, past, names, stop)

    monkeypatch.setattr(type(engine), "run", counted)
    trace = engine.trace(IDS)
    assert runs == [(min(2, len(IDS) - n), n) for n in range(0, len(IDS), 2)]
    assert trace.computed == len(IDS)
    for name in whole.table:
        np.testing.assert_allclose(trace[name], whole[name], rtol=1e-4, atol=1e-5, err_msg=name)
    runs.clear()
    again = engine.trace((*IDS[:-1], IDS[0]), reuse=trace)
    assert runs == [(1, len(IDS) - 1)]
    assert again.computed == 1


def test_a_long_text_is_written_block_by_block_with_the_same_bits(tmp_path, monkeypatch):
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path / "m", TINY | {"n_layer": 4})))
    names = list(engine.table)
    whole = dict(zip(names, engine.tensors(IDS, names), strict=True))
    monkeypatch.setattr("desktop_app.gpt2.engine.STREAM_LIMIT", 0)
    given, run = [], Stop.run

    def watched(self, session, wanted, feeds, **more):
        found = run(self, session, wanted, feeds, **more)
        given.append((set(wanted), sum(array.nbytes for array in found)))
        return found

    monkeypatch.setattr(Stop, "run", watched)
    found = dict(zip(names, engine.tensors(IDS, names), strict=True))
    for name in names:
        np.testing.assert_array_equal(found[name], whole[name])
    # No tensor is computed twice, and no run returns more than one block's tensors.
    blocks = [bytes_ for wanted, bytes_ in given if "logits" not in wanted]
    assert len(blocks) == 4 + 2
    assert sum(len(wanted) for wanted, _ in given) == len(names)
    assert max(blocks) == sum(whole[n].nbytes for n in names if n.startswith("blocks.1."))


def test_of_a_long_text_nothing_is_computed_beyond_what_is_asked_for(tmp_path, monkeypatch):
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path / "m", TINY | {"n_layer": 4})))
    monkeypatch.setattr("desktop_app.gpt2.engine.STREAM_LIMIT", 0)
    asked, run = [], Stop.run
    monkeypatch.setattr(
        Stop, "run", lambda self, session, wanted, *a, **k: asked.append(wanted) or run(self, session, wanted, *a, **k)
    )
    (pattern,) = engine.tensors(IDS, ["blocks.1.attn.pattern"])
    np.testing.assert_allclose(pattern, engine.trace(IDS)["blocks.1.attn.pattern"], atol=1e-6)
    assert asked[:3] == [["embed", "pos_embed"], ["blocks.0.resid_post"], ["blocks.1.attn.pattern"]]


def owner(array):
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array


def test_what_a_trace_holds_keeps_no_memory_of_a_session(tmp_path):
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path / "m")))
    engine.trace(IDS)
    engine.prepack()
    trace = engine.trace(IDS)
    again = engine.trace((*IDS, 7), reuse=trace)
    # A view of onnxruntime's arena in a trace would keep the whole arena alive: hundreds of megabytes.
    for array in [a for t in (trace, again) for name in t.captured for a in t.first_rows(name, 99)]:
        assert isinstance(owner(array), np.ndarray) and owner(array).flags.owndata


def test_the_graph_that_exposes_everything_goes_once_another_answers(tmp_path):
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path / "m")))
    engine.trace(IDS)
    full = weakref.ref(engine._full)
    engine.prepack()
    engine.trace(IDS)
    gc.collect()
    assert full() is None
    assert engine.run(IDS, None, ["blocks.0.attn.pattern"])["blocks.0.attn.pattern"].shape == (3, 5, 5)
