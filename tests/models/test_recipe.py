"""The parts of the training recipe do what training relies on; tests that need PyTorch are skipped without it."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import bigram
import card
import forward
import measure
import numpy as np
import pytest
import tokenizer as bpe
from safetensors import safe_open

RECIPE = Path(bpe.__file__).parent


def test_bigram_bits_by_hand():
    # Training: 0 1 0 1 0. After 0 only 1 was seen (twice): (2 - 0.75) / 2, and 0.75 * 1 / 2 backs off to the unigram
    # probability of 1, (2 + 1) / (5 + 3) with vocabulary 3.
    training = np.array([0, 1, 0, 1, 0])
    expected = -np.log2(1.25 / 2 + 0.375 * 3 / 8)
    assert bigram.bits(training, np.array([0, 1]), 3) == pytest.approx(expected)


def test_bigram_probabilities_sum_to_one_after_every_token():
    training = np.random.default_rng(0).integers(0, 6, 200)
    for before in range(7):  # 6 was never seen
        total = sum(2 ** -bigram.bits(training, np.array([before, token]), 7) for token in range(7))
        assert total == pytest.approx(1)


def test_a_model_without_weights_needs_the_logarithm_of_its_vocabulary(bundled):
    flat = forward.Model(
        {name: np.zeros_like(tensor) for name, tensor in bundled.weights.items()},
        bundled.heads, bundled.blocks, bundled.context, bundled.end_of_text,
    )  # fmt: skip
    ids = list(range(3 * bundled.context))  # several windows: every id must count exactly once
    vocabulary = len(bundled.weights["wte.weight"])
    assert measure.book_bits_per_byte(flat, ids, bytes_in=len(ids)) == pytest.approx(np.log2(vocabulary))


def test_a_nearly_cold_draw_takes_the_likeliest_token(bundled, bundled_folder):
    prompt = bpe.load(bundled_folder).encode("The capital of").ids
    drawn = forward.sample(bundled, prompt, 1, temperature=1e-4, top_p=0.9, seed=3)
    assert drawn == [int(bundled.last_logits(np.array([prompt]))[0].argmax())]


def test_a_card_without_a_place_for_figures_is_refused(tmp_path: Path):
    path = tmp_path / "README.md"
    path.write_text("No marks here.")
    with pytest.raises(SystemExit, match="no place for the figures"):
        card.write(path, "figures")
    assert path.read_text() == "No marks here."


def test_figures_replace_the_old_ones_and_nothing_else(tmp_path: Path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{card.MARKS[0]}\nold\n{card.MARKS[1]}\nafter\n")
    card.write(path, r"new \1")
    assert path.read_text() == f"before\n{card.MARKS[0]}\nnew \\1\n{card.MARKS[1]}\nafter\n"


@pytest.mark.usefixtures("torch")
class TestTraining:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch", reason="training needs PyTorch, which users never install")

    @pytest.fixture
    def model(self, torch):
        from model import GPT2, Shape

        torch.manual_seed(0)
        return GPT2(Shape(vocab=50, context=16, width=32, blocks=2, heads=4))

    def test_an_exported_model_gives_the_same_logits_in_numpy(self, torch, model, tmp_path: Path):
        from export import export

        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(parameter + 0.05 * torch.randn_like(parameter)).copy_(parameter.half().float())
            source = tmp_path / "tokenizer"
            bpe.save(source, {"a": 0}, [])
            export(model, source, tmp_path / "out")
            ids = torch.randint(50, (3, 16))
            expected = model(ids).numpy()
        np.testing.assert_allclose(forward.load(tmp_path / "out").logits(ids.numpy()), expected, atol=1e-4)

    def test_shared_out_rows_give_the_gradient_of_the_whole_batch(self, torch, model):
        from workers import Workers

        ids = torch.randint(50, (8, 17))
        with torch.autocast("cpu", torch.bfloat16):
            model.loss(ids[:, :-1], ids[:, 1:]).backward()
        expected = {name: p.grad.clone() for name, p in model.named_parameters()}
        model.zero_grad()
        Workers(model, count=2, rows=2, device="cpu", compiled=False).gradient(ids[:, :-1], ids[:, 1:])
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[name], atol=2e-3, rtol=0.05)

    def test_orthogonalizing_brings_all_singular_values_near_one(self, torch):
        from optimizer import orthogonalize

        for shape in ((32, 128), (128, 32)):
            values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)))
            assert float(values.min()) > 0.3
            assert float(values.max()) < 1.5

    def test_a_checkpoint_gives_back_weights_momenta_and_counters(self, torch, model, tmp_path: Path):
        import copy
        from concurrent.futures import ThreadPoolExecutor

        from checkpoint import restore, save
        from model import GPT2
        from optimizer import Optimizer
        from rows import Progress

        optimizer = Optimizer(dict(model.named_parameters()), 0.01, 0.01, 0.1)
        ids = torch.randint(50, (2, 17))
        model.loss(ids[:, :-1], ids[:, 1:]).backward()
        optimizer.step(1.0, ThreadPoolExecutor(1))
        progress = Progress(step=1, tokens=32, seconds=1.5, book_rows=2, snapshots=[0])
        save(tmp_path / "c.safetensors", model, copy.deepcopy(model), optimizer, progress)
        other = GPT2(model.shape)
        mean = copy.deepcopy(other)
        again = Optimizer(dict(other.named_parameters()), 0.01, 0.01, 0.1)
        assert restore(tmp_path / "c.safetensors", other, mean, again) == progress
        for mine, restored in ((model.state_dict(), other.state_dict()), (optimizer.state(), again.state())):
            assert all(torch.equal(tensor, restored[name]) for name, tensor in mine.items())

    def test_a_checkpoint_of_another_shape_is_refused(self, model, tmp_path: Path):
        from dataclasses import replace

        from checkpoint import restore, save
        from model import GPT2
        from optimizer import Optimizer
        from rows import Progress

        other = GPT2(replace(model.shape, blocks=1))
        save(tmp_path / "c.safetensors", other, GPT2(other.shape), Optimizer({}, 0, 0, 0), Progress())
        with pytest.raises(SystemExit, match="another shape"):
            restore(tmp_path / "c.safetensors", model, model, Optimizer({}, 0, 0, 0))

    def test_an_epoch_serves_every_row_of_the_books_once(self):
        from rows import Progress, Rows

        passages = np.full((5, 9), 7_000, np.uint16)
        rows = Rows(
            np.arange(1_000, dtype=np.uint16),
            passages,
            share=0.25,
            drills=0,
            context=8,
            vocab=9_000,
            new_line=9_999,
            seed=1,
        )
        progress, seen = Progress(), []
        while progress.book_rows < rows.book_rows:
            batch, _ = rows.batch(progress, 4)
            assert (batch[3] == 7_000).all()
            seen += batch[:3, 0].tolist()
        starts = seen[: rows.book_rows]
        assert len(set(starts)) == rows.book_rows
        assert {start % 8 for start in starts} == {starts[0] % 8}

    def test_every_other_book_row_begins_with_a_paragraph(self):
        from rows import Progress, Rows

        books = np.arange(1_000, dtype=np.uint16)
        books[::7] = 0  # a newline token before every six numbers
        rows = Rows(books, np.zeros((5, 33), np.uint16), share=0, drills=0, context=32, vocab=9_000, new_line=0, seed=1)
        ids, targets = rows.batch(Progress(), 20)
        assert all(int(first) % 7 == 1 for first in ids[1::2, 0])
        assert not all(int(first) % 7 == 1 for first in ids[::2, 0])
        assert (ids[:, 1:] == targets[:, :-1]).all()

    def test_a_drill_repeats_itself_and_counts_only_what_can_be_known(self):
        from rows import Progress, Rows

        books, passages = np.arange(1_000, dtype=np.uint16), np.zeros((5, 65), np.uint16)
        rows = Rows(books, passages, share=0.25, drills=2, context=64, vocab=900, new_line=9_999, seed=1)
        ids, targets = rows.batch(Progress(step=3), 4)
        assert ids.shape == targets.shape == (4, 64)
        assert (targets[:2] != -100).all()
        for row, wanted in zip(ids[2:].tolist(), targets[2:].tolist(), strict=True):
            length = row.index(row[0], 1)
            assert wanted[: length - 1] == [-100] * (length - 1)
            assert row[length:] == row[: 64 - length]
            assert wanted[length:] == [*row[length + 1 :], row[64 % length]]
            assert max(row) < 899

    def test_noise_changes_what_is_read_in_passages_and_nothing_of_what_is_to_be_predicted(self):
        from rows import Progress, Rows

        books, passages = np.arange(1_000, dtype=np.uint16), np.full((5, 65), 7, np.uint16)

        def batch(noise: float) -> tuple[np.ndarray, np.ndarray]:
            rows = Rows(
                books,
                passages,
                share=0.5,
                drills=2,
                context=64,
                vocab=900,
                new_line=9_999,
                seed=1,
                noise=noise,
            )
            ids, targets = rows.batch(Progress(), 20)
            return ids.numpy(), targets.numpy()

        (plain, wanted), (read, asked) = batch(0), batch(0.1)
        assert (asked == wanted).all()
        changed = plain != read
        assert not changed[:8].any() and not changed[18:].any()
        assert 0.05 < changed[8:18].mean() < 0.15
        assert read.max() < 1_000 and read[8:18].max() < 899

    def test_every_third_drill_goes_back_after_it_went_forth(self):
        from rows import Progress, Rows

        books = np.arange(1_000, dtype=np.uint16)
        rows = Rows(
            books, np.zeros((5, 65), np.uint16), share=0, drills=3, context=64, vocab=900, new_line=9_999, seed=1
        )
        ids, targets = rows.batch(Progress(), 3)
        row, wanted = ids[2].tolist(), targets[2].tolist()
        length = next(at for at in range(1, 64) if row[at] == row[at - 1])
        assert row[length : 2 * length] == row[:length][::-1]
        assert wanted[:length] == [-100] * length
        assert wanted[length:-1] == row[length + 1 :]
        assert len(set(row[:length])) == length >= 8

    def test_batches_come_with_the_counters_after_them_and_leave_those_of_the_training_alone(self):
        from rows import Progress, Rows, batches

        books, passages = np.arange(1_000, dtype=np.uint16), np.arange(650, dtype=np.uint16).reshape(10, 65)
        rows = Rows(books, passages, share=0.5, drills=1, context=64, vocab=900, new_line=9_999, seed=1)
        progress, alone = Progress(step=3, book_rows=2), Progress(step=3, book_rows=2)
        served = batches(rows, progress, 4)
        for number in (1, 2):
            ids, targets, after = next(served)
            expected_ids, expected_targets = rows.batch(alone, 4)
            alone.step += 1
            assert (ids == expected_ids).all()
            assert (targets == expected_targets).all()
            assert (after.book_rows, after.passage_rows) == (2 + number, 2 * number)
        assert progress == Progress(step=3, book_rows=2)
        progress.served(after)
        assert progress == Progress(step=3, book_rows=4, passage_rows=4)

    def test_fresh_passages_come_in_order_from_several_processes_and_go_on_where_an_earlier_run_ended(
        self, bundled_folder
    ):
        import stream

        expected = [stream.chunk(bundled_folder, 5, number, 129, 300) for number in range(3)]
        assert not any(len(a) == len(b) and (a == b).all() for a, b in itertools.pairwise(expected))
        for first in (0, 2):
            made = stream.PassageStream(bundled_folder, 5, 129, processes=2, first=first, passages=300)
            for number in range(first, 3):
                for row in expected[number]:
                    assert (next(made) == row).all()
                assert made.chunks == number + 1
            made.close()

    def test_the_rate_of_a_stretch_rises_stays_and_falls(self):
        from rows import Progress
        from train import WARM_UP_STEPS, rate

        assert rate(Progress(step=5_000, stretch_step=0), 0.0, 0.4) == pytest.approx(1 / WARM_UP_STEPS)
        assert rate(Progress(stretch_step=999), 0.5, 0.4) == 1
        assert rate(Progress(stretch_step=999), 0.8, 0.4) == pytest.approx(0.5)
        assert rate(Progress(stretch_step=999), 1.0, 0.4) == pytest.approx(0.02)

    def test_a_stretch_ends_by_tokens_or_by_the_clock_whichever_comes_first(self):
        from argparse import Namespace

        from rows import Progress
        from train import done

        at = Progress(stretch_step=100, stretch_seconds=90.0)
        sizes = {"rows": 10, "context": 500, "length": None}
        assert done(Namespace(minutes=3, million=None, **sizes), at) == pytest.approx(0.5)
        assert done(Namespace(minutes=None, million=2, **sizes), at) == pytest.approx(0.25)
        assert done(Namespace(minutes=None, million=2, **{**sizes, "length": 100}), at) == pytest.approx(0.05)
        assert done(Namespace(minutes=3, million=2, **sizes), at) == pytest.approx(0.5)
        assert done(Namespace(minutes=3, million=0.5, **sizes), at) == pytest.approx(1)
        assert done(Namespace(minutes=None, million=None, **sizes), at) == pytest.approx(90 / 3600)

    def test_a_stretch_that_has_ended_is_followed_by_another_and_nothing_else_is_forgotten(self):
        from rows import Progress

        progress = Progress(step=70, tokens=900, seconds=8.0, stretch_step=30, stretch_seconds=4.0, ended=True)
        progress.begin_stretch()
        assert progress == Progress(step=70, tokens=900, seconds=8.0, stretch=2)

    def test_matrices_are_updated_alike_in_one_part_and_in_several(self, torch, model):
        import copy
        from concurrent.futures import ThreadPoolExecutor

        from optimizer import Optimizer

        ids = torch.randint(50, (2, 17))
        model.loss(ids[:, :-1], ids[:, 1:]).backward()
        results = []
        for parts in (1, 3):
            one = copy.deepcopy(model)
            for mine, source in zip(one.parameters(), model.parameters(), strict=True):
                mine.grad = source.grad.clone()
            Optimizer(dict(one.named_parameters()), 0.01, 0.003, 0.1).step(1.0, ThreadPoolExecutor(2), parts)
            results.append(one.state_dict())
        for name, tensor in results[0].items():
            torch.testing.assert_close(tensor, results[1][name], atol=2e-4, rtol=0.01)

    def test_adam_is_adam(self, torch):
        from concurrent.futures import ThreadPoolExecutor

        from optimizer import Optimizer

        mine = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        theirs = torch.nn.Parameter(mine.detach().clone())
        optimizer = Optimizer({"bias": mine}, 0.0, 0.01, 0.0)
        adam = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.95), eps=1e-10)
        for gradient in ([0.3, -0.1], [0.2, 0.4], [-0.5, 0.1]):
            mine.grad, theirs.grad = torch.tensor(gradient), torch.tensor(gradient)
            optimizer.step(1.0, ThreadPoolExecutor(1))
            adam.step()
        torch.testing.assert_close(mine, theirs)

    def test_training_goes_in_stretches_and_needs_the_books_only_to_prepare(self, bundled_folder, tmp_path: Path):
        books, work = tmp_path / "books", tmp_path / "work"
        books.mkdir()
        text = measure.DATA.joinpath("pg501.txt").read_text(encoding="utf-8")
        (books / "pg501.txt").write_text(text[:20_000])
        (books / "pg1.txt").write_text(text[20_000:60_000])  # any text serves as a book here
        (work / "tokenizer").mkdir(parents=True)
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(bundled_folder / name, work / "tokenizer")
        sizes = ["--width", "32", "--heads", "4", "--blocks", "1", "--context", "256", "--rows", "4", "--no-compile"]
        options = [*sizes, "--million", "0.004", "--passages", "300", "--device", "cpu", "--workers", "2"]

        def train(corpus, *more):
            command = [sys.executable, RECIPE / "train.py", corpus, work, *options, *more]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        assert train(books, "--prepare") == ""
        assert not (work / "checkpoint.safetensors").exists()
        first, second = train(tmp_path / "nowhere"), train(tmp_path / "nowhere")
        assert "stretch 1, step 0" in first
        assert "stretch 2, step 4" in second
        assert first.endswith("the stretch has ended\n") and second.endswith("the stretch has ended\n")
        lines = [json.loads(line) for line in (work / "loss.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if "loss" in line] == list(range(1, 9))

    def test_the_learner_is_trained_in_pieces_as_in_one_go(self, torch, monkeypatch, tmp_path: Path):
        import learned
        import train_learner
        from model import Shape
        from safetensors.numpy import load_file

        books, text = tmp_path / "books", measure.DATA.joinpath("pg501.txt").read_text(encoding="utf-8")
        books.mkdir()
        (books / "pg501.txt").write_text(text[:20_000])
        (books / "pg1.txt").write_text(text[20_000:60_000])
        shape = Shape(vocab=320, context=128, width=16, blocks=1, heads=2)
        for name, value in {"SHAPE": shape, "SNAPSHOTS": (0, 1, 3, 4), "BETWEEN": (2,), "ROWS": 10}.items():
            monkeypatch.setattr(train_learner, name, value)
        monkeypatch.setattr(learned, "ROWS", 4)

        def train(output, *more):
            monkeypatch.setattr(sys, "argv", ["train_learner.py", str(books), str(output), *map(str, more)])
            threads = torch.get_num_threads()
            train_learner.main()
            torch.set_num_threads(threads)
            return {path.relative_to(output): content(path) for path in output.rglob("*") if path.is_file()}

        def content(path):
            if path.suffix != ".safetensors":
                return path.read_bytes()
            return {name: tensor.tobytes() for name, tensor in load_file(path).items()}  # notes come in any order

        whole = train(tmp_path / "whole")
        work = "--work", tmp_path / "work"
        train(tmp_path / "pieces", *work, "--steps", 2)
        assert not (tmp_path / "pieces" / "snapshots" / "00003").exists()
        with (tmp_path / "pieces" / "snapshots" / learned.FILE).open("a") as file:
            file.write("3,9.9\n")  # measured before the run was ended, and after its state was kept
        assert train(tmp_path / "pieces", *work) == whole
        assert sorted(path.name for path in (tmp_path / "whole" / "snapshots").iterdir() if path.is_dir()) == [
            "00000", "00001", "00003", "00004"
        ]  # fmt: skip

    def test_a_deeper_model_begins_by_computing_what_the_small_one_does(self, torch, model, tmp_path: Path):
        from export import export
        from grow import grown
        from model import Shape

        old, new = tmp_path / "old", tmp_path / "new"
        letters = [chr(97 + at) for at in range(26)] + [chr(65 + at) for at in range(24)]
        bpe.save(old, {letter: at for at, letter in enumerate(letters)}, [])
        bpe.save(new, {letter: at for at, letter in enumerate([*reversed(letters), "ab"])}, [("a", "b")])
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_((parameter + 0.05 * torch.randn_like(parameter)).half().float())
            export(model, old, tmp_path / "model")
            bigger = grown(tmp_path / "model", new, Shape(vocab=51, context=32, width=32, blocks=5, heads=4))
            ids = torch.randint(50, (3, 16))
            torch.testing.assert_close(bigger(49 - ids)[..., :50], model(ids).flip(-1), atol=1e-4, rtol=1e-4)
            made = bigger.wte.weight[50]
            torch.testing.assert_close(made, model.wte.weight[:2].mean(0))
            assert float(bigger.wpe.weight.abs().max()) < 3 * float(model.wpe.weight.abs().max())

    def test_a_model_grows_in_blocks_and_positions_alone(self, model, tmp_path: Path):
        from dataclasses import replace

        from export import export
        from grow import grown

        bpe.save(tmp_path / "t", {"a": 0}, [])
        export(model, tmp_path / "t", tmp_path / "model")
        for change, words in (({"width": 64}, "--width"), ({"blocks": 1}, "only grows")):
            with pytest.raises(SystemExit, match=words):
                grown(tmp_path / "model", tmp_path / "t", replace(model.shape, **change))

    def test_an_average_takes_the_share_of_the_second_model_and_one_head_its_own(self, torch):
        from mix import mixed

        # Width 4 in two heads 2 wide; all that is before is 0 and all after is 1, so the average is the share itself.
        shapes = {"h.1.attn.c_attn.weight": (4, 12), "h.1.attn.c_attn.bias": (12,), "h.1.attn.c_proj.weight": (4, 4),
                  "h.1.attn.c_proj.bias": (4,), "h.0.attn.c_attn.weight": (4, 12), "h.11.attn.c_proj.weight": (4, 4),
                  "wte.weight": (5, 4)}  # fmt: skip
        before = {f"transformer.{name}": torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}
        after = {name: torch.ones_like(t) for name, t in before.items()}
        found = mixed(before, after, 0.75, 2, {(1, 1): 0.25})
        # Query, key and value have 4 columns each, of which the last two are head 1's; so are the last two rows below.
        columns = [0.75, 0.75, 0.25, 0.25] * 3
        assert found.pop("transformer.h.1.attn.c_attn.weight").tolist() == [columns] * 4
        assert found.pop("transformer.h.1.attn.c_attn.bias").tolist() == columns
        assert found.pop("transformer.h.1.attn.c_proj.weight").tolist() == [[0.75] * 4] * 2 + [[0.25] * 4] * 2
        assert len(found) == 4 and all((t == 0.75).all() and t.dtype == torch.float16 for t in found.values())

    def test_an_average_keeps_what_both_agree_on_and_weighs_what_they_do_not(self, torch):
        from mix import mixed

        before, after = {"wte.weight": torch.tensor([1.0, 2.0, -4.0])}, {"wte.weight": torch.tensor([1.0, 4.0, 0.0])}
        assert mixed(before, after, 0.25)["wte.weight"].tolist() == [1.0, 2.5, -3.0]

    def test_models_of_other_shapes_and_heads_that_are_not_there_are_refused(self, torch):
        from mix import mixed

        one = {"h.0.attn.c_attn.weight": torch.zeros(4, 12)}
        for other in ({"h.0.attn.c_attn.weight": torch.zeros(4, 9)}, {"h.1.attn.c_attn.weight": torch.zeros(4, 12)}):
            with pytest.raises(SystemExit, match="other tensors or shapes"):
                mixed(one, other, 0.5)
        for head in ((0, 2), (1, 0)):
            with pytest.raises(SystemExit, match=f"no head L{head[0]}H{head[1]}"):
                mixed(one, one, 0.5, 2, {head: 0.1})

    def test_the_average_says_how_long_both_were_trained(self, torch, tmp_path: Path):
        from safetensors.torch import load_file, save_file

        for folder, value, steps, tokens, minutes in (
            ("a", 0.0, "1,200", "835.6", "8"),
            ("b", 1.0, "34", "1,451.0", "5"),
        ):
            (tmp_path / folder).mkdir()
            note = {"parameters": "4", "steps": steps, "tokens": f"{tokens} million", "minutes": minutes}
            save_file({"wte.weight": torch.full((2, 2), value)}, tmp_path / folder / "model.safetensors", note)
            (tmp_path / folder / "config.json").write_text('{"n_embd": 2, "n_head": 1}')
            bpe.save(tmp_path / folder, {"a": 0}, [])
        command = [sys.executable, RECIPE / "mix.py", *(tmp_path / name for name in ("a", "b", "out"))]
        refused = subprocess.run([*command, "--head", "7=0.2"], check=False, capture_output=True, text=True)
        assert "'7=0.2' is not BLOCK.HEAD=SHARE" in refused.stderr and not (tmp_path / "out").exists()
        subprocess.run([*command, "--share", "0.5"], check=True, capture_output=True)
        assert (load_file(tmp_path / "out" / "model.safetensors")["wte.weight"] == 0.5).all()
        with safe_open(tmp_path / "out" / "model.safetensors", "np") as file:
            assert file.metadata() == {"format": "pt", "parameters": "4", "steps": "1,234", "tokens": "2,286.6 million",
                                       "minutes": "13"}  # fmt: skip
        assert (tmp_path / "out" / "vocab.json").is_file() and (tmp_path / "out" / "merges.txt").is_file()
