"""Output files appear whole or not at all, however writing ends."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from desktop_app.gpt2 import leftovers
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


def test_a_file_that_is_replaced_keeps_its_mode_and_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o600)
    link.symlink_to("real")
    with whole_file(link) as file:
        file.write(b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    with whole_files([link, tmp_path / "beside"]) as folder:
        for name in ("link", "beside"):
            (folder / name).write_bytes(b"newer")
    assert link.is_symlink() and real.read_bytes() == b"newer"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


def test_a_link_that_leads_to_nothing_is_not_replaced_unasked(tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    for force in (False, True):
        with pytest.raises(ExportError, match="is a broken link"):
            refuse_existing(tmp_path / "link", force=force)
    assert (tmp_path / "link").is_symlink()


# Leftovers of killed programs


def ended_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_program_left_unfinished_is_cleared_and_nothing_else(tmp_path, monkeypatch):
    host = leftovers.unfinished_name().split("-")[1]
    other = "0" * 8 if host != "0" * 8 else "1" * 8
    dead = ended_process()
    names = {
        f".logitscope-{host}-{dead}-00000001": True,
        f"logitscope-{host}-{dead}-00000002xyz": True,  # a temporary folder of this program
        f".logitscope-{host}-{os.getpid()}-00000003": False,  # of a running process
        f".logitscope-{other}-{dead}-00000004": False,  # of another host, on a shared disk
        "logitscope-notes.txt": False,
        f".logitscope-{host}-{dead}-00000005": False,  # fresh
        f".logitscope-{host}-{os.getpid()}-00000006": True,  # of an earlier process with the same id
    }
    later = time.time() + 7200
    monkeypatch.setattr(leftovers.time, "time", lambda: later)
    for name in names:
        path = tmp_path / name
        path.mkdir() if name.startswith("logitscope-" + host) else path.touch()
        if name[-1] in "56":
            os.utime(path, (later, later) if name.endswith("5") else (0, 0))
    with whole_file(tmp_path / "out") as file:
        file.write(b"new")
    assert {name: not (tmp_path / name).exists() for name in names} == names


def test_the_number_of_a_process_that_ended_may_be_anothers_by_now():
    assert not leftovers.is_gone(os.getpid(), time.time())
    assert leftovers.is_gone(os.getpid(), psutil.Process().create_time() - 60)
    assert leftovers.is_gone(ended_process(), time.time())


def test_what_cannot_be_cleared_stays_is_logged_and_stops_no_output(tmp_path, monkeypatch, caplog):
    caplog.set_level("DEBUG", logger="desktop_app")
    left = tmp_path / leftovers.unfinished_name().replace(f"-{os.getpid()}-", f"-{ended_process()}-")
    left.touch()
    os.utime(left, (0, 0))
    own = Path.unlink

    def refused(path, **options):
        if path == left:
            raise PermissionError(13, "Permission denied")
        own(path, **options)

    monkeypatch.setattr(Path, "unlink", refused)
    with whole_file(tmp_path / "out") as file:
        file.write(b"new")
    assert (tmp_path / "out").read_bytes() == b"new" and left.exists()
    assert f"{left} stays: Permission denied" in caplog.text


def test_a_name_for_something_unfinished_is_new_and_found_again():
    one, two = leftovers.unfinished_name(), leftovers.unfinished_name()
    assert one != two and len(one) < 64
    assert leftovers._NAME.fullmatch(one).group(1) == str(os.getpid())
