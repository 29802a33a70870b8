"""`logitscope circuits` and `directions`: what they write, print and refuse."""

import json

import numpy as np
import pytest

from desktop_app import cli
from desktop_app.core.analysis import circuits, directions
from desktop_app.core.analysis.directions import Term
from desktop_app.core.program.bundle import default_model
from desktop_app.gpt2.checkpoint import load_checkpoint
from tests.checkpoints import TINY, write_checkpoint


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", TINY, tokenizer=False)


@pytest.fixture
def command(capfd):
    """Runs a command in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        status = cli.main(list(map(str, arguments)))
        return status, *capfd.readouterr()

    return run


def test_circuits_writes_every_pair_and_every_head(command, tiny, tmp_path):
    out = tmp_path / "c.npz"
    status, said, err = command("circuits", "--model", tiny, "--out", out)
    assert (status, err, said.count("\n")) == (0, "", 1)
    expected = circuits.compute(load_checkpoint(tiny)).arrays()
    with np.load(out, allow_pickle=False) as archive:
        assert set(archive) == {*expected, "about"}
        for name, array in expected.items():
            assert archive[name] == pytest.approx(array, abs=1e-6, nan_ok=True)
        for name in ("composition_q", "composition_k", "composition_v"):
            there = np.isfinite(archive[name])
            assert there.shape == (2, 3, 2, 3)
            assert there[0, :, 1].all() and there.sum() == 9
        assert archive["copying"].shape == (2, 3)
        assert json.loads(str(archive["about"]))["command"] == "circuits"


def test_circuits_prints_the_strongest_pairs_and_what_copies(command, tiny):
    status, said, err = command("circuits", "--model", tiny)
    assert (status, err) == (0, "")
    made = circuits.compute(load_checkpoint(tiny))
    kind, earlier, later, score = circuits.strongest(made, 1)[0]
    first = said.splitlines()[2].split()
    assert first[:2] == ["its", {"q": "query", "k": "key", "v": "value"}[kind]]
    assert first[2:5] == ["L{}H{}".format(*earlier), "L{}H{}".format(*later), f"{score:.4f}"]
    assert f"{made.copying[1, 2]:+.3f}" in said.splitlines()[-1]


def test_directions_prints_a_table_and_json_best_first(command):
    status, said, err = command("directions", "uncle - man + woman = aunt")
    assert (status, err) == (0, "")
    assert said.splitlines()[1].startswith("'·aunt'")
    assert "'·aunt' has rank 1." in said
    status, said, err = command("directions", "uncle - man + woman", "--json", "--top", "3")
    results = json.loads(said)["results"]
    assert (status, err, [set(one) for one in results]) == (0, "", [{"token", "id", "cosine"}] * 3)
    assert results[0]["token"] == " aunt"
    assert [one["cosine"] for one in results] == sorted((one["cosine"] for one in results), reverse=True)


def test_directions_leaves_components_out_and_writes_what_it_found(command, tmp_path):
    status, _, _ = command("directions", "cat", "--without-top", "2", "--out", tmp_path / "d.npz")
    assert status == 0
    checkpoint = load_checkpoint(default_model())
    with np.load(tmp_path / "d.npz", allow_pickle=False) as archive:
        cat = json.loads(command("directions", "dog = cat", "--json")[1])["answer"]["id"]
        expected = directions.arithmetic(checkpoint, [Term(1, cat)], without=2)
        assert archive["ids"].tolist() == expected.ids.tolist()
        assert archive["cosines"] == pytest.approx(expected.cosines, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["directions", "uncle -man"], "separate words and signs"),
        (["directions", "Warszawa"], "is 4 tokens"),
        (["directions", "xqzvkj"], "' xqzvkj' is 7 tokens ('·', 'x', 'q', 'z', 'v', 'k', …), with the space"),
        (["directions", "cat + dog - cat - dog"], "its terms cancel"),
        (["directions", "cat", "--top", "0"], "--top is 0"),
        (["directions", "cat", "--without-top", "320"], "from 0 to 319"),
        (["circuits", "--out", "f.csv"], "neither .npz nor .safetensors"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(command, arguments, words):
    status, said, err = command(*arguments)
    assert (status, said, err.count("\n")) == (2, "", 1)
    assert words in err


def test_a_model_without_a_tokenizer_has_no_words(command, tiny):
    status, _, err = command("directions", "cat", "--model", tiny)
    assert status == 2 and "no tokenizer" in err
