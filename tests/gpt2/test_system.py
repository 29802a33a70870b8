"""What differs between systems: each function on a simulated Windows, where names that only POSIX has are missing."""

import errno
import mmap
import os
import signal
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest

from desktop_app.core.program.processes import end_workers, starting_workers, worker_pool
from desktop_app.gpt2 import system
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.files import refuse_existing, whole_file

POSIX_ONLY = {
    "os": ("geteuid", "getuid", "nice", "sched_getaffinity", "fchmod"),
    "signal": ("pthread_sigmask", "SIG_BLOCK", "SIG_SETMASK", "SIGHUP"),
    "mmap": ("MADV_DONTNEED",),
}


def without(module, names):
    """A module as on a system where those names do not exist."""
    return SimpleNamespace(**{name: value for name, value in vars(module).items() if name not in names})


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(system, "sys", SimpleNamespace(platform="win32"))
    for name, gone in POSIX_ONLY.items():
        monkeypatch.setattr(system, name, without(getattr(system, name), gone))
    system.signal.SIGBREAK = 21  # Ctrl+Break
    # Starting the tracker needs inherited file descriptors, which only POSIX has.
    monkeypatch.setattr(system, "resource_tracker", None)


def test_on_windows_nothing_is_asked_for_that_is_not_there(windows):
    assert not system.is_root()
    assert system.usable_cores() == os.cpu_count()
    system.give_way()
    with mmap.mmap(-1, 4096) as mapping:
        mapping[:5] = b"words"
        system.release_pages(mapping)
        assert mapping[:5] == b"words"


def test_on_windows_ctrl_break_ends_the_program_and_nothing_hangs_up(windows):
    system.signal.getsignal = lambda _number: signal.SIG_DFL
    assert system.closing_signals() == (signal.SIGINT, signal.SIGTERM, 21)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="POSIX")
def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in system.closing_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_on_windows_workers_start_without_signal_masks(windows):
    with system.interrupts_blocked():
        pass


def test_on_windows_a_pool_has_at_most_as_many_workers_as_its_thread_can_wait_for(windows, monkeypatch):
    """Python refuses 62 there: its thread waits for the pool's processes and two pipes in one call of the system."""
    monkeypatch.setattr("concurrent.futures.process.sys", SimpleNamespace(platform="win32"))
    pool = worker_pool(64)
    try:
        assert pool._max_workers == 61
    finally:
        pool.shutdown()


def test_on_windows_workers_are_spawned_import_nothing_from_here_and_answer(windows, tmp_path, monkeypatch):
    """The parent's side is that of Windows: no masks of signals, no tracker that is started early."""
    (tmp_path / "multiprocessing.py").write_text("open('RAN', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    pool = worker_pool(1)
    try:
        with starting_workers():
            answer = pool.submit(os.getenv, "PYTHONSAFEPATH")
        assert answer.result(60) == "1"
        assert all(isinstance(each, get_context("spawn").Process) for each in pool._processes.values())
    finally:
        end_workers(pool, now=False)
    assert not (tmp_path / "RAN").exists() and "PYTHONSAFEPATH" not in os.environ


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (r"C:\models\gpt2", True), ("C:/models/gpt2", True), ("C:/gpt2", True), ("c:gpt2", True), ("D:", True),
        (r"\\server\share\gpt2", True), ("//server/share/gpt2", True), (r"models\gpt2", True), ("./gpt2", True),
        ("~/gpt2", True), ("/gpt2", True), ("gpt2", False), ("openai-community/gpt2", False), ("sorter@50", False),
    ],
)  # fmt: skip
def test_a_drive_and_a_share_are_no_names_of_the_hub_on_any_system(text, path):
    assert system.is_plainly_a_path(text) is path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("figure.svg", ""), ("κ.svg", ""), ("console.svg", ""), ("com10.txt", ""),
        ("nul.svg", "reserves NUL for a device"),
        ("Con", "reserves CON for a device"), ("COM1.tar.gz", "reserves COM1"),
        ("a:b.svg", "does not allow : in file names"),
        ('what?"', 'does not allow " ? in file names'), ("figure.", "end in a dot"), ("figure.svg ", "a space"),
    ],
)  # fmt: skip
def test_on_windows_a_file_is_not_written_to_a_device_or_a_stream(windows, name, words, tmp_path):
    assert words in system.why_no_file(name) and bool(words) == bool(system.why_no_file(name))
    if words:
        with pytest.raises(ExportError, match=r"cannot be written: Windows .*; choose another name"):
            refuse_existing(tmp_path / name, force=True)


def test_here_they_are_names_like_any_other(tmp_path):
    with whole_file(tmp_path / "a:b nul") as file:
        file.write(b"1")
    assert (tmp_path / "a:b nul").read_bytes() == b"1"


class Held:
    """Makes replacing a file fail as on Windows while another program has it open, a given number of times."""

    def __init__(self, times, monkeypatch):
        self.left, self.slept, replace = times, 0.0, Path.replace

        def refused(path, final):
            if self.left:
                self.left -= 1
                raise PermissionError(errno.EACCES, "Access is denied", str(path))
            return replace(path, final)

        monkeypatch.setattr(Path, "replace", refused)
        monkeypatch.setattr(system, "time", SimpleNamespace(sleep=self.sleep))

    def sleep(self, seconds):
        self.slept += seconds


def test_on_windows_a_file_that_is_held_for_a_moment_is_replaced_after_it(windows, tmp_path, monkeypatch):
    path = tmp_path / "settings.json"
    path.write_text("old")
    held = Held(3, monkeypatch)
    with whole_file(path) as file:
        file.write(b"new")
    assert path.read_text() == "new" and held.left == 0 and 0 < held.slept < 1


def test_on_windows_a_file_that_stays_mapped_is_told_and_stays_whole(windows, tmp_path, monkeypatch):
    path = tmp_path / "trace.safetensors"
    path.write_text("old")
    held = Held(1000, monkeypatch)
    with (
        pytest.raises(ExportError, match="Access is denied; if a program has it open, close it there"),
        whole_file(path),
    ):
        pass
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path] and held.slept <= 1


def test_elsewhere_what_may_not_be_replaced_is_refused_at_once(tmp_path, monkeypatch):
    held = Held(1, monkeypatch)
    with pytest.raises(ExportError, match=r"Access is denied\.$"), whole_file(tmp_path / "a"):
        pass
    assert held.slept == 0


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX")
def test_here_the_systems_own_answers_are_given(monkeypatch):
    for user, root in ((0, True), (1000, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert system.is_root() is root
    assert signal.SIGHUP in system.closing_signals()
    with system.interrupts_blocked():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
