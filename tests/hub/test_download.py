"""Downloads from the hub into the cache: what is requested, every fault, and what remains on disk."""

import errno
import gzip
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from functools import partial

import pytest

from desktop_app.core.library import bounded
from desktop_app.core.library import hub as client
from desktop_app.core.library.cache import cached_models, find_snapshot
from desktop_app.core.library.find import find_model
from desktop_app.core.library.references import HubName, parse_hub_name
from desktop_app.core.model import open_model
from desktop_app.gpt2.errors import ModelError
from tests.checkpoints import random_weights, store_weights
from tests.hub import server
from tests.hub.conftest import CONFIG
from tests.hub.fixtures import NAME

WEIGHTS = "model.safetensors"
FILES = {"config.json", "vocab.json", "merges.txt", WEIGHTS}


def fetch(name=NAME, progress=lambda _: None):
    return client.download(parse_hub_name(name), progress)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def no_model_is_offered():
    return find_snapshot(HubName(NAME)) is None and not any(not found.missing for found in cached_models())


def test_a_download_is_a_model_that_opens(hub, tiny, cache):
    folder = fetch()
    assert contents(folder) == contents(tiny)
    assert find_model(NAME) == folder
    assert (cache / "refs" / "main").read_text() == server.COMMIT
    assert all(path.is_symlink() and path.resolve().parent == cache / "blobs" for path in folder.iterdir())
    assert open_model(folder).name == NAME


def test_only_config_tokenizer_and_safetensors_files_are_asked_for(hub):
    fetch()
    assert hub.fetched() == FILES


def test_a_model_that_is_there_is_not_fetched_again(hub):
    fetch()
    hub.requests.clear()
    fetch()
    assert not hub.fetched()


def test_progress_counts_bytes_up_to_the_sum_of_all_files(hub, tiny):
    seen = []
    hub.piece = 1 << 12
    fetch(progress=seen.append)
    total = sum(path.stat().st_size for path in tiny.iterdir())
    assert seen[-1].done == seen[-1].total == total
    assert [p.done for p in seen] == sorted(p.done for p in seen)


def test_a_config_of_another_architecture_is_refused_before_the_weights_are_fetched(hub, tiny):
    hub.add("owner/bert", tiny, {"config.json": json.dumps({"model_type": "bert"}).encode()})
    with pytest.raises(ModelError, match="model_type is 'bert'"):
        fetch("owner/bert")
    assert WEIGHTS not in hub.fetched()
    assert find_snapshot(HubName("owner/bert")) is None


def test_a_repository_without_safetensors_is_told_why_its_pickle_is_not_fetched(hub):
    hub.add("owner/old", files={"config.json": b"{}", "vocab.json": b"{}", "pytorch_model.bin": b"\x80\x04"})
    with pytest.raises(ModelError, match=r"has no safetensors files; pickled weights"):
        fetch("owner/old")
    assert not hub.fetched()


def test_shards_and_their_index_are_fetched(hub, tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "sharded", ignore=shutil.ignore_patterns("*.safetensors"))
    store_weights(tmp_path / "sharded", random_weights(CONFIG), shards=3)
    hub.add("owner/sharded", tmp_path / "sharded")
    assert contents(fetch("owner/sharded")) == contents(tmp_path / "sharded")


def test_a_revision_is_fetched_beside_the_main_one(hub, tiny):
    hub.add(NAME, tiny, {"merges.txt": b"#version: 0.2\n\n"}, revision="v2", commit=server.OTHER_COMMIT)
    main, other = fetch(), fetch(f"{NAME}@v2")
    assert (other.name, find_model(f"{NAME}@v2"), find_model(NAME)) == (server.OTHER_COMMIT, other, main)
    assert find_model(f"{NAME}@{server.OTHER_COMMIT[:7]}") == other
    assert (other / WEIGHTS).resolve() == (main / WEIGHTS).resolve(), "the same content is kept once"


def test_where_links_are_switched_off_the_snapshot_holds_the_files_themselves(hub, tiny, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    folder = fetch()
    assert contents(folder) == contents(tiny) and not any(path.is_symlink() for path in folder.iterdir())
    hub.requests.clear()
    fetch()
    assert not hub.fetched()


# Faults of the connection


def test_a_download_that_is_cut_goes_on_where_it_was(hub, tiny):
    size = (tiny / WEIGHTS).stat().st_size
    hub.fault(WEIGHTS, server.cut(5000), server.cut(0), server.cut(9000), role="storage")
    folder = fetch()
    assert contents(folder) == contents(tiny)
    starts = [r["headers"].get("range") for r in hub.asked(WEIGHTS, "storage")]
    assert starts == [None, "bytes=5000-", "bytes=5000-", "bytes=14000-"] and size > 14000


def test_a_line_that_stays_cut_ends_in_a_sentence_and_the_next_try_resumes(hub, tiny, cache):
    hub.fault(WEIGHTS, *[server.cut(3000)], *[server.cut(0)] * client.MOST_TRIES, role="storage")
    with pytest.raises(ModelError, match=r"broke off.*continues where it stopped\.$"):
        fetch()
    assert no_model_is_offered()
    (partial,) = (cache / "blobs").glob("*.incomplete")
    assert partial.stat().st_size == 3000
    hub.faults.clear()
    hub.requests.clear()
    assert contents(fetch()) == contents(tiny)
    assert [r["headers"]["range"] for r in hub.asked(WEIGHTS, "storage")] == ["bytes=3000-"]


def test_a_slow_trickle_arrives(hub, tiny):
    hub.piece, hub.delay = 1 << 13, 0.01
    seen = []
    assert contents(fetch(progress=seen.append)) == contents(tiny)


def test_a_server_that_sends_all_again_instead_of_the_rest_is_understood(hub, tiny):
    hub.fault(WEIGHTS, server.cut(5000), server.no_ranges, role="storage")
    assert contents(fetch()) == contents(tiny)


@pytest.mark.parametrize("role", ["hub", "storage"])
def test_a_fault_of_the_server_that_passes_is_waited_out(hub, tiny, role):
    hub.fault(WEIGHTS, server.status(500), server.status(503), role=role)
    assert contents(fetch()) == contents(tiny)


def test_a_fault_in_the_listing_that_passes_is_waited_out(hub, tiny):
    hub.fault("/revision/main", server.status(500), server.status(429))
    assert contents(fetch()) == contents(tiny)


def test_too_many_requests_are_waited_out_for_as_long_as_the_hub_asks(hub, tiny, monkeypatch):
    slept, seen = [], []
    monkeypatch.setattr(client.time, "sleep", slept.append)
    hub.fault(WEIGHTS, server.status(429, Retry_After="7"), role="hub")
    assert contents(fetch(progress=seen.append)) == contents(tiny)
    assert slept == [7]
    assert any(p.note == "the hub asks to wait 7 s" for p in seen)


INVALID = "Invalid credentials in Authorization header"
REFUSALS = {
    "a token that is not accepted": ("401", server.status(401, X_Error_Message=INVALID), "does not accept the token"),
    "forbidden": ("403", server.status(403), "refuses to give"),
    "a file that is gone": ("404", server.status(404, X_Error_Code="EntryNotFound"), r"\(404\)"),
    "an hour to wait": ("429", server.status(429, Retry_After="3600"), r"too many requests.*in 3600 seconds"),
    "an answer that makes no sense": ("418", server.status(418), "answered 418"),
    "redirects without end": ("302", None, "redirects endlessly"),
    "a redirect to a file": ("302", server.to("file:///etc/passwd"), "neither http nor https"),
    "another length": ("200", server.other_length, r"sends [\d,]+ bytes as model.safetensors"),
    "another hash": ("200", server.other_bytes, "another checksum than the hub announced"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_refusal_is_one_sentence_and_the_next_try_starts_clean(hub, tiny, cache, fault):
    _, action, words = REFUSALS[fault]
    if action is None:
        action = server.to(f"{hub.url}/{NAME}/resolve/{server.COMMIT}/{WEIGHTS}")
    hub.fault(WEIGHTS, *[action] * 40)
    with pytest.raises(ModelError, match=words) as told:
        fetch()
    assert str(told.value).endswith(".") and "\n" not in str(told.value) and len(str(told.value)) < 300
    assert no_model_is_offered()
    hub.faults.clear()
    assert contents(fetch()) == contents(tiny)


def test_a_fault_that_stays_is_told(hub):
    hub.fault("/revision/main", *[server.status(500)] * client.MOST_TRIES)
    with pytest.raises(ModelError, match=r"has an internal error \(500\)"):
        fetch()


NO_HUB = (
    b"<html>Log in to the airport's network</html>",
    b"[]",
    b"null",
    b'{"siblings": 3}',
    b'{"id": 1, "sha": {}}',
    b'{"id": "a/b", "sha": "main", "siblings": []}',
    b'{"id": "a/b", "siblings": [{"size": 3}]}',
    b"[" * 200_000,
    b'{"sha": "\xff"}',
    b'{"sha": 7, "siblings": []}',
    b'{"sha": NaN}',
    b'{"sha": ' + b"1" * 5000 + b"}",
    *(
        b'{"id": "a/b", "sha": "%s", "siblings": [%s]}' % (server.COMMIT.encode(), row)
        for row in (
            b"3",
            b'{"rfilename": 3}',
            b'{"rfilename": null}',
            b'{"rfilename": "\\ud800"}',
            b'{"rfilename": "config.json", "size": "12"}',
            b'{"rfilename": "config.json", "size": [1]}',
            b'{"rfilename": "config.json", "size": true}',
            b'{"rfilename": "config.json", "size": -1}',
            b'{"rfilename": "config.json", "size": 3, "blobId": 7}',
            b'{"rfilename": "config.json", "lfs": {"sha256": 5, "size": 3}}',
            b'{"rfilename": "config.json", "lfs": {"sha256": "a", "size": 1e400}}',
        )
    ),
)


@pytest.mark.parametrize("answer", NO_HUB)
def test_an_answer_that_is_no_hubs_is_told(hub, answer):
    hub.fault("/revision/main", lambda handler, _path: handler.reply(200, answer))
    with pytest.raises(ModelError, match=r"check (that )?HF_ENDPOINT"):
        fetch()


def endless(handler, _path, *, code=200, pause=0.0, headers=()):
    """Endless spaces, which JSON allows in front."""
    handler.send_response(code)
    for key, value in headers:
        handler.send_header(key, value)
    handler.send_header("Connection", "close")
    handler.end_headers()
    piece = b" " * (1 if pause else 1 << 16)
    for _ in range(4000):  # 250 MB
        handler.wfile.write(piece)
        handler.wfile.flush()
        time.sleep(pause)
    raise server.Fault


def test_a_listing_without_end_is_given_up(hub):
    hub.fault("/revision/main", endless)
    with pytest.raises(ModelError, match=r"list of files of owner/tiny has more than 16\.8 MB"):
        fetch()


def test_a_listing_that_unpacks_to_more_than_was_sent_is_not_unpacked(hub):
    bomb = gzip.compress(b" " * (64 << 20))
    hub.fault("/revision/main", lambda handler, _path: handler.reply(200, bomb, {"Content-Encoding": "gzip"}))
    with pytest.raises(ModelError, match="sends compressed data, although plain data was requested"):
        fetch()


def test_a_listing_that_comes_byte_by_byte_is_given_up_as_a_whole(hub, monkeypatch):
    """The timeout between two reads would never end it."""
    monkeypatch.setattr(client, "_LISTING_SECONDS", 0.05)
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)
    hub.fault("/revision/main", *[partial(endless, pause=0.01)] * client.MOST_TRIES)
    with pytest.raises(ModelError, match="does not answer"):
        fetch()
    assert len(hub.asked("/revision/main")) == client.MOST_TRIES


def test_weights_whose_names_differ_in_case_alone_are_refused_before_anything_is_fetched(hub, tiny):
    """Where case is ignored, the second would replace the first."""
    index = json.dumps({"metadata": {}, "weight_map": {"wte.weight": "A.safetensors", "wpe.weight": "a.safetensors"}})
    files = {path.name: path.read_bytes() for path in tiny.iterdir() if path.name != WEIGHTS}
    files |= {"model.safetensors.index.json": index.encode(), "A.safetensors": b"1", "a.safetensors": b"2"}
    hub.add("owner/cased", files=files)
    with pytest.raises(ModelError, match=r"has A\.safetensors and a\.safetensors, which are one file where case is ig"):
        fetch("owner/cased")
    assert not hub.fetched()


def header_by_byte(handler, _path):
    """Begin headers, and never end them."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(1000):
        handler.wfile.write(b"x")
        time.sleep(0.02)
    raise server.Fault


@pytest.mark.parametrize("ends", ["/revision/main", "config.json", WEIGHTS])
def test_headers_that_come_byte_by_byte_are_given_up(hub, tiny, monkeypatch, ends):
    """The timeout between two reads would never end them, and there is no response yet whose bytes could be counted."""
    monkeypatch.setattr(client, "_HEADERS_SECONDS", 1.0)
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)
    role = "storage" if ends == WEIGHTS else "hub"
    hub.fault(ends, *[header_by_byte] * client.MOST_TRIES, role=role)
    with pytest.raises(ModelError, match="does not answer"):
        fetch()
    assert len(hub.asked(ends, role)) == client.MOST_TRIES
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    monkeypatch.setattr(client, "_HEADERS_SECONDS", 60.0)
    assert contents(fetch()) == contents(tiny)


def test_an_error_without_end_is_given_up(hub):
    hub.fault("/revision/main", partial(endless, code=404))
    with pytest.raises(ModelError, match="An error of the hub has more than"):
        fetch()


def test_a_content_that_hardly_comes_counts_as_broken_off(hub, tiny, monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(bounded.Pace, "seconds", 0.0)
    monkeypatch.setattr(hub, "piece", 16)
    with pytest.raises(ModelError, match="does not answer"):
        fetch()
    assert len(hub.asked("config.json", "hub")) == client.MOST_TRIES


def test_bad_bytes_of_an_earlier_try_are_replaced(hub, tiny, cache):
    fetch()
    (blob,) = [(cache / "blobs" / (cache / "snapshots" / server.COMMIT / WEIGHTS).resolve().name)]
    size = blob.stat().st_size
    blob.unlink()
    blob.with_name(blob.name + ".incomplete").write_bytes(bytes(1000))
    assert contents(fetch()) == contents(tiny) and blob.stat().st_size == size
    # Also if the partial file has more bytes than the whole one.
    blob.unlink()
    blob.with_name(blob.name + ".incomplete").write_bytes(bytes(size + 5))
    assert contents(fetch()) == contents(tiny)


def test_a_small_file_is_checked_by_its_git_hash(hub, cache):
    hub.fault("vocab.json", *[server.other_bytes] * 2)
    with pytest.raises(ModelError, match=r"vocab\.json of owner/tiny arrived with another checksum"):
        fetch()
    assert no_model_is_offered()


def test_a_listing_whose_hash_is_a_path_is_refused(hub, own_home):
    hub.announced[WEIGHTS] = {"sha256": "../../../../evil"}
    with pytest.raises(ModelError, match=r"gives no checksum of model\.safetensors"):
        fetch()
    assert not list(own_home.rglob("evil*"))


@pytest.mark.parametrize("name", ["../../../evil.safetensors", "/tmp/evil.json", "a/../../evil.json", "..\\evil.json"])
def test_a_file_name_that_climbs_out_of_the_folder_ends_it(hub, own_home, tiny, name):
    hub.add(NAME, tiny, {name: b"x"})
    with pytest.raises(ModelError, match="leads out of its folder; nothing was fetched"):
        fetch()
    assert not hub.fetched()
    assert not list(own_home.rglob("*evil*"))


def test_an_index_that_points_out_of_the_folder_makes_no_model(hub, tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors"))
    store_weights(tmp_path / "m", random_weights(CONFIG), shards=2)
    index = {"weight_map": {"wte.weight": "../../../outside.safetensors"}}
    (tmp_path / "m" / "model.safetensors.index.json").write_text(json.dumps(index))
    hub.add("owner/climbs", tmp_path / "m")
    with pytest.raises(ModelError, match="outside"):
        fetch("owner/climbs")
    assert find_snapshot(HubName("owner/climbs")) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("owner/nothing", "has no model owner/nothing, or it is private"),
        (f"{NAME}@nowhere", "no branch, tag or commit"),
    ],
)
def test_what_the_hub_does_not_have_is_said(hub, name, words):
    with pytest.raises(ModelError, match=words):
        fetch(name)


def test_the_token_goes_to_the_hub_and_to_no_other_host(hub, monkeypatch, tiny):
    hub.token = "hf_secret"
    with pytest.raises(ModelError, match="or it is private: check the name, or set HF_TOKEN"):
        fetch()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert contents(fetch()) == contents(tiny)
    assert hub.asked(WEIGHTS, "storage")
    assert not any("authorization" in r["headers"] for r in hub.requests if r["role"] == "storage")


def test_a_hub_that_cannot_be_reached_is_named(hub, monkeypatch):
    from huggingface_hub import constants

    hub.front.server_close()
    hub.front.shutdown()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"^127\.0\.0\.1:9 cannot be reached"):
        fetch()


# The disk


def test_a_model_larger_than_the_free_disk_is_refused_with_the_numbers(hub):
    hub.announced[WEIGHTS] = {"size": 10**15}
    with pytest.raises(ModelError, match=r"needs 1000000 GB and the disk that holds .* free"):
        fetch()
    assert not hub.fetched()


def test_a_disk_that_fills_on_the_way_is_told_and_the_download_goes_on_later(hub, small_disk, monkeypatch, tiny):
    monkeypatch.setenv("HF_HOME", str(small_disk))
    large = {**contents(tiny), WEIGHTS: (tiny / WEIGHTS).read_bytes()}
    hub.add(NAME, files=large)
    filler = small_disk / "filler"
    free = shutil.disk_usage(small_disk).free

    def fill(handler, path):
        filler.write_bytes(bytes(free - 60_000))
        server.content(handler, path)
        handler.respond(path)

    hub.fault(WEIGHTS, fill, role="storage")
    with pytest.raises(ModelError, match=r"The disk that holds .* is full.*continues where it stopped\.$"):
        fetch()
    assert no_model_is_offered()
    filler.unlink()
    assert contents(fetch()) == contents(tiny)


def test_a_cache_that_cannot_be_written_is_named(hub, own_home):
    (own_home / "huggingface" / "hub").write_text("a file where the folder should be")
    with pytest.raises(ModelError, match=r"owner/tiny could not be stored: .*hub"):
        fetch()


def test_two_downloads_of_the_same_file_do_not_mix(hub, command, cache):
    hub.piece, hub.delay = 4096, 0.05
    first = command("models", "get", NAME)
    deadline = time.monotonic() + 30
    while not list(cache.glob("blobs/*.incomplete")) or not hub.asked(WEIGHTS, "storage"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(ModelError, match="is being fetched by another program"):
        fetch()
    assert first.wait(60) == 0
    assert find_model(NAME)


# Ended from outside


def arrived(cache):
    """Bytes of a download that are in the cache; the process may rename a file meanwhile."""
    total = 0
    for path in cache.glob("blobs/*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def test_killed_at_ten_moments_a_download_never_leaves_a_broken_model(hub, command, tiny, cache):
    """SIGKILL after 1 to 10 tenths of the pieces; then the download resumes and completes."""
    hub.piece, hub.delay = 4096, 0.004
    total = (tiny / WEIGHTS).stat().st_size
    resumed = 0
    for tenth in range(10):
        shutil.rmtree(cache, ignore_errors=True)
        process = command("models", "get", NAME)
        wanted = max(1, total * tenth // 10)
        deadline = time.monotonic() + 60
        while process.poll() is None and arrived(cache) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = find_snapshot(HubName(NAME))
        assert found is None or contents(found) == contents(tiny)
        left = [p.stat().st_size for p in cache.glob("blobs/*.incomplete")]
        hub.requests.clear()
        hub.delay = 0
        assert contents(fetch()) == contents(tiny)
        resumed += sum("range" in r["headers"] for r in hub.asked(WEIGHTS, "storage"))
        hub.delay = 0.004
        assert not left or hub.requests
    assert resumed >= 5, "what was there is not fetched again"


def test_interrupted_at_the_keyboard_a_download_ends_at_once_and_goes_on_later(hub, command, cache, tiny):
    hub.piece, hub.delay = 4096, 0.5
    process = command("models", "get", NAME)
    deadline = time.monotonic() + 30
    while not hub.asked(WEIGHTS, "storage"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while (
        process.poll() is None
    ):  # Python drops the interrupt if it comes in a destructor: then Ctrl+C is pressed again
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    assert process.returncode == 130
    assert no_model_is_offered()
    hub.delay = 0
    assert contents(fetch()) == contents(tiny)


def test_an_error_of_the_disk_is_no_hub_error(hub, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "blob")

    monkeypatch.setattr(client, "_request", fail)
    with pytest.raises(ModelError, match=r"could not be stored: blob: Input/output error"):
        fetch()
