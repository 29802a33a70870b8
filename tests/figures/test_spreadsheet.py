"""A head's spreadsheet: recalculated by LibreOffice, it has the trace's numbers."""

import re
import shutil
import subprocess
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest

from desktop_app.cli import main
from desktop_app.figures.spreadsheet import MOST_FORMULAS, formula_count, sheets_of, write_spreadsheet
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError
from tests.scenes import CONFIG, open_tiny

TEXT = "=1+2, you"  # text that begins like a formula stays text
NS = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
RECALCULATE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse">
<value>0</value></prop></item></oor:items>
"""
# Unusual shapes: scores also divided by the block's number, and heads of width 3.
ODD = CONFIG | {"scale_attn_by_inverse_layer_idx": True, "n_embd": 12, "n_head": 4}


@pytest.fixture(scope="module", params=[CONFIG, ODD], ids=["plain", "odd"])
def model(request, tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", request.param)


def read(path):
    """Sheet -> [row, column] of the numbers after the headings, and the sheet's formulas, read from the file."""
    found = {}
    with zipfile.ZipFile(path) as file:
        book = ElementTree.fromstring(file.read("xl/workbook.xml"))
        names = [sheet.get("name") for sheet in book.findall("x:sheets/x:sheet", NS)]
        for n, name in enumerate(names, 1):
            page = ElementTree.fromstring(file.read(f"xl/worksheets/sheet{n}.xml"))
            cells, formulas = {}, 0
            for cell in page.iter(f"{{{NS['x']}}}c"):
                letters, row = re.fullmatch(r"([A-Z]+)(\d+)", cell.get("r")).groups()
                column = 0
                for letter in letters:
                    column = 26 * column + ord(letter) - 64
                value = cell.find("x:v", NS)
                formulas += cell.find("x:f", NS) is not None
                if cell.get("t") in (None, "n") and value is not None and int(row) > 2 and column > 2:
                    cells[int(row) - 3, column - 3] = float(value.text)
            if name != "about":
                rows, columns = (max(k[a] for k in cells) + 1 for a in (0, 1))
                found[name] = (np.array([[cells[i, j] for j in range(columns)] for i in range(rows)]), formulas)
    return found


def without_values(path, to):
    """The same file without the cached values of formulas."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.startswith("xl/worksheets/"):
                data = re.sub(rb"(</f>)<v>[^<]*</v>", rb"\1", data)
                assert b"</f><v>" not in data
            new.writestr(item, data)


def calculated(path, folder):
    """The results of the formulas in LibreOffice."""
    if shutil.which("localc") is None:
        pytest.skip("LibreOffice Calc is not installed")
    profile = folder / "profile"
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(RECALCULATE)
    bare = folder / "bare.xlsx"
    without_values(path, bare)
    out = folder / "out"
    command = ["soffice", f"-env:UserInstallation={profile.as_uri()}", "--headless", "--convert-to", "xlsx"]
    subprocess.run([*command, "--outdir", str(out), str(bare)], capture_output=True, timeout=300, check=True)
    return read(out / "bare.xlsx")


def test_libreoffice_finds_every_number_of_the_trace(model, tmp_path):
    layer, head = 1, 1
    ids = model.tokenizer.encode(TEXT).ids
    trace, weights = model.engine.trace(ids), model.checkpoint.weights
    sheets = sheets_of(trace, model.checkpoint, layer, head, tuple(map(model.tokenizer.label, ids)))
    count = write_spreadsheet(tmp_path / "head.xlsx", sheets, [("prompt", TEXT)])
    written = read(tmp_path / "head.xlsx")
    found = calculated(tmp_path / "head.xlsx", tmp_path)
    block, d = f"blocks.{layer}.", model.config.d_head
    z = trace[f"{block}attn.z"][head].astype(np.float64)
    truth = {
        "ln1_out": trace[f"{block}ln1.out"],
        "normalized": trace[f"{block}ln1.normalized"],
        "scale": trace[f"{block}ln1.scale"],
        "mean": trace[f"{block}resid_pre"].mean(-1, keepdims=True),
        "q": trace[f"{block}attn.q"][head],
        "k": trace[f"{block}attn.k"][head],
        "v_T": trace[f"{block}attn.v"][head].T,
        "scores": trace[f"{block}attn.scores"][head],
        "scaled": trace[f"{block}attn.scaled"][head],
        "pattern": trace[f"{block}attn.pattern"][head],
        "z": z,
        "result": z @ weights[f"{block}attn.W_O"][head * d : (head + 1) * d],
    }
    for name, expected in truth.items():
        assert np.abs(found[name][0] - expected).max() < 1e-5 * max(1, np.abs(expected).max()), name
        assert found[name][1] == expected.size, f"{name} has cells without a formula"
        assert np.abs(written[name][0] - expected).max() < 1e-5 * max(1, np.abs(expected).max()), name
    assert count == sum(formulas for _, formulas in written.values()) == formula_count(model.config, len(ids))
    inputs = {name for name, (_, formulas) in written.items() if formulas == 0}
    assert inputs == {"resid_pre", "ln1_w", "ln1_b", "W_Q_T", "W_K_T", "W_V_T", "b_Q_T", "b_K_T", "b_V_T", "W_O_T"}


def test_a_token_that_looks_like_a_formula_is_text_and_nothing_leads_out(model, tmp_path):
    ids = model.tokenizer.encode(TEXT).ids
    labels = ("=HYPERLINK(1)", "+1", "http://x.example", *map(model.tokenizer.label, ids[3:]))
    write_spreadsheet(
        tmp_path / "a.xlsx", sheets_of(model.engine.trace(ids), model.checkpoint, 0, 0, labels), [("prompt", TEXT)]
    )
    with zipfile.ZipFile(tmp_path / "a.xlsx") as file:
        everything = b"".join(file.read(name) for name in file.namelist())
    assert b"<f>HYPERLINK" not in everything and b"<hyperlink" not in everything and b"externalLink" not in everything
    assert b"=HYPERLINK(1)" in everything  # as text


def test_what_cannot_be_a_spreadsheet_is_refused_in_a_sentence(model, tmp_path, monkeypatch):
    ids = model.tokenizer.encode(TEXT).ids
    trace = model.engine.trace(ids)
    monkeypatch.setattr("desktop_app.figures.spreadsheet.MOST_FORMULAS", 100)
    with pytest.raises(ExportError, match="formulas"):
        sheets_of(trace, model.checkpoint, 0, 0, tuple("x" * len(ids)))


def test_the_bound_is_129_tokens_of_gpt2_small():
    small = Config(n_layer=12, n_head=12, n_embd=768, vocab_size=50257, n_positions=1024)
    assert formula_count(small, 129) <= MOST_FORMULAS < formula_count(small, 130)


def test_the_command_writes_it_and_refuses_what_is_not_there(tmp_path, capsys):
    out = tmp_path / "h.xlsx"
    assert main(["spreadsheet", "The cat", "--layer", "5", "--head", "1", "--out", str(out)]) == 0
    assert "formulas" in capsys.readouterr().out and "pattern" in read(out)
    assert main(["spreadsheet", "The cat", "--out", str(out)]) == 2
    assert main(["spreadsheet", "The cat", "--layer", "99", "--out", str(tmp_path / "x.xlsx")]) == 2
    assert main(["spreadsheet", "The cat", "--out", str(tmp_path / "x.ods")]) == 2
    assert "0 to 7" in (said := capsys.readouterr().err) and ".xlsx" in said
    assert not (tmp_path / "x.xlsx").exists()
