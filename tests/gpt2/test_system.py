"""What differs between systems: each function's way on Windows, where the names that POSIX has are missing."""

import mmap
import os
import signal
from types import SimpleNamespace

import pytest

from desktop_app.gpt2 import system

POSIX_ONLY = {
    "os": ("geteuid", "getuid", "nice", "sched_getaffinity", "fchmod"),
    "signal": ("pthread_sigmask", "SIG_BLOCK", "SIG_SETMASK", "SIGHUP"),
    "mmap": ("MADV_DONTNEED",),
}


def without(module, names):
    """A module as it is where those names do not exist."""
    return SimpleNamespace(**{name: value for name, value in vars(module).items() if name not in names})


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(system, "sys", SimpleNamespace(platform="win32"))
    for name, gone in POSIX_ONLY.items():
        monkeypatch.setattr(system, name, without(getattr(system, name), gone))
    system.signal.SIGBREAK = 21  # Ctrl+Break
    # Starting it takes file descriptors that are handed on, which only POSIX has.
    monkeypatch.setattr(system, "resource_tracker", None)


def test_on_windows_nothing_is_asked_for_that_is_not_there(windows):
    assert not system.is_root()
    assert system.usable_cores() == os.cpu_count()
    system.give_way()
    with mmap.mmap(-1, 4096) as mapping:
        mapping[:5] = b"words"
        system.let_go(mapping)
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
    with system.deaf_to_interrupts():
        pass


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX")
def test_here_the_systems_own_answers_are_given(monkeypatch):
    for user, root in ((0, True), (1000, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert system.is_root() is root
    assert signal.SIGHUP in system.closing_signals()
    with system.deaf_to_interrupts():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
