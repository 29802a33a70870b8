"""`logitscope models get` as a user runs it: exit codes, output, and the environment variables that it follows."""

import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageSequence
from safetensors.numpy import load_file, save_file

from desktop_app.core.library.cache import find_snapshot
from desktop_app.core.library.references import HubName
from tests.hub import server
from tests.hub.fixtures import NAME

WEIGHTS = "model.safetensors"


def test_get_says_where_the_model_is_and_how_to_open_it(finish, hub, cache):
    status, out, err = finish("models", "get", NAME)
    folder = cache / "snapshots" / server.COMMIT
    assert status == 0 and str(folder) in out and f"--model {NAME}" in out
    assert WEIGHTS in err and "Traceback" not in err
    status, out, _ = finish("census", "--model", NAME, HF_HUB_OFFLINE="1")
    assert status == 0 and NAME in out


def test_several_branches_are_fetched_together_and_are_one_model_with_a_range(finish, hub, tiny):
    for n in (1, 2):
        hub.add("owner/grown", tiny, revision=f"step-{n}", commit=f"{n:040x}")
    status, out, err = finish("models", "get", "owner/grown@step-1", "owner/grown@step-2")
    assert status == 0 and out.count(" is on this machine: ") == 2 and "--model owner/grown@step-2" in out, err
    status, out, _ = finish("models", "list")
    (line,) = [line for line in out.splitlines() if line.startswith("owner/grown")]
    assert line.startswith("owner/grown@step-2") and line.endswith("on this machine; 2 snapshots, steps 1 to 2")


def test_branches_are_the_moments_of_a_clip_and_of_a_figure(finish, hub, tiny, tmp_path):
    later = tmp_path / "later"
    shutil.copytree(tiny, later)
    weights = load_file(later / WEIGHTS)
    save_file({name: 1.5 * array for name, array in weights.items()}, later / WEIGHTS)
    for n, folder in ((1, tiny), (2, later)):
        hub.add("owner/grown", folder, revision=f"step-{n}", commit=f"{n:040x}")
    assert finish("models", "get", "owner/grown@step-1", "owner/grown@step-2")[0] == 0
    asked = (
        "clip",
        "--ids",
        "1,2,3",
        "--step",
        "probabilities",
        "--training",
        "--model",
        "owner/grown@step-2",
        "--out",
    )
    for name in ("clip.gif", "ends.svg"):
        status, _, err = finish(*asked, str(tmp_path / name), HF_HUB_OFFLINE="1")
        assert status == 0, err
    with Image.open(tmp_path / "clip.gif") as film:
        moments = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    assert len({moment.tobytes() for moment in moments}) == 2
    words = " ".join(ElementTree.parse(tmp_path / "ends.svg").getroot().itertext())
    assert "After 1 step" in words and "After 2 steps" in words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("owner/nothing", "has no model owner/nothing"),
        (f"{NAME}@nowhere", "no branch, tag or commit 'nowhere'"),
        ("not a name", "write owner/name"),
    ],
)
def test_what_cannot_be_fetched_ends_with_2_and_one_sentence(finish, name, words):
    status, out, err = finish("models", "get", name)
    assert status == 2 and out == "" and words in err and err.count("\n") == 1


def test_offline_mode_is_kept_to(finish, hub):
    status, _, err = finish("models", "get", NAME, HF_HUB_OFFLINE="1")
    assert status == 2 and "HF_HUB_OFFLINE is set" in err and not hub.requests


def test_a_stored_token_is_used_and_the_cache_may_be_elsewhere(finish, hub, tmp_path, monkeypatch):
    hub.token = "hf_stored"
    home = tmp_path / "hf"
    home.mkdir()
    (home / "token").write_text("hf_stored")
    status, _, err = finish("models", "get", NAME, HF_HOME=str(home))
    assert status == 0, err
    monkeypatch.setenv("HF_HOME", str(home))
    assert find_snapshot(HubName(NAME)) is not None


def test_a_proxy_is_used_where_the_environment_names_one(finish, hub):
    proxy = {"HTTP_PROXY": hub.url, "NO_PROXY": "localhost", "HF_ENDPOINT": "http://hub.invalid"}
    status, _, err = finish("models", "get", NAME, **proxy)
    assert status == 0, err
    hosts = {r["headers"]["host"] for r in hub.requests}
    assert hosts == {"hub.invalid", f"localhost:{hub.storage.server_port}"}


def test_a_proxy_that_is_not_there_is_told(finish):
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "HF_ENDPOINT": "http://hub.invalid"}
    status, _, err = finish("models", "get", NAME, **proxy)
    assert status == 2 and "check the network, the proxy and HF_ENDPOINT" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HF_TOKEN", "hf_né", "HF_TOKEN or HF_ENDPOINT contains invalid characters"),
        ("HF_ENDPOINT", "not-an-address", "neither http nor https"),
        ("HF_ENDPOINT", "ftp://127.0.0.1", "neither http nor https"),
    ],
)
def test_variables_that_cannot_be_meant_are_named(finish, variable, value, words):
    status, out, err = finish("models", "get", NAME, **{variable: value})
    assert status == 2 and out == "" and words in err and err.count("\n") == 1


BAD_PORT = "http://bob:S3CRET@127.0.0.1:99999"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HF_TOKEN", "hf_S3CRET\x0bx"),
        ("HF_TOKEN", "S3CRET\x01"),
        ("HF_TOKEN", "hf_S3CRETné"),
        ("HF_TOKEN", "S3CRET" * 60 + "\x0b"),
        *(("HF_ENDPOINT", f"{address}") for address in (
            "http://bob:S3CRET@127.0.0.1:9", "ftp://bob:S3CRET@h", BAD_PORT, "http://bob:S3CRET PW@127.0.0.1:9",
            "http://[bob:S3CRET@127.0.0.1:9", "http://bob:S3CRET/PW@127.0.0.1:9", "bob:S3CRET@h",
        )),
        *(("HTTP_PROXY", f"{address}") for address in (
            "http://bob:S3CRET@127.0.0.1:9", "foo://bob:S3CRET@127.0.0.1:9", BAD_PORT, "http://bob:S3CRET@[h",
        )),
        ("ALL_PROXY", "socks5://bob:S3CRET@127.0.0.1:9"),
    ],
)  # fmt: skip
def test_no_message_holds_a_secret_and_each_is_a_sentence(finish, variable, value):
    status, out, err = finish("models", "get", NAME, **{variable: value})
    assert "S3CRET" not in out + err and "bob" not in out + err, err
    if status:  # the client may bypass a proxy for a hub on loopback, and accept any token
        assert status == 2 and "Traceback" not in err and err.splitlines()[-1].endswith(".")
        assert variable != "HF_TOKEN" or err.count("\n") == 1  # what cannot be sent is not retried
    else:
        assert variable != "HF_ENDPOINT"


def test_secrets_are_found_however_they_are_written(monkeypatch):
    from desktop_app.core.library.secrecy import without_secrets

    monkeypatch.setenv("HF_TOKEN", "tok\x0bSEC")
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:p%40ss@proxy:1")
    for written in ("tok\x0bSEC", repr("tok\x0bSEC"), repr(b"tok\x0bSEC"), "p%40ss", "p@ss", "ann:p@ss"):
        assert without_secrets(f"<{written}>").strip("<>'b") == "…"
    assert without_secrets("b'Bearer something else' hf_abcDEF123") == "b'Bearer …' …"
    assert (
        without_secrets("http://ann:pw@host:1/x and someone@example.org") == "http://host:1/x and someone@example.org"
    )
