"""`logitscope models get` as a person runs it: exit codes, what it prints, and the environment it keeps to."""

import pytest

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
        ("HF_TOKEN", "hf_né", "HF_TOKEN or HF_ENDPOINT holds characters"),
        ("HF_ENDPOINT", "not-an-address", "neither http nor https"),
        ("HF_ENDPOINT", "ftp://127.0.0.1", "neither http nor https"),
    ],
)
def test_variables_that_cannot_be_meant_are_named(finish, variable, value, words):
    status, out, err = finish("models", "get", NAME, **{variable: value})
    assert status == 2 and out == "" and words in err and err.count("\n") == 1
