"""The census counts every parameter once, and gives the totals that are known from other sources."""

import json
import math

import numpy as np
import pytest
from safetensors import safe_open

from desktop_app import cli
from desktop_app.core.census import (
    ATTENTION,
    EMBEDDINGS,
    FAMILIES,
    GPT3_SOURCE,
    MLP,
    census,
    gpt2_sizes,
    gpt3,
    low_rank,
)
from desktop_app.core.model import open_model
from desktop_app.core.panels import BarsPanel, TextPanel
from desktop_app.core.program.bundle import default_model
from desktop_app.core.views.census import census_view, content
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.weights import parameter_count
from tests.checkpoints import random_config, write_random_checkpoint
from tests.scenes import panels, scene_of

SIZES = {  # from the hub's model pages
    "GPT-2 small": 124_439_808,
    "GPT-2 medium": 354_823_168,
    "GPT-2 large": 774_030_080,
    "GPT-2 XL": 1_557_611_200,
}


def stored_parameters(folder):
    """How many numbers the safetensors library reads from the checkpoint's files."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "numpy") as file:
            names = file.keys()
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    return total


@pytest.mark.parametrize("seed", range(6))
def test_families_come_to_all_the_numbers_that_a_checkpoint_stores(tmp_path, seed):
    write_random_checkpoint(tmp_path, seed)
    checkpoint = load_checkpoint(tmp_path)
    counted = census("random", checkpoint.config)
    assert counted.total == stored_parameters(tmp_path) == parameter_count(checkpoint.config)
    assert sum(row.share for row in counted.rows) == pytest.approx(1)
    assert [row.name for row in counted.rows] == list(FAMILIES)


def test_the_bundled_model_is_counted_as_its_file_has_it():
    checkpoint = load_checkpoint(default_model())
    assert census("bundled", checkpoint.config).total == stored_parameters(default_model())


@pytest.mark.parametrize("name", SIZES)
def test_the_gpt2_sizes_have_the_parameters_that_they_are_known_for(name):
    assert census(name, gpt2_sizes()[name]).total == SIZES[name]


def test_a_value_of_low_rank_saves_what_a_whole_matrix_would_take():
    """GPT-2 small by hand: W_V and W_O of 768 x 64 each, or one 768 x 768 matrix, for each of 144 heads."""
    low = low_rank(gpt2_sizes()["GPT-2 small"])
    assert (low.own, low.full, low.rank) == (98_304, 589_824, 64)
    assert low.saved == 144 * (589_824 - 98_304) == 70_778_880
    # A single head as wide as the model costs twice what one matrix would.
    assert low_rank(parse_config({"n_embd": 6, "n_head": 1, "n_layer": 1}, "c")).saved == -36
    panel = next(
        p for p in panels(census_view("x", gpt2_sizes()["GPT-2 small"]).content) if "value matrices" in p.title
    )
    assert [bar.text for bar in panel.bars] == ["98,304", "589,824"] and "70,778,880 fewer" in panel.bars[0].remark


def test_one_small_model_counted_by_hand():
    """d_model 6, two heads, 5 neurons, 3 tokens, 4 positions, 1 block, untied."""
    config = parse_config(
        {
            "vocab_size": 3,
            "n_positions": 4,
            "n_embd": 6,
            "n_layer": 1,
            "n_head": 2,
            "n_inner": 5,
            "tie_word_embeddings": False,
        },
        "test",
    )
    rows = {row.name: (row.count, row.biases) for row in census("hand", config).rows}
    assert rows == {
        "embedding": (18, 0),
        "position": (24, 0),
        "query": (42, 6),
        "key": (42, 6),
        "value": (42, 6),
        "output": (42, 6),
        "MLP up": (35, 5),
        "MLP down": (36, 6),
        "norms": (36, 18),
        "unembedding": (18, 0),
    }
    counted = census("hand", config)
    assert counted.blocks == 4 * 42 + 35 + 36 + 24
    assert counted.of_blocks(*ATTENTION) == 168 / 263
    assert counted.of_all(*EMBEDDINGS) == 60 / 335


def test_a_tied_head_is_counted_once_and_said_to_be():
    tied = census("tied", parse_config(random_config(0), "test"))
    assert tied.count("unembedding") == 0
    assert "once" in tied.note
    assert census("untied", parse_config(random_config(1), "test")).note == ""


def test_gpt3_comes_to_the_eight_families_and_the_total_of_its_source():
    counted = gpt3()
    assert {row.name: row.count for row in counted.rows} == {
        "embedding": 617_558_016,
        "query": 14_495_514_624,
        "key": 14_495_514_624,
        "value": 14_495_514_624,
        "output": 14_495_514_624,
        "MLP up": 57_982_058_496,
        "MLP down": 57_982_058_496,
        "unembedding": 617_558_016,
    }
    assert counted.total == 175_181_291_520
    assert GPT3_SOURCE in counted.note
    assert "3Blue1Brown" in GPT3_SOURCE


def test_attention_is_a_third_and_the_mlp_two_thirds_of_the_blocks_of_every_size():
    for counted in (*(census(name, config) for name, config in gpt2_sizes().items()), gpt3()):
        assert counted.of_blocks(*ATTENTION) == pytest.approx(1 / 3, abs=0.001)
        assert counted.of_blocks(*MLP) == pytest.approx(2 / 3, abs=0.001)
    small, xl = (census(name, gpt2_sizes()[name]) for name in ("GPT-2 small", "GPT-2 XL"))
    assert small.of_all(*EMBEDDINGS) > 0.3
    assert xl.of_all(*EMBEDDINGS) < 0.06


# The view


def test_the_view_shows_every_count_and_names_its_sources():
    config = parse_config(random_config(4), "test")
    view = census_view("mine", config)
    families, largest = view.content.children[0].children
    assert isinstance(families, BarsPanel)
    counted = census("mine", config)
    assert [(bar.label, bar.value, bar.text) for bar in families.bars] == [
        (row.name, row.count, f"{row.count:,}") for row in counted.rows
    ]
    assert "175,181,291,520" in largest.title
    assert len(largest.bars) == 8
    shares = (*view.content.children[1].children, view.content.children[2].children[0])
    for panel, bars in zip(shares, (ATTENTION, MLP, EMBEDDINGS), strict=True):
        own = counted.of_all(*bars) if bars is EMBEDDINGS else counted.of_blocks(*bars)
        assert [bar.label for bar in panel.bars] == ["mine", *SIZES, "GPT-3"]
        assert panel.bars[0].value == own
        assert [bar.marked for bar in panel.bars] == [True, *[False] * 5]
    sources = view.content.children[3]
    assert isinstance(sources, TextPanel)
    assert any("3Blue1Brown" in line.remark for line in sources.lines)
    assert f"{counted.total:,}" in view.lead


# The command


def test_the_command_prints_a_line_for_each_family_and_the_totals(capsys, tmp_path):
    assert cli.main(["census", "--json", str(tmp_path / "census.json")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = {line[:26].strip(): line[26:].split() for line in out.splitlines()}
    counted = census("bundled", load_checkpoint(default_model()).config)
    assert list(lines)[1 : 1 + len(FAMILIES)] == list(FAMILIES)
    assert lines["query"] == [f"{counted.count('query'):,}", "7,087,104", "25,190,400", "59,028,480", "122,956,800",
                              "14,495,514,624"]  # fmt: skip
    assert lines["all"][1:] == [f"{total:,}" for total in SIZES.values()] + ["175,181,291,520"]
    assert lines["norms"][-1] == "-"
    assert "3Blue1Brown" in out and "Storybook GPT-2 " in out.splitlines()[0], "the name that the window has, too"
    written = json.loads((tmp_path / "census.json").read_text())
    assert [model["total"] for model in written] == [counted.total, *SIZES.values(), 175_181_291_520]
    assert written[0]["families"][2] == {
        "name": "query",
        "count": counted.count("query"),
        "share": counted.count("query") / counted.total,
        "biases": 8 * 320,
    }


def test_the_command_refuses_what_is_no_model_and_keeps_what_is_there(capsys, tmp_path):
    assert cli.main(["census", "--model", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
    (tmp_path / "old.json").write_text("old")
    assert cli.main(["census", "--json", str(tmp_path / "old.json")]) == 2
    assert (tmp_path / "old.json").read_text() == "old"
    assert cli.main(["census", "--json", str(tmp_path / "old.json"), "--force"]) == 0
    assert json.loads((tmp_path / "old.json").read_text())[-1]["name"] == "GPT-3"


def test_the_rank_of_a_value_is_drawn_from_its_whole_matrix():
    scene = scene_of(open_model(default_model()), "Hello", workspace="census", layer=2, head=3)
    panel = next(p for p in panels(content(scene).content) if "Singular values" in p.title)
    w, config = scene.checkpoint.weights, scene.config
    d, h = config.n_embd, config.d_head
    value = w["blocks.2.ln1.w"].astype(np.float64)[:, None] * w["blocks.2.attn.W_QKV"][:, 2 * d + 3 * h : 2 * d + 4 * h]
    whole = (value - value.mean(0)) @ w["blocks.2.attn.W_O"][3 * h : 4 * h].astype(np.float64)
    expected = np.linalg.svd(whole, compute_uv=False)
    np.testing.assert_allclose(panel.lines[0][1], expected, atol=1e-5 * expected[0])
    rank = int(np.linalg.matrix_rank(whole, tol=1e-6 * expected[0]))
    assert panel.focus[0] == rank == h and f"rank {h} of {d}" in panel.note
    squares = expected**2
    most = next(n for n in range(1, d) if squares[:n].sum() >= 0.9 * squares.sum())
    assert f"the first {most} hold 90 %" in panel.note
