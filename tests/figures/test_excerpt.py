"""Parts of views in figures: the main picture alone, chosen heads, a range of tokens, limits by hand. The numbers that
are drawn are read back and compared with the trace's own.
"""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.model import open_model
from desktop_app.core.panels import GridPanel, MapPanel, panels_of
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.figures.data import data_csv
from desktop_app.figures.excerpt import Excerpt, read_heads, read_tokens, within
from desktop_app.figures.export import Options, lay_out
from desktop_app.figures.marks import Words
from desktop_app.figures.order import Order, make
from desktop_app.gpt2.errors import ExportError, LogitscopeError
from tests.checkpoints import TINY, write_checkpoint
from tests.scenes import open_tiny

IDS = (65, 66, 67, 68, 69, 70, 71, 72)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def figure(model, tmp_path):
    def run(step, excerpt=None, limit=None, **state):
        return make(order(step, excerpt or Excerpt(), limit, **state), model)

    def order(step, excerpt, limit, **state):
        given = replace(State(), **state)
        head = excerpt.heads[0] if excerpt.heads else None
        ids = ",".join(map(str, IDS))
        return Order(tmp_path / "f.svg", step=step, ids=ids, state=given, excerpt=excerpt, limit=limit, head=head)

    return run


@pytest.fixture
def trace(model):
    return model.engine.trace(IDS)


def words(job, **options):
    return [m.text for m in lay_out(job, Options(size="page", **options)).marks if isinstance(m, Words)]


def rows(job):
    return list(csv.DictReader(io.StringIO(data_csv(job).decode())))


def masked(grid):
    return np.where(np.triu(np.ones_like(grid), 1) > 0, np.nan, grid)


def test_the_grid_alone_is_one_panel_and_its_data_are_that_alone(figure, trace):
    job = figure("blocks.1.attn.pattern", Excerpt(panel=True))
    (panel,) = panels_of(job.view.content)
    np.testing.assert_array_equal(panel.values, masked(trace["blocks.1.attn.pattern"][0]))
    assert panel.selected is None
    found = rows(job)
    assert {r["tensor"] for r in found} == {"blocks.1.attn.pattern"}
    back = np.full_like(panel.values, np.nan)
    for row in found:
        head, query, key = map(int, row["index"].split())
        assert (head, query, key) == (0, int(row["row"]), int(row["column"]))
        back[query, key] = np.float32(row["value"])
    np.testing.assert_array_equal(back, panel.values)  # to the bit
    assert len(found) == len(IDS) * (len(IDS) + 1) // 2  # masked cells have no row


def test_a_token_that_was_chosen_stays_marked(figure):
    (panel,) = panels_of(figure("blocks.1.attn.pattern", Excerpt(panel=True), token=3).view.content)
    assert panel.selected == 3


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("blocks.0.ln1", "blocks.0.ln1.out"),
        ("blocks.1.resid_mid", "blocks.1.resid_mid"),
        ("blocks.1.attn.concat", "blocks.1.attn.concat"),
    ],
)
def test_the_main_picture_of_a_step_shows_its_own_tensor(figure, step, name):
    (panel,) = panels_of(figure(step, Excerpt(panel=True)).view.content)
    assert isinstance(panel, MapPanel) and panel.source.name == name


def test_without_title_nothing_but_tokens_and_legend_is_written(figure):
    job = replace(figure("blocks.1.attn.pattern", Excerpt(panel=True)), caption="")
    said = words(job, title=False, caption=False)
    labels = [w for w in said if w in "abcdefgh"]
    assert len(labels) == 2 * len(IDS)
    rest = [w for w in said if w not in labels and not w.replace(".", "").isdigit()]
    assert rest == ["query ↓", "key →", "limits: fixed, 0 to 1"]
    assert len(words(job)) > len(said)


def test_the_data_of_a_full_view_leave_thumbnails_out(figure, trace):
    found = rows(figure("blocks.1.attn.scores"))
    assert len(found) == len(IDS) ** 2
    scores = trace["blocks.1.attn.scores"][0]
    assert [float(r["value"]) for r in found] == pytest.approx(scores.ravel().tolist())
    assert len(rows(figure("overview:blocks.1.attn.scores"))) == 3 * len(IDS) ** 2


def test_chosen_heads_stand_side_by_side_on_one_scale(figure, trace, model):
    job = figure("blocks.1.attn.scores", Excerpt(heads=(2, 0)))
    panels = list(panels_of(job.view.content))
    for panel, head in zip(panels, (2, 0), strict=True):
        assert isinstance(panel, GridPanel) and panel.title == f"head {head}"
        np.testing.assert_array_equal(panel.values, trace["blocks.1.attn.scores"][head])
        assert panel.source.at(1, 2) == (head, 1, 2)
    assert panels[0].levels == panels[1].levels
    assert panels[0].levels.rule == "the heads shown"
    assert job.view.title.startswith("Block 1 · Heads 2, 0")
    assert "heads 2, 0" in job.caption
    marks = lay_out(job, Options(size="page")).marks
    heads = [m for m in marks if isinstance(m, Words) and m.text in ("head 2", "head 0")]
    assert heads[0].y == heads[1].y and heads[0].x < heads[1].x


@pytest.mark.parametrize("keys_down", [False, True])
@pytest.mark.parametrize("head", [0, 2])
def test_a_range_of_tokens_is_that_part_of_the_tensor(figure, trace, head, keys_down):
    view = ViewOptions(keys_down=keys_down)
    job = figure("blocks.1.attn.scores", Excerpt(panel=True, tokens=(2, 6)), head=head, view=view)
    (panel,) = panels_of(job.view.content)
    whole = trace["blocks.1.attn.scores"][head]
    np.testing.assert_array_equal(panel.values, (whole.T if keys_down else whole)[2:6, 2:6])
    assert panel.labels == ("c", "d", "e", "f")
    for row in rows(job):
        index = tuple(map(int, row["index"].split()))
        assert float(row["value"]) == pytest.approx(float(trace["blocks.1.attn.scores"][index]))
    assert "positions 2 to 5" in job.caption
    assert panel.levels.rule == "the tokens shown" and panel.levels.high <= np.abs(panel.values).max()


def test_rows_of_tokens_are_cut_in_maps_and_in_the_list_of_tokens_too(figure, trace):
    job = figure("blocks.0.resid_mid", Excerpt(tokens=(None, 3)))
    maps = [p for p in panels_of(job.view.content) if isinstance(p, MapPanel)]
    assert maps
    for panel in maps:
        np.testing.assert_array_equal(panel.values, trace[panel.source.name][:3])
        assert panel.row_labels == ("a", "b", "c")
    (chips,) = [p for p in panels_of(figure("tokens", Excerpt(tokens=(5, None))).view.content) if hasattr(p, "chips")]
    assert [chip.label for chip in chips.chips] == ["f", "g", "h"]
    weighted = [
        p for p in panels_of(figure("blocks.0.attn.z", Excerpt(tokens=(1, 4))).view.content) if hasattr(p, "row_labels")
    ]
    assert [p.row_labels for p in weighted] == [("b", "c", "d")] * 2


def test_a_limit_by_hand_is_that_of_every_picture(figure):
    grids = [p for p in panels_of(figure("blocks.1.attn.scores", limit=2.5).view.content) if hasattr(p, "levels")]
    assert {(p.levels.low, p.levels.high) for p in grids if p.levels.diverging} == {(-2.5, 2.5)}
    (pattern,) = panels_of(figure("blocks.1.attn.pattern", Excerpt(panel=True), limit=0.3).view.content)
    assert (pattern.levels.low, pattern.levels.high) == (0, 0.3)


@pytest.mark.parametrize(
    ("step", "excerpt", "limit", "said"),
    [
        ("blocks.0.resid_mid", Excerpt(heads=(0, 1)), None, "several heads"),
        ("blocks.0.attn.pattern", Excerpt(heads=(0, 9)), None, "Head 9 is outside"),
        ("blocks.0.attn.pattern", Excerpt(tokens=(3, 20)), None, "outside the text's 8 tokens"),
        ("probabilities", Excerpt(tokens=(0, 3)), None, "has none"),
        ("probabilities", Excerpt(), 2.0, "nothing in this figure"),
    ],
)
def test_what_is_not_there_is_refused(figure, step, excerpt, limit, said):
    with pytest.raises(LogitscopeError, match=said):
        figure(step, excerpt, limit)


def test_what_is_typed_is_read_or_refused():
    assert (read_heads("3"), read_heads(" 1, 5,1 ")) == ((3,), (1, 5))
    assert (read_tokens("3:20"), read_tokens("3:"), read_tokens(":20")) == ((3, 20), (3, None), (None, 20))
    assert (within((3, None), 8), within((None, 8), 8), within(None, 8)) == ((3, 8), None, None)
    for text in ("", "1,", "a", "1-3", "1 2"):
        with pytest.raises(ExportError, match="--head"):
            read_heads(text)
    for text in ("", ":", "3", "a:b", "5:5", "7:3", "-1:4"):
        with pytest.raises(ExportError, match="--tokens"):
            read_tokens(text)


def test_one_picture_alone_is_the_one_of_that_title_with_the_same_numbers(figure):
    whole = figure("blocks.1.mlp.post")
    curve = next(p for p in panels_of(whole.view.content) if p.title == "Strongest neurons")
    for title in ("Strongest neurons", "strongest"):
        (alone,) = panels_of(figure("blocks.1.mlp.post", Excerpt(only=title)).view.content)
        assert alone.title == curve.title and [b.value for b in alone.bars] == [b.value for b in curve.bars]


@pytest.mark.parametrize("title", ["Weakest", "", "n"])
def test_a_picture_that_is_not_there_or_not_the_only_one_is_told_with_those_that_are(figure, title):
    from desktop_app.figures.excerpt import panel_called

    with pytest.raises(ExportError, match="Strongest neurons"):
        panel_called(figure("blocks.1.mlp.post").view, title)


@pytest.mark.parametrize("step", ["blocks.1.attn.scores", "blocks.1.resid_mid"])
def test_labels_that_are_thinned_out_keep_the_positions_that_they_have_in_the_text(tmp_path, step):
    config = TINY | {"vocab_size": 257, "n_positions": 128}
    model = open_model(write_checkpoint(tmp_path / "long", config))
    ids = tuple(40 + n % 50 for n in range(128))
    excerpt = Excerpt(panel=True, tokens=read_tokens("60:128"))
    job = make(Order(tmp_path / "f.svg", step=step, ids=",".join(map(str, ids)), state=State(), excerpt=excerpt), model)
    texts = [m.text for m in lay_out(job, Options(size="column")).marks if isinstance(m, Words)]
    shown = {f"{model.tokenizer.label(ids[n])} {n}" for n in range(60, 128)}
    elsewhere = {f"{model.tokenizer.label(ids[60 + n])} {n}" for n in range(68)} - shown
    assert len(shown.intersection(texts)) > 5
    assert not elsewhere.intersection(texts)
