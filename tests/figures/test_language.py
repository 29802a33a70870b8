"""Labels in other languages: nothing that is written on a figure is missing from a table, and no token is touched."""

import ast
import pickle
import re
import tomllib
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import pytest

from desktop_app.core import census
from desktop_app.core.analysis.measures import SCORES
from desktop_app.core.levels import Levels
from desktop_app.core.library.catalogue import bundled_entries
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import view_of, wants_of
from desktop_app.core.panels import Bar, Box, Cut, Knot, Line, Panel, Rise, Strip, View
from desktop_app.core.products import completed
from desktop_app.core.program.bundle import ENGLISH, languages, resource
from desktop_app.core.session.state import ViewOptions
from desktop_app.core.steps import texts
from desktop_app.core.views import check, flow, why
from desktop_app.core.views.weights import weight_names
from desktop_app.core.want import Made
from desktop_app.core.workspaces import WORKSPACES
from desktop_app.figures import language
from desktop_app.figures.export import Job, Options, in_language, job_of, lay_out, make_job
from desktop_app.figures.language import Translator, has_words
from desktop_app.figures.marks import Words
from desktop_app.figures.subject import find_cell, find_subject, subject_job
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.phrase import Capital, Count, Phrase, joined
from desktop_app.gpt2.sampling import Sampling
from tests.figures.boxes import faults
from tests.scenes import CONFIG, open_tiny, scene_of, shown_steps

ROOT = Path(__file__).resolve().parents[2]
OTHERS = [code for code in languages() if code != ENGLISH]
TEXT = "The text, as it was: before after kept é"
CONFIGS = (
    {},
    {"activation_function": "relu", "scale_attn_weights": False, "tie_word_embeddings": False},
    {"activation_function": "silu", "scale_attn_by_inverse_layer_idx": True},
)
STATES = (
    {},
    {
        "view": ViewOptions("log", "layer", skip_first=True, keys_down=True, sort_neurons=True),
        "sampling": Sampling(temperature=0.5, top_k=30, top_p=0.5),
        "appended": (3,),
    },
    {"sampling": Sampling(greedy=True), "view": ViewOptions("sqrt", baseline="none"), "token": 0, "unfolded": (0, 1)},
    {"sampling": Sampling(temperature=2, top_k=20), "target": 7, "against": 9},
)


@pytest.fixture(scope="module", params=range(len(CONFIGS)))
def model(request, tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG | CONFIGS[request.param])


def jobs_of(model, state):
    scene = scene_of(model, TEXT, layer=1, head=1, **state)
    checked = completed(scene, check.wants, model)
    first, *others = checked.made(check.CHECK)
    checked = replace(scene, products={check.CHECK: Made((replace(first, relative=1.0), *others))})
    yield from (make_job(scene, step) for step in shown_steps(scene.config, 1))
    tabs = [spec.key for spec in WORKSPACES if spec.keys]
    names = ["overview:blocks.1.attn.pattern", "census", "check", *tabs, *weight_names(scene.config)[:22]]
    found = [find_subject(name, scene.config, head=1) for name in names]
    for name, row in scene.trace.table.items():
        if row.layer in (None, 1) and name != "tokens":
            index = ",".join("0" if axis == "one" else "1" for axis in row.axes)
            found.append(find_cell(f"{name}[{index}]", scene.config))
    found += [find_cell(cell, scene.config) for cell in ("probability[5]", "probability[200]")]
    yield from (subject_job(subject, model, checked) for subject in found)


@pytest.mark.parametrize("code", OTHERS)
def test_a_table_has_every_word_that_a_figure_can_show(model, code, monkeypatch):
    table = Translator(code)
    monkeypatch.setattr(language, "translator_of", lambda _code: table)
    for n, state in enumerate(STATES if model.config.activation == "gelu_tanh" else STATES[:1]):
        for job in jobs_of(model, state):
            in_language(job, code)
            if n < 2 and job.view.title.split()[0] in (
                "Block",
                "What",
                "Why",
                "Where",
            ):  # painters write a few words of their own
                lay_out(job, Options(language=code))
    assert sorted(table.missed - {model.name}) == []


OPTIONS = [
    ViewOptions(**{f: v}, skip_first=n % 2 == 1)
    for f, values in {
        "heads": ("patterns", "scores", "one", "weights", "block", "mean", "rollout"),
        "circuits": ("all", "v"),
        "circuits_least": (0.0, 1.0),
        "circuits_of": ("head",),
        "directions": ("sum", "ruler", "plane"),
        "rows": ("trimmed",),
        "map": ("components", "neighbours"),
        "superposition": ("embedding", "neurons"),
        "direction": ("'a' - 'b' + 'c' = 'd'", "name: blocks.1.mlp.W_out[3]"),
        "stands_for": ("embedding",),
        "heads_by": (*SCORES, "like"),
        "heads_of": ("labelled", "block"),
        "look_parts": ("parts", "heads", "sublayers", "blocks", "kinds"),
        "look": ("raw",),
    }.items()
    for n, v in enumerate(values)
]


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("ids", [(65,), (65, 66, 67, 65, 66), tuple(range(40, 256)) * 2])
def test_a_table_has_every_word_of_heads_and_of_a_look_with_every_option(tmp_path, code, ids, monkeypatch):
    model = open_tiny(tmp_path / "tiny", CONFIG | {"n_layer": 5, "n_positions": 512})
    table, trace = Translator(code), model.engine.trace(ids)
    monkeypatch.setattr(language, "translator_of", lambda _code: table)
    for view in OPTIONS:
        scene = scene_of(model, "", ids, trace, layer=4, head=1, view=view)
        for name in ("heads", "look", "circuits", "directions", "map", "superposition"):
            job = subject_job(find_subject(name, scene.config), model, scene)
            in_language(job, code)
            lay_out(job, Options(language=code))
    cells = [Cell("look.relative", (1, 2, 1)), Cell("heads.induction", (4, 1)), Cell("heads.share", (0, 0))]
    cells += [Cell(f"heads.{name}", (1, 1, 3, 2)) for name in ("ov", "qk", "kernel_q", "kernel_k", "kernel_v")]
    cells += [Cell(f"circuits.{name}", (1, 1, 3, 2)) for name in "qkv"]
    cells += [Cell("directions.cosine", (n,)) for n in (65, 300)]
    cells += [Cell("map.token", (65,)), Cell("superposition.pair", (65, 66))]
    cells += [Cell(f"superposition.{name}", (1, 2, 65)) for name in ("up", "out")]
    cells += [Cell("directions.ruler", (1, 0)), Cell("directions.place", (0, 0))]
    cells += [Cell(f"circuits.{name}", (layer, 1)) for name in ("copying", "copying_through_mlp") for layer in (0, 2)]
    for cell in cells:
        done = completed(scene, partial(wants_of, cell=cell), model)
        in_language(job_of(view_of(done, cell), ""), code)
    assert sorted(table.missed - {model.name}) == []


@pytest.mark.parametrize("code", OTHERS)
def test_a_table_has_the_title_and_the_lead_of_every_step(code):
    said = tomllib.loads(resource("languages", f"{code}.toml").read_text(encoding="utf-8"))["steps"]
    own = tomllib.loads(resource("steps.toml").read_text(encoding="utf-8"))
    words = tomllib.loads(resource("workspaces.toml").read_text(encoding="utf-8"))
    own |= {spec.op: words[spec.op] for spec in WORKSPACES if spec.keys}  # the others' titles are what was found
    for op, words in own.items():
        wanted = {part for part in ("title", "lead", "lead_turned") if part in words}
        assert set(said.get(op, {})) == wanted, op
    assert set(said) <= set(texts())


@pytest.mark.parametrize("code", OTHERS)
def test_what_stands_at_a_place_of_a_template_is_not_lost(code):
    for key, value in tomllib.loads(resource("languages", f"{code}.toml").read_text(encoding="utf-8"))[
        "labels"
    ].items():
        places = [set(part[-2] for part in re.findall(r"\{\d\}", text)) for text in (key, value)]
        assert places[0] >= places[1]
        assert places[0] == places[1] or key.startswith(("rank", "temperature")), key


def test_tokens_numbers_and_names_of_tensors_stay_as_they_are(model):
    scene = scene_of(model, TEXT, layer=1, head=1)
    for step in shown_steps(scene.config, 1):
        job = make_job(scene, step)
        english, german = (
            {m.text for m in lay_out(job, Options("png", language=code)).marks if isinstance(m, Words)}
            for code in ("en", "de")
        )
        tokens = {m for m in english if m in scene.labels}
        assert tokens <= german
        names = {m for m in english if m.startswith("blocks.1")}
        assert names <= german


def test_a_figure_in_german_is_in_german(model):
    scene = scene_of(model, TEXT, layer=1, head=2)
    step = next(s for s in shown_steps(scene.config, 1) if s.spec.op == "pattern")
    job = in_language(make_job(scene, step), "de")
    assert job.view.title == "Block 1 · Kopf 2 — die Softmax macht aus Scores ein Muster"
    assert job.caption == f"“{TEXT}” · {len(scene.trace)} Tokens · tiny · Block 1 · Kopf 2"
    assert "Jede Zeile ist ein fragendes Token" in job.description
    words = [m.text for m in lay_out(make_job(scene, step), Options(language="de")).marks if isinstance(m, Words)]
    assert {"Skaliert", "Maskiert", "Muster", "Kopf 0"} <= set(words)
    assert "Grenzen: fest, 0 bis 1" in words


def test_thousands_are_apart_without_a_comma():
    say = Translator("de")
    assert say(Count(124439808)) == "124\u00a0439\u00a0808"
    assert say(Count(1234.5, 1)) == "1\u00a0234.5"
    assert say(Phrase("{1} of {2} neurons above zero", Count(1024), Count(4096))) == (
        "1\u00a0024 von 4\u00a0096 Neuronen über null"
    )
    assert say("1,024") == "1,024"  # what a person typed, perhaps


def test_a_phrase_is_its_english_and_is_itself_again_in_another_process():
    made = Phrase("{1}, {2}", Capital(Phrase("head {1}", 3)), joined(" · ", (Count(1024), "a", Phrase("off"))))
    assert made == "Head 3, 1,024 · a · off"
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert Translator("de")(again) == Translator("de")(made) == "Kopf 3, 1\u00a0024 · a · aus"


def noise(value):
    """A phrase that reads as nothing, with the same key and values; views of such ones."""
    if isinstance(value, Phrase | Count):
        made = str.__new__(type(value), "\u2588" * len(value))
        for name in ("key", "number", "decimals"):
            if hasattr(value, name):
                setattr(made, name, getattr(value, name))
        if isinstance(value, Phrase):
            made.values = tuple(map(noise, value.values))
        return made
    if isinstance(value, tuple):
        return value._make(map(noise, value)) if isinstance(value, Cut) else tuple(map(noise, value))
    if isinstance(value, View | Box | Panel | Line | Bar | Strip | Rise | Knot | Job | Levels):
        return replace(value, **{f.name: noise(getattr(value, f.name)) for f in fields(value)})
    return value


@pytest.mark.parametrize("code", OTHERS)
def test_no_word_of_a_figure_is_found_by_how_the_english_reads(model, code):
    for n, job in enumerate(jobs_of(model, STATES[0])):
        said, blind = in_language(job, code), in_language(noise(job), code)
        assert blind == replace(said, view=blind.view)
        assert texts_of(blind.view) == texts_of(said.view)
        if n % 6 == 0:  # painters write a few words of their own
            options = Options("png", language=code)
            drawn = [[m.text for m in lay_out(j, options).marks if isinstance(m, Words)] for j in (job, noise(job))]
            assert drawn[0] == drawn[1]


_LATER = ("hint", "titles", "pooled")


def texts_of(value):
    """Every text that a view is drawn with, in order, less what painters put into words or the window alone shows."""
    if isinstance(value, str):
        return [str(value)]
    if isinstance(value, tuple):
        return [text for one in value for text in texts_of(one)]
    if isinstance(value, View | Box | Panel | Line | Bar | Strip | Rise | Knot):
        return [text for f in fields(value) if f.name not in _LATER for text in texts_of(getattr(value, f.name))]
    return []


@pytest.mark.parametrize("code", OTHERS)
def test_what_a_person_typed_is_never_put_into_other_words(code):
    table = tomllib.loads(resource("languages", f"{code}.toml").read_text(encoding="utf-8"))
    say = Translator(code)
    for key in (*table["labels"], *table["keep"]):
        assert say(key) == key


def literals():
    """The key of every phrase that the program writes, with its file, and every text in the program and its tables."""
    keys, every = {}, set()
    for path in sorted((ROOT / "desktop_app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                every.add(" ".join(node.value.split()))
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "Phrase"
                and node.args
            ):
                key = node.args[0]
                for one in (key.body, key.orelse) if isinstance(key, ast.IfExp) else (key,):
                    if isinstance(one, ast.Constant):
                        keys[one.value] = path.name
    for name in ("steps.toml", "workspaces.toml"):
        rows = tomllib.loads(resource(name).read_text(encoding="utf-8"))
        every |= {" ".join(words.split()) for row in rows.values() for words in row.values() if isinstance(words, str)}
    return keys, every | {entry.title for entry in bundled_entries()}


@pytest.mark.parametrize("code", OTHERS)
def test_a_table_has_the_key_of_every_phrase_and_none_that_nothing_says(code):
    table = tomllib.loads(resource("languages", f"{code}.toml").read_text(encoding="utf-8"))
    known = {" ".join(key.split()) for key in (*table["labels"], *table["keep"])}
    keys, every = literals()
    assert {
        key: file for key, file in keys.items() if has_words(key) and key not in known and key not in every_lead()
    } == {}
    assert known - every == set()


def every_lead():
    """What the tables of steps and workspaces say, which tables of languages have by step."""
    return {str(words) for row in texts().values() for words in vars(row).values()}


PLAIN = re.compile(r"[a-z]{2,} [a-z]{2,}")


@pytest.mark.parametrize("code", OTHERS)
def test_words_on_a_figure_are_phrases(model, code, monkeypatch):
    plain = set()

    class Watching(Translator):
        def __call__(self, text):
            if not isinstance(text, Phrase | Count) and PLAIN.search(text):
                plain.add(text)
            return super().__call__(text)

    monkeypatch.setattr(language, "translator_of", lambda _code: Watching(code))
    for job in jobs_of(model, STATES[1]):
        in_language(job, code)
    formulas = {row.spec.written for row in model.engine.trace((1,)).table.values()}
    plain = {text for text in plain if TEXT not in text and not text.startswith("logitscope ")}  # a command to type
    assert plain - formulas - {census.GPT3_SOURCE} == set()


def test_words_in_another_language_keep_clear_of_each_other(model):
    scene = scene_of(model, TEXT * 2, layer=1, head=1, sampling=Sampling(temperature=0.5, top_k=40, top_p=0.9))
    for step in shown_steps(scene.config, 1):
        for size in ("slide", "column"):
            sheet = lay_out(make_job(scene, step), Options(size=size, language="de"))
            assert faults(sheet.marks, sheet.width, sheet.height) == [], (step.key, size)


def test_a_language_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ExportError, match="en, de"):
        Options(language="tlh")


@pytest.mark.parametrize("code", OTHERS)
def test_a_table_has_every_word_of_what_opens_under_why_this_token_and_flow(model, code, monkeypatch):
    table = Translator(code)
    monkeypatch.setattr(language, "translator_of", lambda _code: table)
    for state in (
        {},
        {"target": 7, "against": 9, "view": ViewOptions(flow="0.01")},
        {"view": ViewOptions(baseline="none")},
    ):
        scene = scene_of(model, TEXT, **state)
        scene = completed(scene, lambda s: (*why.wants(s), *flow.wants(s)), model)
        made, graph = scene.made(why.want(scene)), scene.made(flow.want(scene))
        cells = [Cell(why.CELLS, (n,)) for n in range(len(why.terms(scene, made)) - 1)]
        cells += [Cell(why.SOURCES, (1, 0, 2)), *(Cell(flow.NODES, index) for index in flow.nodes_of(graph))]
        cells += [Cell(flow.EDGES, index) for index in flow.edges_of(graph)]
        for cell in cells:
            in_language(job_of(view_of(scene, cell), ""), code)
    assert sorted(table.missed - {model.name}) == []
