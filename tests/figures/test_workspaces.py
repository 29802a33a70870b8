"""What every workspace owes: a table of workspaces, and one test for each demand."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.levels import short
from desktop_app.core.model import open_model
from desktop_app.core.opening.opened import clicked, readout_of, view_of
from desktop_app.core.panels import GraphPanel, WaterfallPanel
from desktop_app.core.products import completed
from desktop_app.core.session.state import with_option
from desktop_app.core.steps import build_view, texts, workspaces
from desktop_app.core.views.limits import limit_field
from desktop_app.core.workspaces import WORKSPACES
from desktop_app.figures import fonts
from desktop_app.figures.data import data_csv, data_json
from desktop_app.figures.deck.walk import choose
from desktop_app.figures.export import FORMATS, Options, job_of, lay_out, make_job, render
from desktop_app.figures.language import translator
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page, Words
from desktop_app.figures.spoken import spoken
from desktop_app.figures.subject import find_cell, subject_job
from desktop_app.figures.theme import LIGHT
from desktop_app.gpt2.errors import LogitscopeError
from tests.checkpoints import write_checkpoint
from tests.core.evidence.texts_and_model import add_evidence, write_texts
from tests.scenes import CONFIG, panels, scene_of

SHOWN = [
    *(("sheet", "pattern_scale", scale) for scale in ("linear", "log")),
    *(("heads", "heads", shows) for shows in ("patterns", "scores", "one", "weights", "block", "mean", "rollout")),
    ("heads", "heads_form", "arcs"),
    *(("lens", "lens", shows) for shows in ("token", "probability", "rank", "entropy", "kl")),
    *(("why", "baseline", against) for against in ("mean", "none")),
    *(("look", "look", how) for how in ("relative", "raw")),
    *(("flow", "flow", least) for least in ("0.01", "0.1")),
    ("masks", "", ""),
    ("predictions", "", ""),
    *(("sweep", "sweep", shows) for shows in ("heads", "mlps")),
    *(("evidence", "evidence", shows) for shows in ("strongest", "deciles", "heads")),
    ("evidence", "evidence_find", "cat"),
    *(("circuits", "circuits_least", least) for least in (0.0, 0.4)),
    *(("map", "map", how) for how in ("components", "neighbours")),
    *(("superposition", "superposition", what) for what in ("embedding", "neurons")),
    *(("directions", "directions", shows) for shows in ("sum", "ruler", "plane")),
    *(("directions", "direction", made) for made in ("'a' - 'b' + 'c'", "blocks.1.mlp.W_out[3]")),
    *(("circuits", option, value) for option, value in (("circuits", "v"), ("circuits_of", "head"))),
    *((key, "rows", "trimmed") for key in ("directions", "map", "superposition")),
]
"""Every workspace in every form: its key, the view option that gives the form, and its value."""

CELLS = {
    "sheet": (),  # its cells are the tensors' own
    "heads": (
        *("heads.induction[1,2]", "heads.share[0,0]", "heads.ov[1,2,65,66]", "heads.qk[0,1,65,65]"),
        "heads.kernel_q[0,1,1,2]",
    ),
    "lens": ("lens.kl[2,3]", "lens.top_probability[4,0]", "lens.entropy[0,1]", "lens.target_rank[0,4,8]"),
    "why": ("why.term[0]", "why.term[4]", "why.source[1,2,3]"),
    "look": ("look.relative[1,0,1]", "look.raw[1,0,1]"),
    "directions": ("directions.cosine[65]", "directions.cosine[300]", "directions.ruler[2,3]", "directions.place[4,1]"),
    "map": ("map.token[65]",),
    "superposition": ("superposition.pair[65,66]", "superposition.up[1,3,65]", "superposition.out[0,7,66]"),
    "circuits": (
        *("circuits.q[0,1,1,2]", "circuits.v[0,0,1,0]", "circuits.pair[1,2,3]", "circuits.copying[0,1]"),
        "circuits.copying_through_mlp[1,1]",
    ),
    "evidence": ("evidence.passage[0,8]", "evidence.neuron[1,3]", "evidence.written[65]"),
    "masks": ("masks.seen[3,1]", "masks.pairs[1,1]"),
    "predictions": ("predictions.loss[3]",),
    "sweep": ("sweep.effect[0,1]",),
    "flow": ("flow.node[4,34]", "flow.edge[4,34,34,0]"),
}
"""Numbers of each that a person may name."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    add_evidence(write_checkpoint(folder / "tiny", CONFIG), write_texts(folder / "texts"))
    return open_model(folder / "tiny")


def place_of(model, key):
    return next(w for w in workspaces(model.config) if w.key == key)


@pytest.fixture(scope="module")
def scenes(model):
    """(key, option, value) -> the scene in that form, with all that it needs."""
    made = {}

    def scene(key, option="", value=""):
        if (key, option, value) not in made:
            own = scene_of(model, layer=1, head=2, step="blocks.1.attn.pattern")
            if option:
                own = replace(own, state=with_option(own.state, option, value))
            if option == "heads_form":
                own = replace(own, state=with_option(own.state, "heads", "one"))
            made[key, option, value] = completed(own, place_of(model, key).spec.wants, model)
        return made[key, option, value]

    return scene


def page_of(view):
    page = Page(LIGHT, fonts.width)
    place_view(view, 900, 700, page)
    return page


def test_the_table_names_every_workspace_that_has_a_tab():
    assert (
        {key for key, _, _ in SHOWN} == set(CELLS) == {spec.key for spec in WORKSPACES if spec.keys} - {"training"}
    )  # it needs snapshots; its own tests have them


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_a_sentence_says_what_is_shown_and_one_what_it_does_not_prove(model, scenes, key, option, value):
    lead = build_view(scenes(key, option, value), place_of(model, key)).lead
    sentences = re.split(r"(?<=[.;])\s+", lead)
    assert len(sentences) >= 2 and re.search(r"\b(not|no|nor|another question)\b", lead), lead


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_colours_lengths_and_thicknesses_have_numbers(model, scenes, key, option, value):
    view = build_view(scenes(key, option, value), place_of(model, key))
    words = [mark.text for mark in page_of(view).marks if isinstance(mark, Words)]
    shown = list(panels(view.content))
    for panel in shown:
        levels = getattr(panel, "levels", None)
        if levels is not None:
            assert any("limits: " in w for w in words), f"{panel.title}: where its colours end is not said"
            assert {short(levels.low), short(levels.high)} <= set(words)
        elif isinstance(panel, GraphPanel):
            ends = ("5 %", "100 %") if panel.full is None else (panel.says(0.05), panel.says(1))
            assert {*ends, *(name for name, _ in panel.kinds)} <= set(words)
        elif isinstance(panel, WaterfallPanel):
            assert {rise.text for rise in panel.rises} <= set(words)


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_a_limit_set_by_hand_is_where_the_colours_of_the_view_end(model, scenes, key, option, value):
    scene, place = scenes(key, option, value), place_of(model, key)
    field = limit_field(build_view(scene, place))
    if field is None:
        return
    limit = 1.5 if value == "rank" else 0.07  # no rank is below 1
    view = build_view(replace(scene, state=with_option(scene.state, field, limit)), place)
    words = [mark.text for mark in page_of(view).marks if isinstance(mark, Words)]
    assert short(limit) in words


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_every_cell_on_the_page_says_what_it_is(model, scenes, key, option, value):
    scene = scenes(key, option, value)
    for cell in some_cells(scene, place_of(model, key)):
        readout = readout_of(scene, cell)
        assert readout.value and readout.name and "…" not in readout.value


def some_cells(scene, place):
    """Of each part of a page the cells at two corners and in the middle."""
    cells = [c for c in page_of(build_view(scene, place)).cells if c.source is not None]
    assert cells
    for one in cells:
        corners = {(0, 0), (one.rows - 1, one.columns - 1), (one.rows // 2, one.columns // 2)}
        for at in corners if one.stride is None else ():
            yield one.source.cell(*at)


LEADS = {
    *("evidence.passage", "evidence.neuron", "circuits.head", "heads.head", "map.token", "sweep.effect", "masks.pairs"),
    *("masks.effect", "why.term"),
}
"""Cells that a click need not open: it goes where the number is, makes it the prompt, or chooses what it is about."""


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_every_number_on_the_page_opens_to_what_it_is_computed_from(model, scenes, key, option, value):
    scene = scenes(key, option, value)
    for cell in some_cells(scene, place_of(model, key)):
        state = clicked(scene, cell)
        if not state.opened:
            assert cell.name in LEADS and (state != scene.state or cell.name.startswith("masks.")), cell
            continue
        opened = state.opened[-1]
        view, value = view_of(scene, opened), readout_of(scene, opened).value
        words, first = spoken(view), value.split()[0].rstrip(",")  # a loss comes with its unit and rank
        assert value in words or (first[-1].isdigit() and first in words), f"{cell}: {value} is not in what it opens to"
        assert len(list(panels(view.content))) > 1 or next(panels(view.content)).lines[1:], cell


@pytest.mark.parametrize(("key", "cell"), [(key, cell) for key, cells in CELLS.items() for cell in cells])
def test_a_number_of_a_workspace_is_drawn_by_name(model, scenes, key, cell):
    scene = replace(scenes(key), products={})
    if cell.startswith("look.raw"):
        scene = replace(scene, state=with_option(scene.state, "look", "raw"))
    job = subject_job(find_cell(cell, model.config), model, scene)
    assert job.view.title and b"<svg" in render(job, Options(kind="svg"))


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("lens.sharpness[1,1]", "There is no lens.sharpness; the lens has top_probability, entropy"),
        ("lens.kl[99,0]", "lens.kl has no cell [99, 0]; there are 5 points and 35 positions"),
        ("lens.kl[0,1,1]", "lens.kl has no cell"),
        ("evidence.charm[0,0]", "There is no evidence.charm; evidence has passage, neuron and written"),
        ("evidence.neuron[0,9999]", "there are 2 blocks of 96 neurons"),
        ("evidence.written[301]", "there are 300 tokens"),
        ("evidence.passage[99,0]", "there are 20 passages of 12 tokens"),
        ("lens.target_rank[7,1,1]", "no cell [7, 1, 1]; there are 3 followed tokens"),
        ("heads.charm[0,0]", "There is no heads.charm; a head's scores are previous, first"),
        ("heads.induction[9,0]", "There is no head [9, 0]"),
        ("heads.head[0,0]", "its scores are, like heads.previous"),
        ("heads.summary[1,0]", "neither is shown"),
        ("why.term[9999]", "There is no why.term[9999]"),
        ("look.raw[0,99,0]", "does not have these parts"),
        ("map.token[301]", "There is no map.token[301]"),
        ("superposition.up[0,999,1]", "no neuron 999"),
        ("superposition.pair[0,301]", "There is no superposition.pair[0, 301]"),
        ("directions.cosine[301]", "There is no directions.cosine[301]"),
        ("directions.ruler[3,0]", "There is no directions.ruler[3, 0]"),
        ("directions.place[99,0]", "There is no directions.place[99, 0]"),
        ("circuits.q[1,0,0,1]", "a pair is a head of an earlier and one of a later block"),
        ("circuits.copying[7,0]", "circuits.copying has no cell [7, 0]"),
        ("circuits.pair[3,0,1]", "There is no circuits.pair[3, 0, 1]"),
        ("circuits.charm[0,0]", "There is no circuits.charm; circuits have q, k, v"),
        ("circuits.head[0,0]", "A head is not a number"),
        ("heads.ov[0,0,1,999]", "999"),
        ("heads.kernel_q[0,0,5,0]", "no block 5"),
        ("flow.edge[9999]", "There is no flow.edge[9999]"),
        ("flow.river[0]", "There is no flow.river; the flow has flow.node"),
    ],
)
def test_a_number_that_is_not_there_is_refused(model, scenes, cell, words):
    scene = scenes(cell.partition(".")[0])
    with pytest.raises(LogitscopeError, match=re.escape(words)):
        subject_job(find_cell(cell, model.config), model, scene)


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_what_is_shown_is_told_to_who_cannot_see_it(model, scenes, key, option, value):
    view = build_view(scenes(key, option, value), place_of(model, key))
    words = spoken(view)
    assert view.title in words and view.lead in words
    assert all(panel.title in words for panel in panels(view.content) if panel.title)
    assert re.search(r"\d", words.replace(view.title, "").replace(view.lead, ""))


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_a_figure_does_not_ask_for_a_click_nor_for_pointing(model, scenes, key, option, value):
    scene = scenes(key, option, value)
    job = job_of(build_view(scene, place_of(model, key)), "caption")
    written = [spoken(job.view), *(m.text for m in lay_out(job, Options()).marks if isinstance(m, Words))]
    assert not [text for text in written if re.search(r"\bclick|\bpoint at", text.lower())]


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_the_numbers_are_written_as_csv_and_json(model, scenes, key, option, value):
    job = make_job(scenes(key, option, value), place_of(model, key))
    lines = data_csv(job).decode().splitlines()
    assert len(lines) > 3 and any(f",{key}." in line or ",blocks." in line for line in lines)
    assert json.loads(data_json(job))["panels"]


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_what_is_shown_is_copied_as_numpy_that_runs(model, scenes, key, option, value, tmp_path, monkeypatch):
    scene = scenes(key, option, value)
    lines = place_of(model, key).spec.numpy(scene, None)
    scene.trace.save(tmp_path / "trace.safetensors")
    monkeypatch.chdir(tmp_path)
    made = {}
    exec(compile(lines, "copied", "exec"), made)  # what a person pastes
    result = made["result"]
    values = list(result.values()) if isinstance(result, dict) else np.ravel(result)
    assert len(values) and np.isfinite(np.array(values, float)).all()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("key", CELLS)
def test_it_is_a_figure_in_every_format(model, scenes, key, kind):
    assert len(render(make_job(scenes(key), place_of(model, key)), Options(kind=kind, dpi=60))) > 2000


@pytest.mark.parametrize("key", CELLS)
def test_it_has_a_place_in_decks(model, key):
    (item,) = choose(model.config, [key])
    assert item.step.key == key


@pytest.mark.parametrize(("key", "option", "value"), SHOWN)
def test_what_is_written_on_it_has_german_words(model, scenes, key, option, value):
    view, say = build_view(scenes(key, option, value), place_of(model, key)), translator("de")
    own = [words for panel in panels(view.content) for words in (panel.title, panel.note)]
    for words in (view.title, view.lead, *own):
        if re.search(r"[a-z]{3}", words) and words != "Rollout":  # so in German, too
            assert say(words) != words, words


@pytest.mark.parametrize("key", CELLS)
def test_its_words_are_there(key):
    words = texts()[next(spec.op for spec in WORKSPACES if spec.key == key)]
    assert words.name and words.lead and words.explain and words.formula
