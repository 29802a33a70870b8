"""Output files appear whole or not at all, whatever ends the writing."""

import os
import stat
from pathlib import Path

import pytest

from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.files import refuse_existing, whole_file, whole_files


def test_a_file_is_there_only_once_the_block_has_ended(tmp_path):
    path = tmp_path / "out"
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("reason", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_ends_the_block_early_leaves_the_old_file_and_nothing_else(tmp_path, reason):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(reason), whole_file(path) as file:
        file.write(b"half")
        raise reason
    with pytest.raises(reason), whole_files([path, tmp_path / "beside"]) as folder:
        (folder / "out").write_bytes(b"half")
        raise reason
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_files_that_belong_together_appear_together(tmp_path):
    paths = [tmp_path / "out", tmp_path / "beside"]
    with whole_files(paths) as folder:
        for path in paths:
            (folder / path.name).write_text(path.name)
        assert not any(path.exists() for path in paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert [path.read_text() for path in paths] == ["out", "beside"]


def test_a_new_file_has_the_mode_that_any_new_file_has(tmp_path):
    previous = os.umask(0o027)
    try:
        with whole_file(tmp_path / "one"):
            pass
        with whole_files([tmp_path / "two"]) as folder:
            (folder / "two").touch()
    finally:
        os.umask(previous)
    for name in ("one", "two"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


def test_a_name_as_long_as_the_file_system_takes_can_be_written(tmp_path):
    path = tmp_path / ("🙂" * 63)
    with whole_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_a_link_is_replaced_and_what_it_points_to_is_left_alone(tmp_path):
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(ExportError, match="exists"):
        refuse_existing(tmp_path / "link", force=False)
    with whole_file(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "target").read_text() == "mine"
    assert (tmp_path / "link").read_bytes() == b"new"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_never_replaced(tmp_path, kind):
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path(os.devnull)
    with pytest.raises(ExportError, match=r"not a regular file|is a folder"):
        refuse_existing(path, force=True)
    with pytest.raises(ExportError), whole_file(path):
        pytest.fail("nothing may be written")
    assert not path.is_file()
