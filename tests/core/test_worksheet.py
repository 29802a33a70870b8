"""Worksheets can be solved by hand: answers follow from the printed numbers, and agree with the model's own."""

from decimal import Decimal
from math import exp

import numpy as np
import pytest

from desktop_app.cli import main
from desktop_app.cli.options import LEVELS as NAMES
from desktop_app.core.lessons.worksheet import LEVELS, exercises
from desktop_app.figures.worksheet import worksheet_pdf
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.sampling import Sampling
from tests.scenes import open_tiny, scene_of

TEXT = "The cat sat on the mat"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(params=[(0, 0, 21), (1, 1, 6), (1, 0, 1), (0, 1, 0)])
def scene(model, request):
    layer, head, token = request.param
    return scene_of(model, TEXT, layer=layer, head=head, token=token, sampling=Sampling(0.5, 40, 0.6))


def value(entry):
    return Decimal(entry.text.replace("\u2212", "-"))


def one(scene, level):
    (found,) = exercises(scene, [level])
    return found


def test_the_products_and_their_sum_are_those_of_the_printed_numbers(scene):
    found = one(scene, "dot")
    *terms, score, scaled = found.rows
    total = Decimal(0)
    for _, left, right, product in terms:
        if left.text:
            assert value(product) == value(left) * value(right) and product.asked and not left.asked
        total += value(product)
    assert value(score[-1]) == total
    divisor = value(type(score[0])(scaled[2].text.removeprefix("÷ ")))
    assert abs(value(scaled[-1]) - total / divisor) <= Decimal("0.005")
    pattern = scene.trace[f"blocks.{scene.layer}.attn.pattern"][scene.head, scene.token]
    own = scene.trace[f"blocks.{scene.layer}.attn.scaled"][scene.head, scene.token, int(np.argmax(pattern))]
    assert abs(float(value(scaled[-1])) - own) < 0.03


def test_a_softmax_by_hand_is_the_model_s_attention_to_a_hundredth(scene):
    found = one(scene, "softmax")
    *rows, total = found.rows
    keys = [row for row in rows if row[1].text]
    others = sum((value(row[2]) for row in rows if not row[1].text), Decimal(0))
    for row in keys:
        assert abs(float(value(row[2])) - exp(float(value(row[1])))) <= 0.0005
    assert value(total[2]) == sum(value(row[2]) for row in keys) + others
    pattern = scene.trace[f"blocks.{scene.layer}.attn.pattern"][scene.head, scene.token]
    for row in keys:
        share = value(row[2]) / value(total[2])
        assert abs(value(row[3]) - share) <= Decimal("0.005")
        key = int(row[0].text.rsplit(" ", 1)[1])
        assert abs(float(value(row[3])) - pattern[key]) < 0.015


def test_a_head_s_sums_are_those_of_the_printed_numbers_and_its_result(scene):
    found = one(scene, "head")
    *rows, others, result = found.rows
    z = scene.trace[f"blocks.{scene.layer}.attn.z"][scene.head, scene.token]
    for m in range(2):
        total = value(others[3 + 2 * m])
        for row in rows:
            product = row[3 + 2 * m]
            assert value(product) == value(row[1]) * value(row[2 + 2 * m]) and product.asked
            total += value(product)
        assert value(result[3 + 2 * m]) == total
        dim = int(found.head[2 + 2 * m].rsplit(" ", 1)[1])
        assert abs(float(total) - z[dim]) < 0.001


def test_top_p_keeps_by_hand_what_the_window_keeps(scene):
    found = one(scene, "top-p")
    running = Decimal(0)
    for n, row in enumerate(found.rows):
        before, running = running, running + value(row[1])
        assert value(row[2]) == running
        assert (row[3].text == "yes") == (before < 60) == (n < scene.stages.n_kept)
    kept = [row for row in found.rows if row[3].text == "yes"]
    assert len(kept) == scene.stages.n_kept
    for n, row in enumerate(kept):
        assert abs(float(value(row[4])) - 100 * scene.stages.final[n]) < 0.3


def test_a_top_p_that_keeps_more_than_a_sheet_holds_is_refused(model):
    with pytest.raises(ExportError, match="smaller top-p"):
        exercises(scene_of(model, TEXT, sampling=Sampling(5.0, 0, 0.99)), ["top-p"])


def test_the_command_s_levels_are_the_exercises():
    assert tuple(LEVELS) == NAMES


def test_the_key_has_the_answers_and_the_sheet_in_front_of_it_has_not(tmp_path, capsys, monkeypatch):
    from pypdf import PdfReader

    out = tmp_path / "w.pdf"
    prompt = "A fluffy blue creature lived in the forest. One day the fluffy blue"
    options = ["--layer", "5", "--head", "1", "--temperature", "0.8", "--top-k", "40", "--top-p", "0.5"]
    assert main(["worksheet", prompt, *options, "--out", str(out)]) == 0
    pages = [page.extract_text() for page in PdfReader(out).pages]
    assert len(pages) == 8 and "4 exercises" in capsys.readouterr().out
    assert all("answers" not in page for page in pages[:4]) and all("answers" in page for page in pages[4:])
    assert "unrounded" not in "".join(pages[:4]) and "unrounded" in pages[4]
    from desktop_app.core.model import open_model
    from tests.scenes import BUNDLED

    scene = scene_of(open_model(BUNDLED), prompt, layer=5, head=1, sampling=Sampling(0.8, 40, 0.5))
    for n, exercise in enumerate(exercises(scene, tuple(LEVELS))):
        for row in exercise.rows:
            for entry in row:
                if entry.asked and len(entry.text) > 4:
                    assert entry.text in pages[4 + n]
                    given = [e.text for r in exercise.rows for e in r if not e.asked]
                    assert entry.text in given or entry.text not in pages[n]
    assert main(["worksheet", prompt, "--out", str(tmp_path / "w.png")]) == 2
    assert main(["worksheet", prompt, "--token", "99", "--out", str(tmp_path / "x.pdf")]) == 2


def test_every_page_stays_within_its_paper(scene):
    from desktop_app.figures import fonts
    from desktop_app.figures.marks import Words
    from desktop_app.figures.paper import HEIGHT, WIDTH
    from desktop_app.figures.worksheet import lay_out

    for exercise in exercises(scene, tuple(LEVELS)):
        for mark in lay_out(exercise, ("Prompt: x",), 1, key=True):
            if isinstance(mark, Words):
                wide = fonts.width(mark.text, mark.size, mono=mark.mono, bold=mark.bold)
                left = mark.x - wide if mark.align == "right" else mark.x
                assert left > 30 and left + wide < WIDTH - 30 and 30 < mark.y < HEIGHT - 30, mark.text
    assert worksheet_pdf(exercises(scene, ["dot"]), ("x",)).startswith(b"%PDF")
