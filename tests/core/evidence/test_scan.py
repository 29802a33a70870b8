"""A scan says what it does, goes on where it was, loses nothing and counts nothing twice."""

import json
import shutil

import numpy as np
import pytest

from desktop_app.core.evidence import runner, windows
from desktop_app.core.evidence import scan as scans
from desktop_app.core.evidence.batch import Passes
from desktop_app.core.evidence.runner import Here
from desktop_app.core.evidence.saved import EvidenceError, read_evidence
from desktop_app.core.evidence.scan import MANIFEST, WORK, Request, count, finish, prepare
from desktop_app.gpt2.errors import LogitscopeError
from tests.core.evidence.texts_and_model import LENGTH, opened, plain_windows, scan, write_model, write_texts

pytest.importorskip("pyarrow", reason="needs the packages of ./run scan")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scan")


@pytest.fixture(scope="module")
def model(folder):
    return write_model(folder / "model")


@pytest.fixture(scope="module")
def texts(folder):
    return write_texts(folder / "texts")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Batches of 8 windows, shards of 4 batches, every one of them saved."""
    for module in (runner, scans):
        monkeypatch.setattr(module, "BATCH", 8)
        monkeypatch.setattr(module, "SHARD", 4)
    monkeypatch.setattr(scans, "_SAVE_EVERY", 0.0)


@pytest.fixture(scope="module")
def whole(folder, model, texts):
    with pytest.MonkeyPatch.context() as patch:
        for module in (runner, scans):
            patch.setattr(module, "BATCH", 8)
            patch.setattr(module, "SHARD", 4)
        scan(model, texts, folder / "whole", Here())
    return folder / "whole"


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."}


def request(texts, out, **asked):
    return Request((str(texts),), out, LENGTH, **asked)


class Ends(Here):
    """Ends in the middle, as by a kill: after so many shards."""

    def __init__(self, after):
        super().__init__()
        self._after = after

    def shards(self, job, shards):
        for n, result in enumerate(super().shards(job, shards)):
            if n == self._after:
                raise KeyboardInterrupt
            yield result


def test_a_scan_that_was_cut_short_goes_on_and_ends_with_the_same_bytes(tmp_path, model, texts, whole):
    out = tmp_path / "out"
    checkpoint, tokenizer = opened(model)
    done = []
    for after in (2, 0, 1, 99):
        made = prepare(request(texts, out), checkpoint, tokenizer)
        done.append(made.done)
        assert json.loads((out / MANIFEST).read_text())["done"] == made.done
        try:
            count(made, Ends(after))
        except KeyboardInterrupt:
            continue
        finish(made)
    assert done == [0, 2, 2, 3]
    assert bytes_of(out) == bytes_of(whole)
    assert not (out / WORK).exists()
    assert prepare(request(texts, out), checkpoint, tokenizer) is None


def test_a_kill_between_tally_and_manifest_counts_nothing_twice(tmp_path, model, texts, whole):
    out = tmp_path / "out"
    checkpoint, tokenizer = opened(model)
    made = prepare(request(texts, out), checkpoint, tokenizer)
    before = (out / MANIFEST).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        count(made, Ends(2))
    (out / MANIFEST).write_bytes(before)  # the manifest is written after the tally
    made = prepare(request(texts, out), checkpoint, tokenizer)
    assert made.done == 2
    count(made, Here())
    finish(made)
    assert bytes_of(out) == bytes_of(whole)


def test_a_tally_that_a_disk_lost_is_counted_anew(tmp_path, model, texts, whole):
    out = tmp_path / "out"
    checkpoint, tokenizer = opened(model)
    with pytest.raises(KeyboardInterrupt):
        count(prepare(request(texts, out), checkpoint, tokenizer), Ends(2))
    kept = (out / WORK / "tally.npz").read_bytes()
    (out / WORK / "tally.npz").write_bytes(kept[: len(kept) // 2])
    made = prepare(request(texts, out), checkpoint, tokenizer)
    assert made.done == 0
    count(made, Here())
    finish(made)
    assert bytes_of(out) == bytes_of(whole)


@pytest.fixture(scope="module")
def halfway(folder, model, texts):
    """A scan that ended after two of its three shards."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (runner, scans):
            patch.setattr(module, "BATCH", 8)
            patch.setattr(module, "SHARD", 4)
        patch.setattr(scans, "_SAVE_EVERY", 0.0)
        made = prepare(request(texts, folder / "halfway"), *opened(model))
        with pytest.raises(KeyboardInterrupt):
            count(made, Ends(2))
    return folder / "halfway"


def assert_begun_anew(out, model, texts):
    """With the windows as they were, and nothing counted."""
    made = prepare(request(texts, out), *opened(model))
    assert made.done == 0 and made.tally is None
    assert [made.windows[n].tolist() for n in range(len(made.windows))] == plain_windows(texts)
    assert (made.cut["left_out"], len(made.files)) == (0, len(list(texts.iterdir())))


def test_what_a_disk_kept_is_taken_up(tmp_path, model, texts, whole, halfway):
    shutil.copytree(halfway, out := tmp_path / "out")
    assert prepare(request(texts, out), *opened(model)).done == 2
    assert_the_same_in_the_end(out, model, texts, whole)


def without(name):
    def change(held):
        del held[name]

    return change


@pytest.mark.parametrize(
    "change",
    [
        *map(without, ("files", "windows", "faults", "windows_digest")),
        lambda held: held.update(windows=str(held["windows"])),
        lambda held: held.update(files=held["files"][:3]),
        lambda held: held.update(faults=[["a.txt", 0, "is broken"]]),
        lambda held: held.update(windows_digest="0" * 64),
    ],
)
def test_a_manifest_that_says_something_else_is_not_believed(tmp_path, model, texts, halfway, change):
    shutil.copytree(halfway, out := tmp_path / "out")
    held = json.loads((out / MANIFEST).read_text())
    change(held)
    (out / MANIFEST).write_text(json.dumps(held))
    assert_begun_anew(out, model, texts)


@pytest.mark.parametrize("name", ["ids.bin", "index.bin"])
@pytest.mark.parametrize("damage", [lambda data: data[:-64], lambda data: data[:100] + b"\x07" + data[101:]])
def test_windows_that_a_disk_lost_are_cut_anew(tmp_path, model, texts, halfway, name, damage):
    shutil.copytree(halfway, out := tmp_path / "out")
    path = out / WORK / name
    path.write_bytes(damage(path.read_bytes()))
    assert_begun_anew(out, model, texts)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sum.rows", lambda array: array[:0]),
        ("sum.loss", lambda array: array.astype(np.float32)),
        ("post_top.window", lambda array: array + 10**6),
        ("head_top.position", lambda array: array + 99),
        ("pairs.query_id", lambda array: array + 1),
        ("sample.pre.value", lambda array: array[:1]),
        ("done", lambda array: array + 1),
        ("done", lambda array: array - 5),
        ("processors", lambda array: array[:-1]),
    ],
)
def test_counts_that_do_not_fit_the_windows_are_counted_anew(tmp_path, model, texts, halfway, name, change):
    shutil.copytree(halfway, out := tmp_path / "out")
    path = out / WORK / "tally.npz"
    with np.load(path) as kept:
        arrays = {key: kept[key] for key in kept.files}
    np.savez(path, **arrays | {name: change(arrays[name])})
    assert_begun_anew(out, model, texts)


def assert_the_same_in_the_end(out, model, texts, whole):
    made = prepare(request(texts, out), *opened(model))
    count(made, Here())
    finish(made)
    assert bytes_of(out) == bytes_of(whole)


def test_a_complete_scan_that_lost_a_table_is_made_again(tmp_path, model, texts, whole):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "heads.parquet").unlink()
    assert_the_same_in_the_end(out, model, texts, whole)


def test_a_disk_that_is_full_while_texts_are_cut_is_said(tmp_path, model, texts, whole, monkeypatch):
    monkeypatch.setattr(windows, "IDS", "/dev/full")
    with pytest.raises(LogitscopeError, match=r"out cannot be written: .*No space left on device"):
        prepare(request(texts, tmp_path / "out"), *opened(model))
    monkeypatch.undo()
    for module in (runner, scans):
        monkeypatch.setattr(module, "BATCH", 8)
        monkeypatch.setattr(module, "SHARD", 4)
    assert_the_same_in_the_end(tmp_path / "out", model, texts, whole)


def test_a_scan_takes_no_more_disk_than_it_says(tmp_path, model, texts):
    made = prepare(request(texts, tmp_path / "out"), *opened(model))
    said = scans.needs(made, scans.measure(made)[1])
    most = []

    class Watched(Here):
        def shards(self, job, shards):
            for result in super().shards(job, shards):
                yield result
                most.append(size_of(tmp_path / "out"))

    count(made, Watched())
    finish(made)
    assert max(*most, size_of(tmp_path / "out")) <= said.disk


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_process_opens_its_model_once_and_maps_it(model, texts, tmp_path, monkeypatch):
    loaded = []
    real = runner.load_checkpoint
    monkeypatch.setattr(runner, "load_checkpoint", lambda folder: loaded.append(real(folder)) or loaded[-1])
    monkeypatch.setattr(runner, "_opened", {})
    made = prepare(request(texts, tmp_path / "out"), *opened(model))
    count(made, Here())
    (checkpoint,) = loaded
    base = checkpoint.weights["embed.W_E"]
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert not base.flags.owndata  # the pages of the file, which processes of one machine share


def test_a_full_disk_is_said_and_the_scan_goes_on_later(tmp_path, model, texts, whole, monkeypatch):
    out = tmp_path / "out"
    checkpoint, tokenizer = opened(model)
    made = prepare(request(texts, out), checkpoint, tokenizer)
    real = np.savez

    def full(file, **arrays):
        if int(arrays["done"]) == 3:
            raise OSError(28, "No space left on device")
        real(file, **arrays)

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(LogitscopeError, match="No space left on device"):
        count(made, Here())
    monkeypatch.setattr(np, "savez", real)
    made = prepare(request(texts, out), checkpoint, tokenizer)
    assert made.done == 2
    count(made, Here())
    monkeypatch.setattr(
        scans.parquet, "write_tables", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(LogitscopeError, match="No space left on device"):
        finish(made)
    assert not list(out.glob("*.parquet"))
    monkeypatch.undo()
    for module in (runner, scans):
        monkeypatch.setattr(module, "BATCH", 8)
        monkeypatch.setattr(module, "SHARD", 4)
    made = prepare(request(texts, out), checkpoint, tokenizer)
    count(made, Here())
    finish(made)
    assert bytes_of(out) == bytes_of(whole)


def test_another_scan_and_other_files_are_not_overwritten(tmp_path, model, texts, whole):
    checkpoint, tokenizer = opened(model)
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    with pytest.raises(LogitscopeError, match="contains a scan of other texts"):
        prepare(request(texts, out, seed=3), checkpoint, tokenizer)
    assert bytes_of(out) == bytes_of(whole)
    assert prepare(request(texts, out, seed=3), checkpoint, tokenizer, force=True) is not None
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(LogitscopeError, match=r"letter\.txt"):
        prepare(request(texts, tmp_path / "mine"), checkpoint, tokenizer, force=True)
    with pytest.raises(LogitscopeError, match="A window of 33 tokens"):
        prepare(Request((str(texts),), tmp_path / "new", 33), checkpoint, tokenizer)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(LogitscopeError, match="There is no text to read"):
        prepare(request(tmp_path / "empty.txt", tmp_path / "new"), checkpoint, tokenizer)


def test_what_cannot_be_read_or_spelled_is_named_and_the_rest_counts(tmp_path, model):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a good text")
    (tmp_path / "texts" / "b.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "texts" / "c.txt").write_text("another good text")
    checkpoint, tokenizer = opened(model)
    made = prepare(request(tmp_path / "texts", tmp_path / "out"), checkpoint, tokenizer)
    assert made.cut["left_out"] == 1 and made.cut["texts"] == 2
    ((file, record, words, whole),) = made.cut["faults"]
    assert file.endswith("b.txt") and record == 0 and "UTF-8" in words and whole


def test_a_model_that_was_exchanged_is_refused(tmp_path, model, texts):
    checkpoint, tokenizer = opened(model)
    made = prepare(request(texts, tmp_path / "out"), checkpoint, tokenizer)
    job = made.job.__class__(str(write_model(tmp_path / "other", seed=1)), made.job.digest, made.job.plan)
    with pytest.raises(LogitscopeError, match="other weights"):
        list(Here().shards(job, [runner.batches(made.windows, 0)]))


def test_numbers_that_are_not_finite_count_for_nothing(tmp_path, model, monkeypatch):
    real = Passes.run

    def broken(self, ids):
        found, logits = real(self, ids)
        if ord("z") - 33 + 1 in ids:
            logits = logits.copy()
            logits[2, 7] = np.nan
        return found, logits

    monkeypatch.setattr(Passes, "run", broken)
    texts = {"without": "fifteen letters" * 5, "with": "fifteen letters" * 5 + "zzz"}  # a window each, and one of z
    found = {}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(text)
        found[name] = scan(model, tmp_path / name, tmp_path / f"{name}-out", Here())
    assert (found["with"].not_finite, found["without"].not_finite) == (1, 0)
    assert found["with"].windows == found["without"].windows == 5
    for side in ("pre", "post"):
        np.testing.assert_array_equal(found["with"].neurons[side].mean, found["without"].neurons[side].mean)
        np.testing.assert_array_equal(found["with"].top[side].value, found["without"].top[side].value)


def test_pandas_and_duckdb_read_the_tables(whole, texts):
    pandas, duckdb = pytest.importorskip("pandas"), pytest.importorskip("duckdb")
    windows = pandas.read_parquet(whole / "windows.parquet")
    assert [list(ids) for ids in windows["ids"]] == plain_windows(texts)
    evidence = read_evidence(whole)
    neurons = pandas.read_parquet(whole / "neurons.parquet")
    assert list(neurons.columns) == [
        *("layer", "neuron", "side", "mean", "variance", "positive", "first_mean", "first_variance", "histogram")
    ]
    one = neurons[(neurons.layer == 1) & (neurons.neuron == 7) & (neurons.side == "post")].iloc[0]
    assert one["mean"] == pytest.approx(evidence.arrays["post.mean"][1, 7])
    assert list(one["histogram"]) == evidence.arrays["post.histogram"][1, 7].tolist()
    db = duckdb.connect()
    rows = db.execute(
        f"select value, \"window\", position, start, ids from '{whole}/passages.parquet' "
        "where layer = 1 and neuron = 7 and kind = 'post.top' order by rank"
    ).fetchall()
    top = evidence.passages("top")
    assert [row[0] for row in rows] == top.value[1, :, 7].tolist()
    for rank, (_, window, position, start, ids) in enumerate(rows):
        row = int(top.window[1, rank, 7])
        assert evidence.arrays["window_number"][row] == window
        assert list(evidence.ids(row))[start : start + len(ids)] == ids
        assert start <= position < start + len(ids)
    kinds = dict(db.execute(f"select kind, count(*) from '{whole}/passages.parquet' group by kind").fetchall())
    neurons = 2 * 48
    assert kinds == {
        **{f"{side}.top": 20 * neurons for side in ("pre", "post")},
        **{f"{side}.decile": 50 * neurons for side in ("pre", "post")},
        "result.top": 20 * 6,
        "pair.top": 20 * 6,
    }
    heads = db.execute(f"select count(*), count(previous), min(first_norm) from '{whole}/heads.parquet'").fetchone()
    assert heads[0] == heads[1] == 6 and heads[2] > 0
    counted = db.execute(f"select sum(count) from '{whole}/tokens.parquet'").fetchone()[0]
    assert counted == sum(map(len, plain_windows(texts)))
    assert db.execute(f"select max(position) from '{whole}/positions.parquet'").fetchone()[0] == LENGTH - 2


def test_evidence_is_looked_at_before_it_is_used(whole, tmp_path):
    data = (whole / "evidence.npz").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "evidence.npz"
    for n in range(60):
        changed = bytearray(data)
        if n % 2:
            changed = changed[: rng.integers(len(data))]
        else:
            changed[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(changed))
        try:
            read_evidence(path)  # a changed name of a member may do no harm
        except EvidenceError as reason:
            assert str(path) in str(reason)
    for name, value in (("top.window", 10**6), ("top.position", 99), ("window_file", 50), ("pairs.key", -3)):
        with np.load(whole / "evidence.npz") as kept:
            arrays = {key: kept[key].copy() for key in kept.files}
        arrays[name][...] = value
        np.savez(path, **arrays)
        with pytest.raises(EvidenceError, match="not a readable evidence file"):
            read_evidence(path)
    np.savez(path, about=np.array([{"a": 1}], object))
    with pytest.raises(EvidenceError):
        read_evidence(path)
    with pytest.raises(EvidenceError, match="cannot be read"):
        read_evidence(tmp_path / "none.npz")
