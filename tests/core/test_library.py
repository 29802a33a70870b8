"""How models are named, found, listed, remembered and removed; the memory they need; and what `models check` finds."""

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from desktop_app import cli
from desktop_app.core.library import memory
from desktop_app.core.library.cache import cached_models, hub_cache, missing_files
from desktop_app.core.library.catalogue import hub_entries, title_of
from desktop_app.core.library.find import find_model
from desktop_app.core.library.folders import folders_file, forget_folder, remember_folder, remembered_folders
from desktop_app.core.library.listing import list_models
from desktop_app.core.library.memory import needed, too_large
from desktop_app.core.library.progress import Meter, Progress, in_bytes, in_millions, in_time
from desktop_app.core.library.references import HubName, parse_hub_name
from desktop_app.core.library.remove import remove_model
from desktop_app.core.library.worker import fetch
from desktop_app.core.program.bundle import bundled_models, default_model, snapshots
from desktop_app.gpt2.config import Config, load_config
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.weights import parameter_count
from tests.checkpoints import TINY, random_weights, store_weights, write_checkpoint

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {**TINY, "vocab_size": 257, "n_positions": 48}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


def put_in_cache(name, folder, *, commit=COMMIT, revision="main", without=()):
    """A snapshot as huggingface_hub lays it out, links to blobs included."""
    storage = hub_cache() / ("models--" + name.replace("/", "--"))
    snapshot = storage / "snapshots" / commit
    for part in (snapshot, storage / "blobs", storage / "refs"):
        part.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in without:
            blob = storage / "blobs" / f"{path.name}-of-{commit[:4]}"
            blob.write_bytes(path.read_bytes())
            (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))
    (storage / "refs" / revision).write_text(commit)
    return snapshot


# Names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openai-community/gpt2", HubName("openai-community/gpt2")),
        (" distilbert/distilgpt2 ", HubName("distilbert/distilgpt2")),
        ("https://huggingface.co/microsoft/DialoGPT-small/", HubName("microsoft/DialoGPT-small")),
        ("a/b@refs/pr/3", HubName("a/b", "refs/pr/3")),
        ("gpt2@v1.0", HubName("gpt2", "v1.0")),
        (f"a_b/c.d-e@{COMMIT}", HubName("a_b/c.d-e", COMMIT)),
    ],
)
def test_names_of_the_hub_are_read(text, expected):
    assert parse_hub_name(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a/b/c", "../b", "a/..", "a/b@", "a/b@../../x", "a/b@x//y", "a/b@-rf", "a--b/c", "a b/c", "a/b\0", "/a", "a/",
     "a\\b", "a/b@x\ny", ".a/b", "é/b", "a" * 200],
)  # fmt: skip
def test_what_is_no_name_of_the_hub_is_refused_in_one_sentence(text):
    with pytest.raises(ModelError, match=r"write owner/name, like openai-community/gpt2") as told:
        parse_hub_name(text)
    assert "\n" not in str(told.value) and len(str(told.value)) < 300


@given(st.text(max_size=60))
def test_any_text_is_a_name_that_stays_below_its_folder_or_is_refused(text):
    try:
        name = parse_hub_name(text)
    except ModelError:
        return
    assert ".." not in f"{name.repository}/{name.revision}".split("/")
    assert not name.repository.startswith("/") and name.repository.count("/") <= 1
    assert parse_hub_name(str(name)) == name


@given(st.text(alphabet="ab/.@~-_\\ \0\ud800é", max_size=12))
def test_any_text_finds_a_path_or_gets_a_sentence(text):
    try:
        assert isinstance(find_model(text), Path)
    except LogitscopeError as reason:
        assert str(reason).endswith((".", text, "main")) or "models get" in str(reason)


def test_a_folder_is_meant_before_a_bundled_model_and_that_before_the_hub(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model("bundled") == default_model()
    (tmp_path / "bundled").mkdir()
    assert find_model("bundled") == Path("bundled")
    snapshot = put_in_cache("owner/tiny", tiny)
    assert find_model("owner/tiny") == snapshot
    (tmp_path / "owner" / "tiny").mkdir(parents=True)
    assert find_model("owner/tiny") == Path("owner/tiny")


def test_the_address_of_a_models_page_names_it(tiny):
    page = "https://huggingface.co/owner/tiny"
    with pytest.raises(ModelError, match=r"models get owner/tiny$"):
        find_model(page)
    assert put_in_cache("owner/tiny", tiny) == find_model(page)


def test_a_short_name_finds_what_was_cached_under_it_or_under_its_full_name(tiny):
    with pytest.raises(ModelError, match=r"models get openai-community/gpt2$"):
        find_model("gpt2")
    full = put_in_cache("openai-community/gpt2", tiny)
    assert find_model("gpt2") == full
    short = put_in_cache("gpt2", tiny)
    assert find_model("gpt2") == short and find_model("openai-community/gpt2") == full


@pytest.mark.parametrize("without", ["config.json", "model.safetensors", "merges.txt"])
def test_what_is_in_the_cache_in_part_is_not_found_and_the_sentence_says_how_to_get_it(tiny, without):
    put_in_cache("owner/tiny", tiny, without=[without])
    with pytest.raises(ModelError, match=r"owner/tiny is not on this machine; get it with: .* models get owner/tiny"):
        find_model("owner/tiny")


def test_every_command_takes_a_model_of_the_cache(tiny, capfd):
    put_in_cache("owner/tiny", tiny)
    assert cli.main(["census", "--model", "owner/tiny"]) == 0
    assert cli.main(["generate", "A", "-n", "2", "--greedy", "--model", "sorter"]) == 0
    assert cli.main(["census", "--model", "owner/other"]) == 2
    assert "models get owner/other" in capfd.readouterr().err


# The cache


def test_the_cache_is_where_huggingface_hub_has_it(tmp_path):
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
    cases = [
        {},
        {"XDG_CACHE_HOME": "/x/cache"},
        {"HF_HOME": "~/hf"},
        {"HF_HOME": "$HOME/own", "XDG_CACHE_HOME": "/x"},
        {"HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/h"},
        {"HF_HUB_CACHE": "~/new", "HUGGINGFACE_HUB_CACHE": "/old"},
    ]
    program = "from huggingface_hub.constants import HF_HUB_CACHE as c; from desktop_app.core.library.cache import *; "
    program += "print(c); print(hub_cache())"
    clean = {k: v for k, v in os.environ.items() if k not in names} | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for case in cases:
        done = subprocess.run(
            [sys.executable, "-c", program], env=clean | case, capture_output=True, text=True, check=True
        )
        theirs, ours = done.stdout.splitlines()
        assert ours == theirs


def test_models_of_other_architectures_in_the_cache_are_passed_over(tiny, tmp_path):
    other = write_checkpoint(tmp_path / "bert", CONFIG)
    (other / "config.json").write_text('{"model_type": "bert"}')
    put_in_cache("owner/bert", other)
    put_in_cache("owner/tiny", tiny)
    put_in_cache("owner/half", tiny, without=["vocab.json"])
    found = {str(c.name): c.missing for c in cached_models()}
    assert found == {"owner/tiny": (), "owner/half": ("vocab.json",)}


def test_a_snapshot_is_listed_by_its_branch_or_else_by_its_commit(tiny):
    put_in_cache("owner/tiny", tiny)
    put_in_cache("owner/tiny", tiny, commit="f" * 40, revision="v2")
    third = put_in_cache("owner/tiny", tiny, commit="e" * 40, revision="gone")
    (third.parent.parent / "refs" / "gone").unlink()
    assert {str(c.name) for c in cached_models()} == {"owner/tiny", "owner/tiny@v2", "owner/tiny@eeeeeee"}
    assert find_model("owner/tiny@eeeeeee") == third


def test_a_damaged_cache_lists_what_is_left(tiny):
    storage = put_in_cache("owner/tiny", tiny).parent.parent
    (storage / "refs" / "main").write_bytes(b"../../../../etc\xff")
    (hub_cache() / "models--x").write_text("a file")
    (hub_cache() / "models--y" / "snapshots").mkdir(parents=True)
    (hub_cache() / "models--y" / "snapshots" / "loop").symlink_to("loop")
    assert [str(c.name) for c in cached_models()] == [f"owner/tiny@{COMMIT[:7]}"]


def test_every_shard_that_the_index_names_must_be_there(tiny, tmp_path):
    folder = write_checkpoint(tmp_path / "m", CONFIG)
    (folder / "model.safetensors").unlink()
    store_weights(folder, random_weights(CONFIG), shards=3)
    assert missing_files(folder) == ()
    (folder / "model-00002-of-00003.safetensors").unlink()
    assert missing_files(folder) == ("model-00002-of-00003.safetensors",)


# The list


def test_the_list_has_every_model_once_and_each_opens_by_its_reference(tiny, tmp_path):
    put_in_cache("openai-community/gpt2", tiny)
    remember_folder(tiny)
    rows = {row.reference: row for row in list_models()}
    assert len(rows) == len(list_models())
    assert {*bundled_models(), str(tiny), "openai-community/gpt2-xl"} <= rows.keys()
    for row in rows.values():
        if row.ready:
            assert find_model(row.reference).resolve() == row.folder.resolve()
    assert rows["openai-community/gpt2"].title == "GPT-2 small" and rows["openai-community/gpt2"].ready


def test_folders_are_remembered_until_they_are_forgotten(tmp_path):
    for name in ("one", "two ünï", "one"):
        remember_folder(tmp_path / name)
    assert remembered_folders() == (tmp_path / "one", tmp_path / "two ünï")
    assert forget_folder(tmp_path / "one") and not forget_folder(tmp_path / "one")
    assert remembered_folders() == (tmp_path / "two ünï",)


def test_a_folder_in_another_case_is_the_same_where_the_file_system_ignores_case(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "RUN").symlink_to("run")  # as there: two names that differ in case, and one folder
    remember_folder(tmp_path / "run")
    remember_folder(tmp_path / "RUN")
    assert remembered_folders() == (tmp_path / "run",)
    assert forget_folder(tmp_path / "RUN") and remembered_folders() == ()


def test_where_case_counts_they_are_two_folders(tmp_path):
    for name in ("run", "RUN"):
        (tmp_path / name).mkdir()
        remember_folder(tmp_path / name)
    assert remembered_folders() == (tmp_path / "run", tmp_path / "RUN")
    assert forget_folder(tmp_path / "RUN") and remembered_folders() == (tmp_path / "run",)


def test_a_folder_that_the_list_names_a_thousand_times_is_listed_once(tiny):
    folders_file().parent.mkdir(parents=True, exist_ok=True)
    folders_file().write_text(json.dumps({"folders": [str(tiny)] * 1000}))
    assert remembered_folders() == (tiny,)
    assert [row.reference for row in list_models()].count(str(tiny)) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"folders": 3}', '{"folders": [1, null, "", "a\\u0000b"]}', "\0"])
def test_a_damaged_list_of_folders_is_empty_and_can_be_written_anew(text, tmp_path):
    folders_file().parent.mkdir(parents=True)
    folders_file().write_text(text)
    assert remembered_folders() == ()
    remember_folder(tmp_path)
    assert remembered_folders() == (tmp_path,)


def test_a_folder_that_is_gone_or_broken_is_a_row_that_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.json").write_text("{")
    unreadable = "x" * 300  # stat fails, as on a lost network share or without permission
    for name in ("empty", "bad", "gone", unreadable):
        remember_folder(tmp_path / name)
    states = {row.title: (row.state, row.ready) for row in list_models() if row.kind == "folder"}
    assert states == {
        "empty": ("config.json is missing", False),
        "bad": ("config.json cannot be used", False),
        "gone": ("the folder is gone", False),
        unreadable: ("cannot be read: File name too long", False),
    }


def test_why_a_folder_is_not_usable_is_in_the_log(tmp_path, tiny, caplog, monkeypatch):
    """The list gives the reason in a few words; the log has the details that support needs."""
    caplog.set_level("INFO", logger="desktop_app")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((tiny / "config.json").read_bytes())
    (broken / "model.safetensors.index.json").write_text("{")
    assert "model.safetensors.index.json" in missing_files(broken)
    assert "model.safetensors.index.json is not valid JSON" in caplog.text
    (broken / "config.json").write_text("[]")
    remember_folder(broken)
    list_models()
    assert "contains a JSON list" in caplog.text
    folders_file().write_text("{")
    assert remembered_folders() == () and "The list of folders cannot be read" in caplog.text

    def refused(_path):
        raise PermissionError(13, "Permission denied")

    (hub_cache() / "models--ann--tiny").mkdir(parents=True)
    monkeypatch.setattr(Path, "iterdir", refused)
    assert list(cached_models()) == [] and f"{hub_cache()} cannot be read" in caplog.text


def test_bundled_models_have_a_name_a_person_would_use():
    assert title_of(default_model()) == "Storybook GPT-2"
    assert title_of(bundled_models()["sorter"]) == "Letter sorter"
    assert title_of(Path("/")) is None


def test_each_snapshot_of_the_sorter_has_a_name_and_a_title(tmp_path):
    kept = snapshots(bundled_models()["sorter"])
    assert len(kept) == 12 and list(kept) == sorted(kept) and snapshots(bundled_models()["bundled"]) == {}
    for steps, folder in kept.items():
        assert find_model(f"sorter@{steps}") == folder == find_model(f"sorter@{steps:05d}")
        assert load_config(folder / "config.json") == load_config(bundled_models()["sorter"] / "config.json")
    assert title_of(kept[0]) == "Letter sorter before its training"
    assert title_of(kept[1000]) == "Letter sorter after 1,000 steps"
    assert title_of(tmp_path / "snapshots" / "00010") is None
    for name in ("sorter@11", "sorter@", "sorter@main", "sorter@" + "9" * 50):
        with pytest.raises(ModelError, match="there are 0, 10, 15"):
            find_model(name)


def test_the_catalogue_says_the_sizes_that_the_published_files_have():
    """Parameters in float32, and the mask buffers in these files: n_positions squared floats per block."""
    for entry in hub_entries():
        c = entry.config
        parameters = {6: 81_912_576, 12: 124_439_808, 24: 354_823_168, 36: 774_030_080, 48: 1_557_611_200}[c.n_layer]
        assert parameter_count(c) == parameters  # the counts that Hugging Face shows for them
        weights = 4 * (parameters + c.n_layer * c.n_positions**2)
        assert 0 < entry.download - weights < 5_000_000, "config, vocabulary and merges are the rest"


# Memory


def test_a_model_that_fits_is_not_doubted_and_one_that_does_not_is_told_with_numbers(monkeypatch):
    xl = Config(n_layer=48, n_head=25, n_embd=1600)
    monkeypatch.setattr(memory, "available_memory", lambda: 4_000_000_000)
    assert too_large(Config(), 128, "GPT-2 small") == ""
    words = too_large(xl, 128, "GPT-2 XL")
    assert words.startswith("GPT-2 XL needs about 7.3") and words.endswith("and 4 GB are free.")
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert too_large(xl, 128, "GPT-2 XL") == ""


def test_a_longer_text_takes_more_beside_the_weights():
    taken = [needed(Config(), positions) for positions in (1, 64, 512, 1024)]
    beside = [need.trace + need.work for need in taken]
    assert beside == sorted(beside) and needed(Config(), 5000) == needed(Config(), 1024)


def test_a_command_says_so_before_it_goes_on_with_a_model_too_large(tiny, capfd, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000)
    assert cli.main(["generate", "A", "-n", "1", "--greedy", "--model", str(tiny)]) == 0
    err = capfd.readouterr().err
    assert "1 MB are free. Continuing anyway." in err and err.count("\n") == 1


# Progress


def test_speed_is_the_mean_of_the_last_seconds_and_time_left_follows():
    now, heard = [0.0], []
    meter = Meter(1_000_000, heard.append, every=0.0, clock=lambda: now[0])
    meter.begin("model.safetensors")
    for _ in range(40):
        now[0] += 0.25
        meter.add(5_000)
    assert heard[-1].done == 200_000
    assert heard[-1].speed == pytest.approx(20_000) and heard[-1].left == pytest.approx(40)
    assert heard[-1].words() == "model.safetensors: 200 kB of 1 MB, 20 kB/s, 40 s left"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (12_345, "12.3 kB"), (548_105_171, "548 MB"),
     (999_600, "1 MB"), (6_431_829_964, "6.43 GB"), (10**13, "10000 GB")],
)  # fmt: skip
def test_bytes_in_words(value, words):
    assert in_bytes(value) == words


def test_times_and_counts_in_words():
    assert [in_time(s) for s in (0.2, 59, 61, 3599, 3700)] == ["1 s", "59 s", "1 min 1 s", "60 min", "1 h 1 min"]
    counts = (97, 85_632, 5_853_184, 124_439_808, 1_557_611_200)
    assert [in_millions(n) for n in counts] == ["97", "85.6 k", "5.85 M", "124 M", "1.56 B"]
    assert (
        Progress("f", 1, 2, note="the hub asks to wait 3 s").words()
        == "f: 1 bytes of 2 bytes; the hub asks to wait 3 s"
    )
    assert (
        Progress("", 0, 0, note="the hub cannot be reached, trying again in 1 s").words().startswith("the hub cannot")
    )


def test_a_download_whose_window_is_gone_ends_without_a_word(capfd):
    here, there = multiprocessing.Pipe(duplex=False)
    here.close()
    fetch("no/such/name", there)
    assert capfd.readouterr() == ("", "")


# Removing


def test_remove_deletes_a_download_and_leaves_another_of_the_same_commit(tiny, capfd):
    put_in_cache("owner/tiny", tiny)
    kept = put_in_cache("owner/other", tiny)
    (hub_cache() / "models--owner--tiny" / "blobs" / "abc.incomplete").write_bytes(bytes(1000))
    assert cli.main(["models", "remove", "owner/tiny"]) == 0
    assert "owner/tiny is removed" in capfd.readouterr().out
    assert not (hub_cache() / "models--owner--tiny").exists() and missing_files(kept) == ()


def test_remove_of_a_revision_keeps_what_the_other_needs(tiny, capfd):
    main = put_in_cache("owner/tiny", tiny)
    put_in_cache("owner/tiny", tiny, commit="f" * 40, revision="v2")
    assert cli.main(["models", "remove", "owner/tiny@v2"]) == 0
    assert missing_files(main) == () and [str(c.name) for c in cached_models()] == ["owner/tiny"]
    assert cli.main(["models", "remove", "owner/tiny@v2"]) == 2


@pytest.mark.parametrize("name", ["bundled", "owner/nothing", "../../etc", "/etc", "sorter", "~/nothing"])
def test_remove_refuses_what_is_not_its_own(name, capfd):
    assert cli.main(["models", "remove", name]) == 2
    words = capfd.readouterr().err
    assert words.count("\n") == 1 and "names no model" not in words


def test_remove_of_a_folder_leaves_its_files(tiny, capfd):
    assert cli.main(["models", "add", str(tiny)]) == 0
    assert cli.main(["models", "remove", str(tiny)]) == 0
    assert remembered_folders() == () and missing_files(tiny) == ()
    assert cli.main(["models", "add", str(tiny / "nowhere")]) == 2
    assert "is not a folder" in capfd.readouterr().err


@pytest.mark.parametrize("tokens", ["-5", "0", "1" + "0" * 26])
def test_list_refuses_a_length_that_no_text_has(tokens, capfd):
    assert cli.main(["models", "list", "--tokens", tokens]) == 2
    assert "out of range; choose from 1 to 1000000" in capfd.readouterr().err


def test_list_shows_the_same_as_a_table_and_as_json(tiny, capfd):
    put_in_cache("owner/tiny", tiny)
    assert cli.main(["models", "list", "--tokens", "48"]) == 0
    table = capfd.readouterr().out
    assert cli.main(["models", "list", "--tokens", "48", "--json"]) == 0
    rows = {row["reference"]: row for row in json.loads(capfd.readouterr().out)}
    row = rows["owner/tiny"]
    stored = sum(a.size for a in load_file(tiny / "model.safetensors").values())
    assert (row["parameters"], row["blocks"], row["heads"], row["width"], row["ready"]) == (stored, 2, 3, 24, True)
    assert row["bytes"] == sum(p.stat().st_size for p in tiny.iterdir())
    assert all(reference in table for reference in rows) and "2 × 3 × 24" in table


# models check


def test_check_says_that_all_is_well(tiny, capfd):
    assert cli.main(["models", "check", str(tiny), "--all"]) == 0
    out = capfd.readouterr().out
    with safe_open(tiny / "model.safetensors", "numpy") as file:
        names = list(file.keys())
    assert all(name in out for name in names)
    assert f"{len(names)} of {len(names)} tensors are sound; all is well." in out


def test_check_names_every_tensor_that_is_wrong_and_how(tmp_path, capfd):
    folder = write_checkpoint(tmp_path / "m", CONFIG)
    weights = load_file(folder / "model.safetensors")
    del weights["h.0.ln_1.bias"]
    weights["h.1.mlp.c_fc.weight"] = np.zeros((24, 95), np.float32)
    weights["h.1.attn.c_proj.bias"] = np.zeros(24, np.int32)
    weights["ln_f.weight"][3] = np.nan
    weights["h.7.extra"] = np.ones(2, np.float32)
    save_file(weights, folder / "model.safetensors")
    assert cli.main(["models", "check", str(folder)]) == 1
    wrong = [line.split(None, 2)[1:] for line in capfd.readouterr().out.splitlines() if "WRONG" in line]
    assert dict(wrong) == {
        "h.0.ln_1.bias": "is missing; it has shape [24]",
        "h.1.mlp.c_fc.weight": "has shape [24, 95]; config.json needs [24, 96]",
        "h.1.attn.c_proj.bias": "is stored as I32; weights must be F32, F16, BF16 or F64",
        "ln_f.weight": "holds values that are not finite (NaN or infinity), F32 [24]",
        "h.7.extra": "is not a weight of this GPT-2, F32 [2]",
    }


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "merges.txt"])
def test_check_tells_a_missing_file_and_looks_at_the_rest(tmp_path, capfd, lost):
    folder = write_checkpoint(tmp_path / "m", CONFIG)
    (folder / lost).unlink()
    assert cli.main(["models", "check", str(folder)]) == 1
    out = capfd.readouterr().out
    assert out.count("WRONG") == 1 and ("257 tokens" in out or lost == "merges.txt")


def test_check_of_no_folder_is_an_error(tmp_path, capfd):
    assert cli.main(["models", "check", str(tmp_path / "nowhere")]) == 2
    assert capfd.readouterr().err.count("\n") == 1


# What other programs left in the cache and in the list


def test_a_ref_of_gigabytes_is_not_read(own_home):
    refs = hub_cache() / "models--o--n" / "refs"
    refs.mkdir(parents=True)
    with (refs / "main").open("wb") as file:
        file.truncate(64 << 30)  # sparse: it takes no space on disk, but reading it would take all memory
    assert list(cached_models()) == []


def test_a_home_that_nobody_has_is_a_folder_that_is_not_there(monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", "~nobody-of-that-name/x")
    assert hub_cache().name == "x" and list(cached_models()) == []


def test_names_in_the_list_that_no_folder_can_have_are_passed_over(tmp_path):
    folders_file().parent.mkdir(parents=True, exist_ok=True)
    folders_file().write_text(json.dumps({"folders": ["\ud800", "a\0b", "", 3, str(tmp_path)]}))
    assert remembered_folders() == (tmp_path,)


def test_folders_that_are_added_at_once_are_all_kept(tmp_path):
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(remember_folder, [tmp_path / str(n) for n in range(12)]))
    assert sorted(remembered_folders()) == sorted(tmp_path / str(n) for n in range(12))
    assert forget_folder(tmp_path / "3") and not forget_folder(tmp_path / "3")


@pytest.mark.parametrize("where", ["models--o--n", "datasets--o--other"])
@pytest.mark.parametrize("kind", ["sparse", "pipe", "link"])
def test_a_removal_reads_no_ref_without_end(own_home, where, kind):
    # huggingface_hub would read these to their end, which takes all memory, or waits forever.
    (hub_cache() / "models--o--n" / "snapshots" / ("a" * 40)).mkdir(parents=True)
    storage = hub_cache() / where
    (storage / "blobs").mkdir(parents=True)
    with (storage / "blobs" / "x.incomplete").open("wb") as file:
        file.truncate(64 << 30)
    if kind == "link":
        (storage / "refs").symlink_to("blobs")
    else:
        (storage / "refs").mkdir()
        if kind == "pipe":
            os.mkfifo(storage / "refs" / "main")
        else:
            (storage / "blobs" / "x.incomplete").rename(storage / "refs" / "main")
    with pytest.raises(ModelError, match=rf"{where}/refs.*nothing was removed; delete .*models--o--n by hand"):
        remove_model("o/n")


def test_a_ref_that_is_no_text_does_not_end_a_removal_in_a_traceback(own_home):
    refs = hub_cache() / "models--o--n" / "refs"
    refs.mkdir(parents=True)
    (refs.parent / "snapshots" / ("a" * 40)).mkdir(parents=True)
    (refs / "main").write_bytes(b"\xff")
    with pytest.raises(ModelError, match=r"contains something unexpected .*; delete .*models--o--n by hand"):
        remove_model("o/n")
