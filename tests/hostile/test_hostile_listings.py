"""Untrusted lists of figures: each fault is reported in one sentence, quickly, and nothing blocks."""

import os
import time

import pytest

from desktop_app.cli import figure
from desktop_app.cli.options import LISTED
from desktop_app.figures.listing import read_listing, record_file
from desktop_app.gpt2.errors import ExportError

FIGURE = '[[figure]]\nname = "a"\nprompt = "x"\nstep = "tokens"\n'
HOSTILE = {
    "a number of 5,000 digits": (FIGURE + "layer = " + "1" * 5000, "thousands of digits"),
    "such a number in hex": (FIGURE + "layer = 0x" + "f" * 5000, "is too large a number"),
    "one in a list": ('[[figure]]\nname = "a"\nids = [0x' + "f" * 5000 + "]", "is too large a number"),
    "a null in a session's path": ('[[figure]]\nname = "a"\nsession = "a\\u0000b"', "null character"),
    "a null in a trace's path": ('[[figure]]\nname = "a"\ntrace = "a\\u0000b"', "null character"),
    "a key of 20,000 parts": (FIGURE + ".".join("a" * 20_000) + " = 1", "more than 32 parts"),
    "one in quotes": (FIGURE + ".".join(["'a'"] * 20_000) + " = 1", "more than 32 parts"),
    "a header of such": ("[" + ".".join("a" * 20_000) + "]", "more than 32 parts"),
    "deep nesting": ("a = " + "[" * 100_000, "not TOML"),
    "the build's own record": (
        FIGURE.replace('"a"', '"list.built.svg"') + 'data = "json"',
        "list.built.json is written by the build;",
    ),
    "one file twice": (FIGURE + FIGURE, "already"),
    "one file twice where case is ignored": (FIGURE + FIGURE.replace('"a"', '"A"'), "A.svg|a.svg is written by"),
    "the build's own record in another case": (
        FIGURE.replace('"a"', '"LIST.built.svg"') + 'data = "json"',
        "list.built.json is written by the build;",
    ),
}


def read(path):
    return read_listing(path, path.parent, LISTED, figure.order_of)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_list_is_told(tmp_path, kind):
    text, words = HOSTILE[kind]
    (tmp_path / "list.toml").write_text(text)
    with pytest.raises(ExportError, match=words):
        read(tmp_path / "list.toml")


def test_dots_in_a_text_or_a_comment_are_no_key(tmp_path):
    dots = ".".join("a" * 100)
    path = tmp_path / "list.toml"
    path.write_text(
        f'# {dots}\n[defaults]\nstep = \'tokens\'\n[[figure]]\nname = \'a\'\nprompt = """\n{dots}\n"""\n'
        f"[[figure]]\nname = 'b'\nprompt = '{dots}'\n"
    )
    first, second = read(path)
    assert first.order.state.text == f"{dots}\n" and second.order.state.text == dots


def test_of_thousands_of_faults_the_first_are_told_and_the_rest_counted(tmp_path):
    path = tmp_path / "list.toml"
    path.write_text(FIGURE + "".join(f"wrong{n} = 1\n" for n in range(20_000)))
    began = time.process_time()
    with pytest.raises(ExportError) as told:
        read(path)
    lines = str(told.value).splitlines()
    assert len(lines) == 21 and "line 5" in lines[0] and lines[-1] == "... and 19980 more."
    assert time.process_time() - began < 10  # once 44 s, most of it to find line numbers that were not shown


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "list.toml")
    with pytest.raises(ExportError, match="not a regular file"):
        read(tmp_path / "list.toml")


def test_the_record_stands_beside_the_figures(tmp_path):
    assert record_file(tmp_path / "list.toml", tmp_path / "out") == tmp_path / "out" / "list.built.json"
