"""The parsers of external inputs: for each, valid seeds, the mutation, and the call."""

import gzip
import io
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from desktop_app.cli import figure
from desktop_app.cli.options import LISTED
from desktop_app.core.analysis import kept_layout
from desktop_app.core.evidence.findings import findings
from desktop_app.core.evidence.saved import NAME, Evidence, write_evidence
from desktop_app.core.evidence.scan import MANIFEST, TALLY, WORK, Request, prepare
from desktop_app.core.evidence.shown import find_evidence, most_active, read_passages, search
from desktop_app.core.evidence.texts import read_pieces
from desktop_app.core.library.folders import folders_file, remembered_folders
from desktop_app.core.library.listing import list_models
from desktop_app.core.library.references import HubName, parse_hub_name
from desktop_app.core.library.training import read_curves
from desktop_app.core.model import open_model
from desktop_app.core.panels import View, column
from desktop_app.core.program.settings import Settings, load_settings, save_settings, settings_file
from desktop_app.core.session.session_file import from_json, to_json
from desktop_app.core.session.state import State
from desktop_app.core.steps import step_list, workspaces
from desktop_app.core.views.training import measured
from desktop_app.figures.build import Record
from desktop_app.figures.fonts import width
from desktop_app.figures.layout import place_view
from desktop_app.figures.listing import read_listing
from desktop_app.figures.marks import Page
from desktop_app.figures.order import Order, make
from desktop_app.figures.subject import find_cell, find_subject
from desktop_app.figures.theme import LIGHT
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.edit import parse_edit, put_from
from desktop_app.gpt2.endings import text_ends
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.jsonfile import parse_json
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.names import match_names
from desktop_app.gpt2.npz_file import write_npz
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.tensors import tensor_table
from desktop_app.gpt2.token_ids import parse_ids
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.trace import Trace
from fuzz import mutate
from tests.checkpoints import TINY, write_checkpoint
from tests.core.evidence.texts_and_model import LENGTH, add_evidence, interrupted, opened, write_model, write_texts


@dataclass(frozen=True)
class Target:
    """A parser under test; `read` gets the bytes of a file or text and may raise LogitscopeError only."""

    name: str
    seeds: tuple[bytes, ...]
    change: mutate.Mutate
    read: Callable[[bytes], object]


_CURVES = (
    b"step,loss,in-context score,loss of token 2,loss of token 64,induction L0H0,induction L1H1\n"
    b"0,6.25,nan,6.2,6.3,0.02,0.01\n10,5.5,-0.01,5.9,6.1,1e-3,0.02\n",
    b"step,sorted right\n0,0.0014\n10,0.0165\n",
)
CELLS = ("blocks.{}.attn.pattern[{}, {}, {}]", "blocks.{}.resid_pre[{}, {}]", "probability[{}]", "logits[{}, {}]")


def in_names(chance: random.Random, data: bytes) -> bytes:
    """Mostly well-formed names with indices near the valid range, to get past the grammar."""
    if chance.random() < 0.3:
        return mutate.in_bytes(chance, data)
    form = chance.choice((*CELLS, "weights:blocks.{}.attn.W_Q", "overview:{}", "blocks.{}.attn.q[{}, {}, {}]"))
    return form.format(*(chance.choice((0, 1, 2, 3, -1, 31, 32, 96, 97, 2**63)) for _ in range(4))).encode()


def targets(folder: Path) -> list[Target]:
    """All targets, with their files below `folder`."""
    model = write_checkpoint(folder / "model")
    checkpoint = load_checkpoint(model)
    config, tokenizer = checkpoint.config, Tokenizer.load(model)
    engine = Engine(checkpoint)
    names = [name.encode() for name in tensor_table(config)]

    def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        def call(data: bytes) -> object:
            path = folder / name
            path.write_bytes(data)
            return read(path)

        return call

    def in_model(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        """A call that writes its input as the file `name` of a copy of the model."""

        def call(data: bytes) -> object:
            copy = folder / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(model, copy)
            if name in ("tokenizer.json",):
                (copy / "vocab.json").unlink(missing_ok=True)
            (copy / name).write_bytes(data)
            return read(copy)

        return call

    def settings(data: bytes) -> object:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        settings_file().write_bytes(data)
        found = load_settings()
        save_settings(found)
        return found

    def folders(data: bytes) -> object:
        folders_file().parent.mkdir(parents=True, exist_ok=True)
        folders_file().write_bytes(data)
        return remembered_folders(), list(list_models())

    def as_config(data: bytes) -> object:
        found = parse_config(parse_json(data, what="config.json", error=ModelError), "config.json")
        return tensor_table(found) if found.n_layer < 100 else found

    def as_session(data: bytes) -> object:
        state = from_json(data, "session")
        return from_json(to_json(state), "session")

    def as_hub(data: bytes) -> object:
        from desktop_app.core.library import hub

        name = HubName("owner/tiny")
        return hub._wanted(name, hub._read_listing(name, data)[1])

    def as_template(path: Path) -> object:
        from desktop_app.figures.deck.template import read_template

        return read_template(path)

    def text(call: Callable[[str], object]) -> Callable[[bytes], object]:
        return lambda data: call(data.decode("utf-8", "replace"))

    def as_listing(path: Path) -> object:
        return read_listing(path, path.parent, LISTED, figure.order_of)

    def as_curves(data: bytes) -> object:
        curves, page = read_curves(data, Path("curves.csv")), Page(LIGHT, width)
        if panels := measured(curves, 10):
            place_view(View("", "", column(*panels)), 900, 700, page)
        return page.marks

    files = [
        {"rfilename": name, "size": 3, "blobId": "a" * 40}
        for name in ("config.json", "vocab.json", "merges.txt", "model.safetensors")
    ]
    hub_answer = json.dumps({"id": "owner/tiny", "sha": "b" * 40, "siblings": files}).encode()
    record = json.dumps({"logitscope": 1, "outputs": {"a.svg": {"inputs": "1", "written": "2"}}}).encode()
    listing = (
        b'[defaults]\nstep = "blocks.0.attn.pattern"\nmodel = "sorter"\n[[figure]]\nname = "a"\nprompt = "ABC"\n'
        b'theme = "dark"\nhead = 1\n[[figure]]\nname = "b"\nids = [1, 2]\nformat = ["svg", "pdf"]\ndata = "csv"\n'
        b'cell = "probability[1]"\nsize = "column"\n'
    )
    weights = (model / "model.safetensors").read_bytes()
    vocab, merges = (model / "vocab.json").read_bytes(), (model / "merges.txt").read_bytes()
    fresh = to_json(State(text="Hello", model=str(model)))
    return [
        Target("config", (json.dumps(TINY).encode(), (model / "config.json").read_bytes()), mutate.in_json, as_config),
        Target("weights", (weights,), mutate.in_safetensors, in_model("model.safetensors", load_checkpoint)),
        Target("vocabulary", (vocab,), mutate.in_json, in_model("vocab.json", _encode)),
        Target("merges", (merges or b"#version: 0.2\nA B\n",), mutate.in_lines, in_model("merges.txt", _encode)),
        Target("tokenizer", (_tokenizer_json(vocab),), mutate.in_json, in_model("tokenizer.json", _encode)),
        Target("tokenizer settings", _settings(), mutate.in_json, in_model("tokenizer_config.json", _encode)),
        Target("special tokens", _settings(), mutate.in_json, in_model("special_tokens_map.json", _encode)),
        Target(
            "added tokens", (b'{"<x>": 3, "<y>": 4}', b"{}"), mutate.in_json, in_model("added_tokens.json", _encode)
        ),
        Target("ends", (b'{"eos_token_id": [1, 2]}',), mutate.in_json, in_model("generation_config.json", _ends)),
        Target("trace", _traces(engine, folder), mutate.in_trace, in_file("t.safetensors", _as_trace(model))),
        Target("session", (fresh,), mutate.in_json, as_session),
        Target("settings", (json.dumps(vars(Settings())).encode(),), mutate.in_json, settings),
        Target("folders", (json.dumps({"folders": [str(model), "x"]}).encode(),), mutate.in_json, folders),
        Target("listing", (listing,), mutate.in_lines, in_file("list.toml", as_listing)),
        Target("record", (record,), mutate.in_json, in_file("list.built.json", Record)),
        Target("template", _templates(), mutate.in_package, in_file("t.pptx", as_template)),
        *_of_scans(folder / "scans", in_file),
        Target("curves", _CURVES, mutate.in_lines, as_curves),
        Target("hub", (hub_answer,), mutate.in_json, as_hub),
        Target("cells", (b"blocks.0.attn.pattern[1, 2, 0]",), in_names, text(lambda t: find_cell(t, config, 2))),
        Target("subjects", tuple(names), in_names, text(lambda t: find_subject(t, config))),
        Target("names", tuple(names), mutate.in_bytes, text(lambda t: match_names([t], config))),
        Target("ids", (b"64,37", b"[1, 2]"), mutate.in_bytes, text(lambda t: parse_ids(t, config.vocab_size))),
        Target("hub names", (b"openai-community/gpt2@main",), mutate.in_bytes, text(parse_hub_name)),
        Target("prompts", (b"AB CD",), mutate.in_bytes, text(tokenizer.encode)),
    ]


def _of_scans(
    folder: Path, in_file: Callable[[str, Callable[[Path], object]], Callable[[bytes], object]]
) -> list[Target]:
    """What a scan reads and what it leaves behind: texts, evidence, an interrupted scan, and the map in the cache."""
    model, texts = write_model(folder / "model"), write_texts(folder / "texts", 2)
    add_evidence(model, texts)
    checkpoint, tokenizer = opened(model)
    engine, about = Engine(checkpoint), {"model": "", "digest": "", "length": LENGTH, "files": ["a"] * 9}
    trace = engine.trace((3, 1, 4))
    out = interrupted(Request((str(texts),), folder / "out", LENGTH), checkpoint, tokenizer)
    left = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def evidence(path: Path) -> object:
        found = find_evidence(checkpoint, str(path))
        if not isinstance(found, Evidence):
            raise ModelError(found)
        for kind in ("top", "decile", "head"):
            read_passages(engine, found, kind, 1, 2, Stop(), lambda _share: None)
        return search(found, tokenizer, "cat"), most_active(trace, 1, found), found.file(0)

    def scan(name: Path) -> Callable[[bytes], object]:
        """A call that goes on with the scan, whose file `name` has the input."""

        def call(data: bytes) -> object:
            shutil.rmtree(out)
            for path, content in left.items():
                (out / path).parent.mkdir(parents=True, exist_ok=True)
                (out / path).write_bytes(data if path == name else content)
            made = prepare(Request((str(texts),), out, LENGTH), checkpoint, tokenizer)
            if made is None or made.tally is None:
                return made
            return write_evidence(folder / "made.npz", findings(made.tally), made.windows, about)

        return call

    lines = b'{"text": "A cat"}\n{"text": 3}\n"a line"\n'
    table = b'id,text\n1,"A ""cat"", and"\n2,a dog\n'
    write_npz(folder / "map.npz", ["places", "kept"], [np.ones((300, 2)), np.array([0.5, 0.2])], {})
    manifest, tally, ids = Path(MANIFEST), Path(WORK, TALLY), Path(WORK, "index.bin")
    return [
        Target("evidence", ((model / NAME).read_bytes(),), mutate.in_npz, in_file("evidence.npz", evidence)),
        Target("manifest", (left[manifest],), mutate.in_json, scan(manifest)),
        Target("tally", (left[tally],), mutate.in_npz, scan(tally)),
        Target("windows", (left[ids],), mutate.in_bytes, scan(ids)),
        Target(
            "map",
            ((folder / "map.npz").read_bytes(),),
            mutate.in_npz,
            in_file("m.npz", lambda path: kept_layout._read(path, 300)),
        ),
        *(
            Target(f"texts {end}", (seed,), mutate.in_bytes, in_file(f"t.{end}", lambda path: list(read_pieces(path))))
            for end, seed in (
                ("jsonl", lines),
                ("csv", table),
                ("txt", "A cat, häßlich.\n".encode()),
                ("txt.gz", gzip.compress(b"A cat.\n" * 50)),
                *_parquet(folder / "t.parquet"),
            )
        ),
    ]


def _traces(engine: Engine, folder: Path) -> tuple[bytes, ...]:
    """Saved passes: whole, under a mask with an edit that says its number, and with one whose numbers are beside it."""
    config, ids, path = engine.config, (3, 1, 4), folder / "trace.safetensors"
    zero = parse_edit("blocks.0.attn.z[1]=0", config, len(ids))
    put = put_from(zero, np.full((1, len(ids), config.d_head), 0.25, np.float32), "blocks.0.attn.z[1]=mean")
    found = []
    for edits, mask in (((), CAUSAL), ((zero,), "window:2"), ((put,), CAUSAL)):
        engine.trace(ids, edits=edits, mask=mask).save(path, note={"model": "one"})
        found.append(path.read_bytes())
    return tuple(found)


def _as_trace(folder: Path) -> Callable[[Path], object]:
    """A call that opens a saved pass, and lays out the view of one of the model's steps with it."""
    model = open_model(folder)
    steps = [step.key for step in (*step_list(model.config), *workspaces(model.config))]

    def call(path: Path) -> object:
        chance = random.Random(path.read_bytes())
        trace = Trace.load(path)
        page, order = Page(LIGHT, width), Order(Path("x.svg"), step=chance.choice(steps), trace=path)
        place_view(make(order, model).view, 900, 700, page)
        return trace, page.marks

    return call


def _parquet(path: Path) -> list[tuple[str, bytes]]:
    """A table of texts, where the packages that read one are installed."""
    if find_spec("pyarrow") is None:
        return []
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["A cat", None, "a dog"]}), path)
    return [("parquet", path.read_bytes())]


def _encode(folder: Path) -> object:
    return Tokenizer.load(folder).encode("AB a")


def _ends(folder: Path) -> object:
    return text_ends(folder, Tokenizer.load(folder))


def _settings() -> tuple[bytes, ...]:
    """Contents of tokenizer_config.json, without and with an `added_tokens_decoder`."""
    end = {"__type": "AddedToken", "content": "</s>", "lstrip": True, "rstrip": False, "single_word": False}
    named = {"bos_token": "<s>", "eos_token": end, "pad_token": None, "image_token": "<i>"}
    flags = {"add_bos_token": True, "add_prefix_space": True, "tokenizer_class": "GPT2Tokenizer"}
    plain = {**named, **flags, "additional_special_tokens": ["<x>", end], "model_max_length": 1024}
    return json.dumps(plain).encode(), json.dumps(plain | {"added_tokens_decoder": {"3": end}}).encode()


def _tokenizer_json(vocab: bytes) -> bytes:
    model = {"type": "BPE", "vocab": json.loads(vocab), "merges": []}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    parts = {"pre_tokenizer": level, "decoder": level, "post_processor": level, "normalizer": None, "added_tokens": []}
    return json.dumps({"version": "1.0", "truncation": None, "padding": None, "model": model, **parts}).encode()


def _templates() -> tuple[bytes, ...]:
    from pptx import Presentation

    from desktop_app.figures.deck.master import empty_deck
    from desktop_app.figures.theme import LIGHT

    buffer = io.BytesIO()
    Presentation().save(buffer)
    return empty_deck(LIGHT), buffer.getvalue()
