"""Training snapshots as one model: where they are found, their order and names, and what was measured."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from desktop_app import cli
from desktop_app.core import library
from desktop_app.core.library.curve_columns import parts_of, read_column
from desktop_app.core.library.find import find_model, last_of
from desktop_app.core.library.folders import remember_folder
from desktop_app.core.library.listing import list_models
from desktop_app.core.library.shelf import Shelf
from desktop_app.core.library.training import Training, curves_of, read_curves, step_in, training_of
from desktop_app.core.model import open_model
from desktop_app.core.program.bundle import bundled_models
from desktop_app.gpt2.errors import ModelError
from tests.checkpoints import TINY, write_checkpoint

CONFIG = {**TINY, "vocab_size": 257, "n_positions": 48}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


def run_of(folder: Path, tiny: Path, names) -> Path:
    for name in names:
        shutil.copytree(tiny, folder / name)
    return folder


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("00050", 50), ("checkpoint-400", 400), ("step_000100", 100), ("step100", 100), ("global_step1000", 1000),
        ("iter-7", 7), ("ckpt_12", 12), ("Checkpoint-3", 3), ("main", None), ("v2", None), ("checkpoint-", None),
        ("model-7b", None), ("1234567890", None), ("", None), ("a" * 40 + "1", None), ("-5", None),
    ],
)  # fmt: skip
def test_a_step_is_read_from_a_name_that_says_one(name, step):
    assert step_in(name) == step


def test_the_sorter_and_each_of_its_snapshots_are_of_one_training():
    sorter = bundled_models()["sorter"]
    training = training_of(sorter)
    assert training is not None and training.steps == (0, 10, 15, 20, 25, 30, 40, 50, 75, 150, 400, 1000)
    assert training.range == "12 snapshots, steps 0 to 1,000"
    for n, snapshot in enumerate(training.snapshots):
        assert training_of(snapshot.folder) == training and training.at(snapshot.folder) == n
    assert training.at(sorter) == 11
    assert training.nearest(33) == 5 and training.nearest(1e9) == 11 and training.nearest(-4) == 0
    assert training_of(bundled_models()["bundled"]) is None


def test_checkpoints_side_by_side_are_a_training_by_number_and_not_by_spelling(tmp_path, tiny):
    run = run_of(tmp_path / "run", tiny, ["checkpoint-1000", "checkpoint-200", "checkpoint-30"])
    (run / "checkpoint-77").mkdir()  # without a model
    (run / "logs").mkdir()
    training = training_of(run / "checkpoint-200")
    assert training == Training(run, training.snapshots) and training.steps == (30, 200, 1000)
    assert training_of(run) == training and last_of(run) == run / "checkpoint-1000"
    assert find_model(str(run)) == run / "checkpoint-1000"
    assert find_model(f"{run}@30") == run / "checkpoint-30"
    with pytest.raises(ModelError, match=r"no snapshot after 31 steps in .*; there are 30, 200, 1000"):
        find_model(f"{run}@31")


def test_a_finished_model_is_the_last_snapshot_only_if_its_weights_say_so(tmp_path, tiny):
    other = write_checkpoint(tmp_path / "other", CONFIG, seed=1)
    home = tmp_path / "grown"
    shutil.copytree(tiny, home)
    run_of(home / "snapshots", tiny, ["10", "20"])
    training = training_of(home)
    assert training.at(home) == 1 and training.name == "grown"
    shutil.copyfile(other / "model.safetensors", home / "model.safetensors")
    assert training.at(home) is None and training.at(home / "snapshots" / "10") == 0
    (home / "model.safetensors").unlink()
    assert training.at(home) is None


def test_a_snapshot_is_called_by_its_model_and_its_step(tmp_path, tiny):
    home = tmp_path / "grown"
    shutil.copytree(tiny, home)
    run_of(home / "snapshots", tiny, ["0", "1500"])
    assert open_model(home).name == "grown"
    assert open_model(home / "snapshots" / "0").name == "grown before its training"
    assert open_model(home / "snapshots" / "1500").name == "grown after 1,500 steps"
    run = run_of(tmp_path / "run", tiny, ["checkpoint-5"])
    assert open_model(run / "checkpoint-5").name == "checkpoint-5"


def test_one_alone_and_two_of_one_step_are_no_training(tmp_path, tiny):
    assert training_of(run_of(tmp_path / "one", tiny, ["checkpoint-5"]) / "checkpoint-5") is None
    assert training_of(run_of(tmp_path / "two", tiny, ["step_5", "step_05"]) / "step_5") is None
    assert training_of(tmp_path / "nowhere" / "checkpoint-5") is None


def test_no_link_leads_out_of_the_folder(tmp_path, tiny):
    run = run_of(tmp_path / "run", tiny, ["step-1", "step-2"])
    (run / "step-3").symlink_to(tiny)
    assert training_of(run).steps == (1, 2)


def test_branches_named_by_their_step_are_one_training_in_the_cache(tmp_path, monkeypatch, tiny):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    storage = tmp_path / "models--owner--grown"
    for n, branch in enumerate(["checkpoint-400", "checkpoint-50", "checkpoint-900"]):
        commit = f"{n + 1:040x}"
        shutil.copytree(tiny, storage / "snapshots" / commit)
        (storage / "refs").mkdir(exist_ok=True)
        (storage / "refs" / branch).write_text(commit)
    (storage / "snapshots" / f"{3:040x}" / "vocab.json").unlink()  # this snapshot is incomplete
    (storage / "snapshots" / f"{3:040x}" / "tokenizer.json").unlink(missing_ok=True)
    folder = find_model("owner/grown@checkpoint-50")
    training = training_of(folder)
    assert training.steps == (50, 400) and training.at(folder) == 0
    rows = [row for row in list_models() if row.reference.startswith("owner/grown")]
    assert [row.reference for row in rows if row.ready] == ["owner/grown@checkpoint-400"]
    (row,) = [row for row in rows if row.ready]
    assert row.training == training and row.state == "on this machine; 2 snapshots, steps 50 to 400"


def branches_of(cache, tiny, names):
    """A repository in the cache with these branches, each of its own commit."""
    storage = cache / "models--owner--grown"
    (storage / "refs").mkdir(parents=True)
    for n, branch in enumerate(names):
        commit = f"{n + 1:040x}"
        shutil.copytree(tiny, storage / "snapshots" / commit)
        (storage / "refs" / branch).write_text(commit)
    return storage


def test_main_stands_for_its_branches_and_another_branch_for_itself(tmp_path, monkeypatch, tiny):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    storage = branches_of(tmp_path, tiny, ["step-1", "main", "step-2", "draft"])
    rows = {row.reference: row for row in list_models() if row.reference.startswith("owner/grown")}
    assert set(rows) == {"owner/grown", "owner/grown@draft"}
    row, size = rows["owner/grown"], sum(path.stat().st_size for path in tiny.iterdir())
    assert row.training.steps == (1, 2) and row.training.name == "owner/grown"
    assert row.disk == 3 * size and rows["owner/grown@draft"].disk == size, "a row counts what it stands for"
    places = {branch: storage / "snapshots" / f"{n:040x}" for n, branch in enumerate(["step-1", "main", "step-2"], 1)}
    said = "2 snapshots, steps 1 to 2"
    assert row.state_with(places["main"]) == f"open; {said}"
    assert row.state_with(places["step-1"]) == f"open after 1 step; {said}"
    assert row.state_with(None) == row.state_with(tiny) == row.state == f"on this machine; {said}"
    assert open_model(places["step-2"]).name == "owner/grown after 2 steps"
    assert open_model(places["main"]).name == "owner/grown"


def test_a_repository_of_many_branches_is_looked_through_once(tmp_path, monkeypatch, tiny):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    branches_of(tmp_path, tiny, [f"checkpoint-{n}" for n in range(30)])
    looked, own = [], library.listing.training_of
    monkeypatch.setattr(library.listing, "training_of", lambda folder: looked.append(folder) or own(folder))
    rows = [row for row in list_models() if row.reference.startswith("owner/grown")]
    assert [row.reference for row in rows] == ["owner/grown@checkpoint-29"] and len(rows[0].training.steps) == 30
    assert sum(tmp_path in folder.parents for folder in looked) == 1


def test_a_folder_of_checkpoints_is_one_row_with_its_range(tmp_path, tiny, capsys):
    run = run_of(tmp_path / "run", tiny, [f"checkpoint-{n}" for n in (1, 2, 4, 8)])
    remember_folder(run)
    (row,) = [row for row in list_models() if row.reference == str(run)]
    assert row.ready and row.folder == run / "checkpoint-8" and row.parameters
    assert row.state == "on this machine; 4 snapshots, steps 1 to 8"
    assert cli.main(["models", "list"]) == 0
    assert "4 snapshots, steps 1 to 8" in capsys.readouterr().out


CSV = b"step,loss,score\n0,6.25,nan\n10,5.5,-0.25\n"


def test_names_of_curves_say_what_was_measured_and_where():
    names = "loss|in-context score|best induction|loss of token 8|loss of tokens 8 to 15|loss of tokens 112 to 127|"
    names = (names + "induction L0H1|induction L10H0|duplicate L0H1|val_loss").split("|")
    columns = tuple(map(read_column, names))
    loss, change, best, token, early, late, first, second, other, own = columns
    assert [column.name for column in columns] == names
    assert (loss.quantity, loss.token, loss.span, loss.head, loss.best) == ("loss", None, None, "", False)
    assert (token.quantity, token.token) == ("loss", 8) and (late.quantity, late.span) == ("loss", (112, 127))
    assert (second.quantity, second.head) == (best.quantity, "L10H0") == ("induction", "L10H0") and best.best
    assert [column.name for column in columns if column.is_loss] == [names[n] for n in (0, 3, 4, 5, 9)]
    assert parts_of(best, columns) == (first, second) and parts_of(change, columns) == (late, early)
    assert not any(parts_of(column, columns) for column in (loss, token, early, first, other, own))
    assert parts_of(change, columns[:5]) == ()  # only one of the two spans


def test_curves_are_read_from_a_table(tmp_path, tiny):
    run = run_of(tmp_path / "run", tiny, ["step-0", "step-10"])
    assert curves_of(training_of(run)).values == {}
    (run / "curves.csv").write_bytes(CSV)
    curves = curves_of(training_of(run))
    assert curves.steps.tolist() == [0, 10] and curves.values["loss"].tolist() == [6.25, 5.5]
    assert np.isnan(curves.values["score"][0]) and curves.values["score"][1] == -0.25
    (run / "curves.csv").write_bytes(b"step,loss\nx,1\n")
    assert curves_of(training_of(run)).values == {}  # and the log says why


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "begin with a line of names"), (b"\xff\xfe", "UTF-8"),
        (b"loss,step\n1,2\n", "begin with a line of names"),
        (b"step\n1\n", "begin with a line of names"), (b"step,a,a\n1,2,3\n", "two columns of the same name"),
        (b"step,a\n1,2\n1,3\n", "Line 3"), (b"step,a\n1\n", "Line 2"), (b"step,a\n-1,2\n", "Line 2"),
        (b"step,a\n1,two\n", "Line 2"), (b"step,a\n1.5,2\n", "Line 2"), (b"step,a\n" + b"1" * 30 + b",2\n", "Line 2"),
        ("step,a\u202eb\n".encode(), "Column 2 .* invisible ones"), (b'step,a,"b\nc"\n', "Column 3 .* invisible ones"),
        (b"step," + b"a" * 81 + b"\n", "Column 2 .* 81 characters"),
        (b"step,a\n" + b"x" * (5 << 20), "larger than"), (b'step,a\n"1,2\n' * 3, "Line|table"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_refused_with_its_line(data, words):
    with pytest.raises(ModelError, match=words):
        read_curves(data, Path("curves.csv"))


def test_numbers_that_no_measurement_has_count_as_not_measured():
    curves = read_curves(b"step,a\n0,1e308\n1,-inf\n2,2e30\n3,-4\n", Path("curves.csv"))
    assert np.isnan(curves.values["a"][:3]).all() and curves.values["a"][3] == -4


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny):
    run = run_of(tmp_path_factory.mktemp("run"), tiny, [f"step-{n}" for n in range(4)])
    return [open_model(run / f"step-{n}") for n in range(4)]


class TestShelf:
    def test_it_gives_back_the_very_model(self, models):
        shelf = Shelf(limit=1 << 30)
        shelf.put(models[0])
        assert shelf.find(models[0].folder, int8=False) is models[0]
        assert shelf.find(models[0].folder, int8=True) is None and shelf.find(models[1].folder, int8=False) is None

    def test_the_one_asked_for_longest_ago_goes_first(self, models):
        shelf = Shelf(most=2, limit=1 << 30)
        shelf.put(models[0])
        shelf.put(models[1])
        shelf.find(models[0].folder, int8=False)
        shelf.put(models[2])
        assert shelf.folders == (models[0].folder, models[2].folder)

    def test_together_they_take_no_more_than_their_bound(self, models):
        from desktop_app.core.library.memory import needed

        each = needed(models[0].config, 1).weights
        shelf = Shelf(limit=int(2.5 * each))
        for model in models:
            shelf.put(model)
        assert len(shelf.folders) == 2 and shelf.has_room(models[0])
        small = Shelf(limit=each - 1)
        small.put(models[0])
        assert small.folders == () and not small.has_room(models[0])

    def test_files_that_were_written_anew_are_opened_anew(self, tmp_path, tiny):
        folder = tmp_path / "m"
        shutil.copytree(tiny, folder)
        shelf, model = Shelf(limit=1 << 30), open_model(folder)
        shelf.put(model)
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors").write_bytes(data)
        assert shelf.find(folder, int8=False) is None and shelf.folders == ()
