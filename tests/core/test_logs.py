"""The log: what it keeps and where, what it never contains, and that no fault is missing from it."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from desktop_app.core.program import crashes, logs
from desktop_app.core.program.diagnostics import as_text, collect
from desktop_app.core.program.private import hide
from desktop_app.core.program.processes import starting_workers, worker_pool
from desktop_app.core.program.settings import Settings
from desktop_app.gpt2.errors import ModelError

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "My grandmother's blancmange\nneeds seventeen lemons"
TOKEN = "hf_PLANTEDxTOKEN"
log = logging.getLogger("desktop_app.tests")


@pytest.fixture
def kept():
    """A started log."""
    with logs.started():
        yield


def fault(words):
    try:
        raise ValueError(words)
    except ValueError:
        log.exception("It happened.")


def test_lines_go_to_the_file_and_stay_in_memory(kept, own_home):
    log.info("one")
    log.debug("too fine")
    fault("no number")
    written = (own_home / "state" / "logitscope" / "logitscope.log").read_text()
    assert written.splitlines() == logs.recent() == logs.last_of_file()
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z INFO \d+ desktop_app\.tests: one$", logs.recent()[0])
    assert "too fine" not in written and "raise ValueError(words)" in written
    assert written.splitlines()[-1] == "ValueError: no number"


def test_the_memory_holds_the_last_lines_and_the_file_rotates(kept, monkeypatch):
    monkeypatch.setattr(logs, "_FILE_BYTES", 2000)
    for number in range(600):
        log.info("line %d", number)
    assert len(logs.recent()) == logs.LINES and logs.recent()[-1].endswith("line 599")
    files = sorted(path.name for path in logs.log_file().parent.iterdir())
    assert set(files) <= {"logitscope.log", "logitscope.log.1", "logitscope.log.2"} and "logitscope.log.2" in files
    assert all(path.stat().st_size < 2200 for path in logs.log_file().parent.iterdir())
    assert logs.last_of_file()[-1].endswith("line 599")


def test_a_fault_that_comes_again_and_again_leaves_room_for_others(kept):
    log.info("before")
    for _ in range(1000):
        fault("again")
    lines = logs.recent()
    assert lines[0].endswith("before") and lines.count("ValueError: again") == 3
    assert "the same fault as before, 512 times so far" in lines[-1]


def test_a_folder_that_cannot_be_written_is_told_once_and_stops_nothing(own_home, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with logs.started():
        log.info("one")
        log.info("two")
        assert [line.partition(": ")[2] or line for line in logs.recent()][::2] == ["one", "two"]
        assert logs.recent()[1].startswith("The log file cannot be written") and len(logs.recent()) == 3


@pytest.mark.parametrize(
    "words",
    [
        PROMPT,
        repr(PROMPT),
        f"cannot encode {PROMPT!r} at 3",
        "no head named blancmange",
        f"line 2 is needs seventeen lemons, token {TOKEN}",
        f"HTTPS_PROXY http://ann:{TOKEN}@host:1 refused",
    ],
)
def test_neither_the_prompt_nor_a_secret_is_in_a_line(kept, monkeypatch, words):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hide(PROMPT)
    log.warning("Told: %s", words)
    fault(words)
    told = as_text(collect(Settings(export_folder=f"/tmp/{TOKEN}"), logs.recent()))
    for text in (told, logs.log_file().read_text()):
        assert not re.search("blancmange|seventeen|lemons|PLANTED|\\bann\\b", text), text
        assert "raise ValueError(words)" in text  # what is needed to fix it stays


def test_what_an_exception_quotes_is_left_out_though_nobody_hid_it(kept):
    fault("invalid literal for int() with base 10: 'unhidden words'")
    assert logs.recent()[-1] == "ValueError: invalid literal for int() with base 10: …"


def test_faults_that_nobody_caught_are_logged(kept):
    def fall():
        raise RuntimeError("in a thread")

    class Odd:
        def __del__(self):
            raise RuntimeError("in a destructor")

    thread = threading.Thread(target=fall, name="the-thread")
    thread.start()
    thread.join()
    odd = Odd()
    del odd
    sys.excepthook(RuntimeError, RuntimeError("in a slot"), None)
    text = "\n".join(logs.recent())
    for words in ("in a thread", "The thread the-thread ended", "in a destructor", "in a slot"):
        assert words in text
    assert "in fall" in text and "in __del__" in text


def test_hooks_and_handlers_are_given_back():
    before = (sys.excepthook, threading.excepthook, sys.unraisablehook, list(logging.getLogger("desktop_app").handlers))
    with pytest.raises(RuntimeError), logs.started():
        raise RuntimeError("out")
    after = (sys.excepthook, threading.excepthook, sys.unraisablehook, list(logging.getLogger("desktop_app").handlers))
    assert after == before and logs.recent() == [] and logs.level() is None
    assert "RuntimeError: out" in logs.last_of_file()


def test_a_refusal_is_no_fault_and_is_logged_with_what_caused_it():
    with pytest.raises(ModelError), logs.started():
        try:
            int("x")
        except ValueError as reason:
            raise ModelError("It cannot be read.") from reason
    lines = logs.last_of_file()
    assert " INFO " in lines[0] and lines[0].endswith("Ended: It cannot be read.")
    assert any(line.startswith("ValueError: invalid literal") for line in lines) and "ERROR" not in "".join(lines)


def fail_in_worker(words):
    threading.Thread(target=fail_in_worker, args=(None,), name="of-worker").start() if words else None
    raise RuntimeError(words or "in a thread of a worker")


def test_a_worker_logs_into_the_same_file_and_its_fault_comes_back_whole(kept):
    with worker_pool(1) as pool, starting_workers():
        try:
            pool.submit(fail_in_worker, "in the worker").result()
        except RuntimeError:
            log.exception("The worker failed.")
    text = logs.log_file().read_text()
    assert "RuntimeError: in the worker" in text and "in fail_in_worker" in text
    assert "The thread of-worker ended with an error" in text and "RuntimeError: in a thread of a worker" in text


CRASH = """
import ctypes
from desktop_app.core.program import crashes
with crashes.watched():
    ctypes.string_at(0)
"""


def test_a_crash_is_found_and_cleared_by_the_next_start():
    assert crashes.take_crashes() == ()
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", CRASH], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode < 0
    (first, second) = crashes.take_crashes()
    assert "Segmentation fault" in first and 'File "<string>", line 5' in first and "Segmentation fault" in second
    assert crashes.take_crashes() == () and not list(logs.log_file().parent.iterdir())


def test_a_crash_file_is_cleared_though_another_process_has_its_number_by_now():
    path = logs.log_file().with_name(f"crash-{os.getpid()}.txt")
    path.parent.mkdir(parents=True)
    for words, found in (("Segmentation fault", ("Segmentation fault",)), ("", ())):
        path.write_text(words)
        os.utime(path, (1e9, 1e9))
        assert crashes.take_crashes() == found and not path.exists()


def test_nothing_is_left_of_a_start_that_did_not_crash_and_living_ones_are_let_be():
    with crashes.watched():
        file = crashes.crash_file()
        assert file.exists() and file.name == f"crash-{os.getpid()}.txt"
        file.write_text("of somebody who lives")
        assert crashes.take_crashes() == ()
        file.write_text("")
    assert crashes.crash_file() is None and not file.exists()


def test_where_no_crash_can_be_written_down_the_program_runs_and_says_so(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with crashes.watched():
        assert crashes.crash_file() is None
    assert "Crashes cannot be recorded" in caplog.text and str(tmp_path / "file") in caplog.text


def test_a_crash_file_that_is_deleted_while_the_program_runs_ends_nothing():
    with crashes.watched():
        crashes.crash_file().unlink()
    assert crashes.crash_file() is None and not list(logs.log_file().parent.glob("crash-*"))


def test_a_crash_that_cannot_be_read_hides_no_other(caplog):
    folder = logs.log_file().parent
    folder.mkdir(parents=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (folder / "crash-999999998.txt").mkdir()
    (folder / f"crash-{dead.pid}.txt").write_text("Fatal Python error")
    assert crashes.take_crashes() == ("Fatal Python error",)
    assert "crash-999999998.txt cannot be read or cleared" in caplog.text


def test_diagnostics_are_json_and_text_with_everything_that_helps(kept):
    log.info("a line of the log")
    found = collect(Settings(theme="dark"), logs.recent(), model={"name": "tiny"})
    assert json.loads(json.dumps(found)) == found
    assert found["settings"]["theme"] == "dark" and found["memory"]["total"] > found["memory"]["of_this_process"] > 0
    assert found["packages"]["numpy"].count(".") == 2 and "CPUExecutionProvider" in found["providers"]
    lines = as_text(found).splitlines()
    assert "  theme: dark" in lines and "  name: tiny" in lines and lines[-1].endswith("a line of the log")


def test_the_home_which_holds_a_name_is_not_told(kept, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "ann"))
    log.info("opened %s", tmp_path / "ann" / "model")
    assert logs.recent()[-1].endswith("opened ~/model")
