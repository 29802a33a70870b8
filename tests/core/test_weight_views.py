"""Weights as pictures: the right numbers, cells that open, and correct statements about their distribution."""

import json
import math

import numpy as np
import pytest

from desktop_app.core.opening.cells import Cell, Region, read_cell
from desktop_app.core.panels import BarsPanel, MapPanel, Source, StripsPanel
from desktop_app.core.views import weights as views
from desktop_app.core.views.weights import find_part, has_heads, weight_names, weight_view
from desktop_app.figures.marks import Cells, Rect
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.tokenizer import Tokenizer
from tests.checkpoints import TINY, random_weights, store_weights, write_byte_tokenizer

CONFIG = TINY | {"n_inner": 37}
STORED = random_weights(CONFIG, 4)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    store_weights(folder, STORED, linear=True, dtype="F16", prefix="transformer.")
    write_byte_tokenizer(folder, CONFIG["vocab_size"])
    return load_checkpoint(folder)


def expected(name, head=None):
    """A weight's numbers as written to the file, head by head by the layout of GPT-2's c_attn."""
    half = {n: a.astype(np.float16).astype(np.float32) for n, a in STORED.items()}
    d, width = 24, 8
    if name in ("embed.W_E", "unembed.W_U"):
        return half["wte.weight"]
    _, layer, module, part = name.split(".")
    end = "weight" if part.startswith("W") else "bias"
    if part in ("W_O", "b_O"):
        matrix = half[f"h.{layer}.attn.c_proj.{end}"]
        return matrix if head is None else matrix[head * width : (head + 1) * width]
    if module == "mlp":
        return half[f"h.{layer}.mlp.{'c_fc' if part.endswith('_in') else 'c_proj'}.{end}"]
    query, key, value = np.split(half[f"h.{layer}.attn.c_attn.{end}"], 3, axis=-1)
    whole = {"Q": query, "K": key, "V": value}[part[-1]]
    assert whole.shape[-1] == d
    return whole if head is None else np.split(whole, 3, axis=-1)[head]


PARTS = [
    *((f"blocks.1.attn.W_{letter}", head) for letter in "QKVO" for head in (None, 0, 2)),
    *((f"blocks.0.attn.b_{letter}", head) for letter in "QKV" for head in (None, 1)),
    *((name, None) for name in ("blocks.0.attn.b_O", "blocks.1.mlp.W_in", "blocks.1.mlp.W_out", "blocks.0.mlp.b_in")),
    ("embed.W_E", None),
    ("unembed.W_U", None),
]


def picture(view):
    return view.content.children[0]


@pytest.mark.parametrize(("name", "head"), PARTS)
def test_a_picture_shows_the_numbers_of_the_file(checkpoint, name, head):
    panel = picture(weight_view(checkpoint, find_part(checkpoint.config, name, head)))
    values = panel.values if isinstance(panel, MapPanel) else panel.strips[0].values
    assert np.array_equal(values, expected(name, head))
    assert isinstance(panel, MapPanel if values.ndim == 2 else StripsPanel)


@pytest.mark.parametrize(("name", "head"), PARTS)
def test_every_cell_of_a_picture_opens_to_the_number_that_it_shows(checkpoint, name, head):
    trace = Engine(checkpoint).trace((1, 2))
    panel = picture(weight_view(checkpoint, find_part(checkpoint.config, name, head)))
    source = panel.source if isinstance(panel, MapPanel) else panel.strips[0].source
    values = panel.values if isinstance(panel, MapPanel) else panel.strips[0].values[None, :]
    for row in {0, len(values) // 2, len(values) - 1}:
        for col in {0, 1, values.shape[1] - 1}:
            cell = Cell(source.name, source.at(row, col))
            assert read_cell(trace, checkpoint.weights, cell) == values[row, col]


def test_every_weight_of_the_model_can_be_opened(checkpoint):
    names = weight_names(checkpoint.config)
    shown = 0
    for name in names:
        part = find_part(checkpoint.config, name)
        values = part.of(checkpoint.weights[part.weight])
        assert len(part.axes) == values.ndim
        view = weight_view(checkpoint, part)
        assert view.title == name
        assert f"{' × '.join(map(str, values.shape))} learned numbers" in view.lead
        shown += values.size if name != "unembed.W_U" else 0
    assert shown == sum(array.size for array in STORED.values())


@pytest.mark.parametrize("name", ["blocks.0.attn.W_Q", "blocks.0.attn.W_O", "blocks.0.attn.b_V"])
def test_the_parts_of_the_heads_make_up_the_whole(checkpoint, name):
    assert has_heads(name)
    parts = [find_part(checkpoint.config, name, head) for head in range(3)]
    pieces = [part.of(checkpoint.weights[part.weight]) for part in parts]
    assert np.array_equal(np.concatenate(pieces, axis=0 if name.endswith("W_O") else -1), expected(name))
    assert parts[2].title == f"{name} · head 2"
    assert "d_head" in parts[2].axes


@pytest.mark.parametrize(
    ("name", "head", "words"),
    [
        ("blocks.0.attn.W_Q", 3, "heads are 0 to 2"),
        ("blocks.0.attn.W_Q", -1, "heads are 0 to 2"),
        ("blocks.0.mlp.W_in", 0, "not divided among heads"),
        ("blocks.0.attn.b_O", 0, "not divided among heads"),
        ("blocks.9.attn.W_Q", None, "no weight"),
        ("blocks.0.attn.W_X", None, "no weight"),
        ("blocks.0.attn.q", None, "no weight"),
        ("mlp", None, "no weight"),
        ("", None, "no weight"),
    ],
)
def test_a_weight_or_head_that_is_not_there_is_refused(checkpoint, name, head, words):
    with pytest.raises(ModelError, match=words):
        find_part(checkpoint.config, name, head)


def facts(view):
    return {line.label: (line.text, line.remark) for line in view.content.children[1].children[0].lines}


def test_facts_are_those_of_the_numbers(checkpoint):
    values = expected("blocks.1.attn.W_K", 2).astype(np.float64)
    said = facts(weight_view(checkpoint, find_part(checkpoint.config, "blocks.1.attn.W_K", 2)))
    assert said["shape"] == ("24 × 8", "[d_model, d_head]")
    assert said["parameters"] == ("192", "F16, stored transposed")
    assert said["in the file"] == ("transformer.h.1.attn.c_attn.weight", "columns 40 to 47")

    def number(label, which=0):
        return float(said[label][which].rsplit(" ", 1)[-1].replace("−", "-"))

    assert number("norm") == pytest.approx(np.linalg.norm(values), rel=1e-3)
    assert number("norm", 1) == pytest.approx(math.sqrt((values**2).mean()), rel=1e-3)
    assert number("mean") == pytest.approx(values.mean(), rel=1e-3)
    assert number("mean", 1) == pytest.approx(values.std(), rel=1e-3)
    assert number("smallest") == pytest.approx(values.min(), rel=1e-3)
    row, col = np.unravel_index(values.argmin(), values.shape)
    assert said["smallest"][1] == f"row {row}, column {col}"
    out = facts(weight_view(checkpoint, find_part(checkpoint.config, "blocks.1.attn.W_O", 2)))
    assert out["in the file"] == ("transformer.h.1.attn.c_proj.weight", "rows 16 to 23")
    bias = facts(weight_view(checkpoint, find_part(checkpoint.config, "blocks.1.attn.b_V", 1)))
    assert bias["in the file"] == ("transformer.h.1.attn.c_attn.bias", "entries 56 to 63")
    assert bias["largest"][1] == f"entry {expected('blocks.1.attn.b_V', 1).argmax()}"


def test_sizes_are_percentiles_and_end_at_the_largest(checkpoint):
    panel = weight_view(checkpoint, find_part(checkpoint.config, "embed.W_E")).content.children[1].children[1]
    assert isinstance(panel, BarsPanel)
    sizes = np.abs(expected("embed.W_E"))
    assert {bar.label: bar.value for bar in panel.bars} == pytest.approx(
        {f"{p:g} %": np.percentile(sizes, p) for p in (50, 90, 99, 99.5, 100)}
    )


def area(panel):
    """The total count of a histogram's outline: the sum of its heights over all bins."""
    _, heights = panel.lines[0]
    return heights[1:-1:2].sum()


def test_a_histogram_counts_every_number_or_says_how_many_it_leaves_out(checkpoint, monkeypatch):
    part = find_part(checkpoint.config, "blocks.0.mlp.W_out")
    panel = weight_view(checkpoint, part).content.children[1].children[2]
    values = expected("blocks.0.mlp.W_out")
    assert area(panel) == values.size
    edges = panel.lines[0][0]
    assert (edges[0], edges[-1]) == pytest.approx((values.min(), values.max()))
    heights = panel.lines[0][1][1:-1:2]
    assert heights[:10].sum() == (values < edges[20]).sum()  # each inner edge occurs twice

    monkeypatch.setattr(views, "_FEW", 100)
    cut = weight_view(checkpoint, part).content.children[1].children[2]
    left_out = values.size - int(area(cut))
    assert left_out > 0
    assert f"{left_out} beyond the ends" in cut.note


def test_a_weight_of_equal_numbers_has_a_picture_too(tmp_path):
    stored = random_weights(CONFIG) | {"ln_f.bias": np.zeros(24, np.float32), "ln_f.weight": np.ones(24, np.float32)}
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    store_weights(tmp_path, stored)
    checkpoint = load_checkpoint(tmp_path)
    for name in ("ln_final.b", "ln_final.w"):
        view = weight_view(checkpoint, find_part(checkpoint.config, name))
        assert area(view.content.children[1].children[2]) == 24


def test_of_a_large_weight_a_sample_is_taken_that_comes_by_every_column_and_said(checkpoint, monkeypatch):
    monkeypatch.setattr(views, "_SAMPLE", 300)
    values = expected("embed.W_E")
    sample, every = views._sampled(values)
    assert every >= values.size / 300
    assert {i * every % 24 for i in range(len(sample))} == set(range(24))
    assert np.array_equal(sample, values.ravel()[::every])
    view = weight_view(checkpoint, find_part(checkpoint.config, "embed.W_E"))
    assert f"from 1 in {every}" in view.content.children[1].children[1].note
    # Facts that take a single pass over the numbers are about all of them, not the sample.
    assert facts(view)["smallest"][1].startswith(f"row {values.argmin() // 24},")
    assert float(facts(view)["norm"][0]) == pytest.approx(np.linalg.norm(values), rel=1e-3)


def test_limits_of_a_tall_matrix_are_those_of_the_strongest_that_its_picture_shows(checkpoint, monkeypatch):
    values = expected("embed.W_E")
    plain = picture(weight_view(checkpoint, find_part(checkpoint.config, "embed.W_E"))).levels
    assert plain.high == pytest.approx(np.percentile(np.abs(values), 99.5, method="higher"))
    monkeypatch.setattr(views, "_TALL", 10)
    tall = picture(weight_view(checkpoint, find_part(checkpoint.config, "embed.W_E"))).levels
    strongest = [np.abs(values[n : n + 10]).max(0) for n in range(0, 97, 10)]
    assert tall.high == pytest.approx(np.percentile(strongest, 99.5, method="higher"))
    assert tall.low == -tall.high
    assert tall.beyond(values) == (np.abs(values) > tall.high).sum()
    assert "every 10 rows" in tall.rule


def test_rows_of_tokens_are_labelled_by_them(checkpoint):
    tokenizer = Tokenizer.load(checkpoint.folder, vocab_size=97)
    panel = picture(weight_view(checkpoint, find_part(checkpoint.config, "embed.W_E"), tokenizer))
    assert panel.row_labels == tuple(tokenizer.label(token) for token in range(97))
    assert (
        picture(weight_view(checkpoint, find_part(checkpoint.config, "blocks.0.mlp.W_in"), tokenizer)).row_labels == ()
    )
    assert panel.picks is None


# A source with an offset, and the cells that are highlighted in it


def test_a_source_of_a_part_counts_from_where_the_part_begins():
    source = Source("blocks.0.attn.W_QKV", ("row", "col"), first_row=2, first_col=40)
    assert source.at(0, 0) == (2, 40)
    assert source.at(3, 7) == (5, 47)
    assert Source("b", ("col",), first_col=40).at(0, 5) == (45,)


def test_a_part_lights_up_for_cells_that_are_in_it_and_for_no_others():
    source = Source("W", ("row", "col"), first_row=2, first_col=40)
    cells = Cells(Rect(0, 0, 80, 30), 3, 8, np.zeros((3, 8)), source, "part")
    assert cells.lit(Region("W", (2, 40))) == Rect(0, 0, 10, 10)
    assert cells.lit(Region("W", (4, 47))) == Rect(70, 20, 10, 10)
    assert cells.lit(Region("W", (None, 41))) == Rect(10, 0, 10, 30)
    for outside in ((1, 40), (5, 40), (2, 39), (2, 48), (None, 0)):
        assert cells.lit(Region("W", outside)) is None
