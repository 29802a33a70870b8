"""The learner model: its curves follow from its snapshots, and its induction heads form where its lesson says."""

import csv
import json
import tomllib
from pathlib import Path

import corpus
import forward
import heads
import learned
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "models" / "learner"
STORY = tomllib.loads((REPOSITORY / "resources" / "stories" / "learning.story.toml").read_text(encoding="utf-8"))
BOOK = Path(__file__).parent / "data" / corpus.HELD_OUT_BOOK


@pytest.fixture(scope="module")
def curves():
    with (FOLDER / "snapshots" / learned.FILE).open(encoding="utf-8", newline="") as file:
        return {int(row["step"]): {k: float(v) for k, v in row.items()} for row in csv.DictReader(file)}


def paths():
    return sorted(path for path in (FOLDER / "snapshots").iterdir() if path.is_dir())


def test_twenty_snapshots_and_more_in_eight_megabytes_the_last_of_them_the_model(curves):
    found = [int(path.name) for path in paths()]
    assert len(found) >= 20 and found[0] == 0 and set(found) <= set(curves)
    assert np.diff(np.log(found[1:])).max() < np.log(2.01)  # no step is more than twice the one before
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 8_000_000
    assert (paths()[-1] / "model.safetensors").read_bytes() == (FOLDER / "model.safetensors").read_bytes()
    config = json.loads((FOLDER / "config.json").read_text())
    assert (config["n_layer"], config["vocab_size"], config["n_positions"]) == (2, 512, 128)


def in_the_card(step):
    """The numbers that the card gives for a snapshot, by name."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in card.splitlines() if line.startswith(f"| {step} |")]
    return dict(zip(learned.SHOWN, map(float, row.strip("| ").split(" | ")[1:]), strict=True))


@pytest.mark.parametrize("step", [0, 320, 440, 700])
def test_what_the_curves_and_the_card_say_is_measured_anew(curves, step):
    model = forward.load(FOLDER / "snapshots" / f"{step:05d}")
    found = learned.measure(model, learned.rows(FOLDER, BOOK, model.context))
    for name, value in found.items():
        assert value == pytest.approx(curves[step][name], abs=2e-3), name
    for name, said in in_the_card(step).items():
        assert said == pytest.approx(found[name], abs=0.00502), f"{name}: rounded once, from what was measured"


def test_scores_and_induction_heads_come_together_as_the_lesson_says(curves):
    before, after, end = curves[320], curves[440], curves[700]
    assert [round(c["best induction"], 2) for c in (before, after)] == [0.05, 0.38]
    assert [round(c["in-context score"], 2) for c in (before, after)] == [0.10, -0.29]
    assert end["in-context score"] > 0 and end["best induction"] > 0.6
    # Before that neither has happened: the score is above zero, but no head has more than a twelfth.
    early = [c for step, c in curves.items() if 100 <= step < 345]
    assert min(c["in-context score"] for c in early) > 0 and max(c["best induction"] for c in early) < 1 / 12
    # From then on repeated text is predicted.
    assert before["loss when repeated"] > 6 and end["loss when repeated"] < 2.5
    # The story's own numbers are these.
    (told,) = [stop["say"] for stop in STORY["stop"] if stop["title"] == "The moment, in curves"]
    assert f"from {before['best induction']:.2f} to {after['best induction']:.2f}" in told
    assert f"from {before['in-context score']:.2f} to −{-after['in-context score']:.2f}" in told
    assert "From step 320 to 440" in told


def test_every_head_of_the_lesson_learns_between_the_steps_that_the_card_names(curves):
    before, after = curves[320], curves[560]
    for head in ("L1H0", "L1H1"):
        assert before[f"induction {head}"] < 0.06 and after[f"induction {head}"] > 0.4, head
    assert before["previous-token L0H0"] < 0.08 and after["previous-token L0H0"] > 0.3
    for head in ("L0H0", "L0H1"):
        assert max(c[f"induction {head}"] for c in curves.values()) < 0.06, "block 0 copies nothing"


def test_the_heads_of_the_last_snapshot_are_those_of_the_lesson():
    scores = heads.scores(forward.load(FOLDER), sequences=8, length=40)
    block, head, _ = heads.best(scores["previous-token"])
    assert (block, head) == (0, 0)
    assert scores["induction"][1].min() > 0.6 and scores["induction"][0].max() < 0.05
