"""./run, with a fake Python that records its calls and installs nothing, in a checkout whose path has spaces."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="run is a shell script")

# Logs its arguments, one line per call. `venv` creates folders, `pip` does as told, the app and the probe are real.
FAKE_PYTHON = f"""#!/bin/sh
echo "$*" | head -n 1 >>"$FAKE_LOG"
case "$*" in
    *"-m venv "*)
        for last; do :; done
        mkdir -p "$last/bin" "$last/lib/python3.11/site-packages"
        ln -s "$FAKE_HOME/python3" "$last/bin/python" ;;
    *"-m pip "*) sleep "${{FAKE_PIP_SECONDS:-0}}"; exit "${{FAKE_PIP_EXIT:-0}}" ;;
    *"-m desktop_app"*) PYTHONPATH=$FAKE_CHECKOUT${{PYTHONPATH:+:$PYTHONPATH}} exec "{sys.executable}" "$@" ;;
    *"-m ruff check"*) exit "${{FAKE_RUFF_EXIT:-0}}" ;;
    *"-m pytest"*)
        echo "LOGITSCOPE_NO_QT=$LOGITSCOPE_NO_QT" >>"$FAKE_LOG"
        echo "1 passed in 0.01s"
        exit "${{FAKE_PYTEST_EXIT:-0}}" ;;
    *import?sys*) exec "{sys.executable}" -I -c "$FAKE_PROBE
$3" ;;
esac
"""

APP = """
import json, os, sys
try:
    import intruder
except ImportError:
    intruder = None
print(json.dumps({"args": sys.argv[1:], "cwd": os.getcwd(), "intruder": bool(intruder)}))
sys.exit(int(sys.argv[-1]) if sys.argv[-1:] and sys.argv[-1].isdigit() else 0)
"""


class Checkout:
    """A checkout with a small lock, and a PATH that holds one fake Python and the system's small tools."""

    def __init__(self, tmp_path):
        self.root = tmp_path / "my checkout"
        (self.root / "desktop_app").mkdir(parents=True)
        (self.root / "desktop_app" / "__init__.py").touch()
        (self.root / "desktop_app" / "__main__.py").write_text(APP)
        shutil.copy(ROOT / "run", self.root / "run")
        (self.root / "requirements.lock").write_text("one==1\n")
        (self.root / "requirements-test.lock").write_text("one==1\ntwo==2\n")
        self.venv = self.root / ".venv"
        self.log = tmp_path / "calls"
        self.bin = tmp_path / "bin"
        self.bin.mkdir()
        for tool in ("sh", "readlink", "dirname", "cat", "cmp", "rm", "mkdir", "ln", "id", "flock", "head", "sleep"):
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.python = self.bin / "python3"
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)
        self.environ = {
            "PATH": str(self.bin),
            "FAKE_LOG": str(self.log),
            "FAKE_HOME": str(self.bin),
            "FAKE_CHECKOUT": str(self.root),
        }

    def start(self, *args, cwd=None, run=None, **environ):
        return subprocess.Popen(
            [run or self.root / "run", *args],
            cwd=cwd or self.root,
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *args, **options):
        process = self.start(*args, **options)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def calls(self, word=""):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if word in line]


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def said(done):
    """The one sentence printed by a command that exited with 2 and without a traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_the_first_start_installs_the_lock_with_hashes_and_opens_the_app(checkout):
    done = checkout()
    assert done.returncode == 0, done.stderr
    (install,) = checkout.calls("-m pip")
    assert "--require-hashes" in install
    assert install.endswith(str(checkout.root / "requirements.lock"))
    assert json.loads(done.stdout)["args"] == []


def test_a_later_start_runs_nothing_but_the_app(checkout):
    checkout()
    checkout.log.unlink()
    done = checkout("trace", "The cat")
    assert done.stderr == ""
    assert checkout.calls() == ["-P -m desktop_app trace The cat"]


def test_arguments_and_the_exit_code_pass_through_unchanged(checkout):
    args = ["trace", "two words", "", "--out=*.safetensors", "$HOME", "3"]
    done = checkout(*args)
    assert json.loads(done.stdout)["args"] == args
    assert done.returncode == 3


def test_paths_on_the_command_line_are_relative_to_the_caller(checkout, tmp_path):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    done = checkout(cwd=elsewhere)
    assert json.loads(done.stdout)["cwd"] == str(elsewhere)
    assert not (elsewhere / ".venv").exists()


def test_a_module_lying_in_the_callers_folder_is_not_imported(checkout, tmp_path):
    (tmp_path / "intruder.py").write_text("")
    assert json.loads(checkout(cwd=tmp_path).stdout)["intruder"] is False
    assert json.loads(checkout(cwd=tmp_path, PYTHONPATH=str(tmp_path)).stdout)["intruder"] is False


def test_it_starts_through_a_symlink(checkout, tmp_path):
    link = tmp_path / "links" / "logitscope"
    link.parent.mkdir()
    link.symlink_to(checkout.root / "run")
    done = checkout("x", run=link, cwd=tmp_path)
    assert json.loads(done.stdout)["args"] == ["x"]
    assert checkout.venv.is_dir()


def test_the_checkout_is_importable_from_its_venv_wherever_it_is_moved(checkout):
    checkout()
    site = checkout.venv / "lib/python3.11/site-packages"
    root = checkout.root.resolve()
    found = [(site / line).resolve() for line in (site / "checkout.pth").read_text().split()]
    assert found == [root, root / "desktop_app" / "importable"]
    (site / "checkout.pth").write_text("../../../..\n")  # as made by an older checkout
    checkout()
    assert len((site / "checkout.pth").read_text().split()) == 2


def test_without_python_the_apt_command_is_named(checkout):
    checkout.python.unlink()
    assert said(checkout()).endswith("apt install python3 python3-venv")


@pytest.mark.parametrize("version", [(3, 10, 12), (3, 99, 0), (2, 7, 18)])
def test_a_python_outside_the_supported_range_is_not_used(checkout, version):
    done = checkout(FAKE_PROBE=f"import sys; sys.version_info = {version}")
    assert "needs Python 3.11" in said(done)
    assert not checkout.venv.exists()


def test_a_python_named_by_the_caller_that_does_not_do_is_named_in_the_refusal(checkout):
    assert "/no/such/python" in said(checkout(PYTHON="/no/such/python"))


def test_debians_missing_venv_package_is_named_with_its_version(checkout):
    probe = "import sys; sys.version_info = (3, 12, 3); sys.modules['ensurepip'] = None"
    sentence = said(checkout(FAKE_PROBE=probe))
    assert sentence.endswith("apt install python3.12-venv")
    assert sentence.count("sudo") == (0 if os.geteuid() == 0 else 1)
    assert not checkout.venv.exists()


def test_another_python_that_has_venv_is_preferred_to_one_that_lacks_it(checkout):
    newer = checkout.bin / "python3.13"
    newer.write_text("#!/bin/sh\necho 3.13\n")
    newer.chmod(0o755)
    assert checkout().returncode == 0
    assert (checkout.venv / "made-with").read_text().strip() == str(checkout.python)


def test_another_python_chosen_later_makes_the_venv_anew(checkout):
    checkout()
    other = checkout.bin / "other python"
    shutil.copy(checkout.python, other)
    assert checkout(PYTHON=str(other)).returncode == 0
    assert len(checkout.calls("-m venv")) == 2
    assert checkout(PYTHON=str(other)).stderr == ""


def test_a_failed_install_ends_in_a_sentence_and_is_mended_by_the_next_start(checkout):
    sentence = said(checkout(FAKE_PIP_EXIT="1"))
    assert "requirements.lock" in sentence and "network" in sentence
    assert checkout.calls("desktop_app") == []
    assert checkout().returncode == 0
    assert len(checkout.calls("-m venv")) == 2
    assert checkout().stderr == ""


def kill_during_pip(checkout, *args):
    checkout.log.unlink(missing_ok=True)
    process = checkout.start(*args, FAKE_PIP_SECONDS="60")
    while not checkout.calls("-m pip"):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_an_install_that_was_killed_is_made_anew_by_the_next_start(checkout):
    kill_during_pip(checkout)
    assert checkout().returncode == 0
    assert len(checkout.calls("-m venv")) == 2
    assert checkout().stderr == ""


def test_killed_while_adding_the_test_tools_the_app_starts_and_the_tools_are_made_anew(checkout):
    checkout()
    kill_during_pip(checkout, "test")
    done = checkout()
    assert (done.returncode, done.stderr) == (0, "")
    assert checkout("test").returncode == 0
    assert len(checkout.calls("-m venv")) == 1  # the log was restarted before the kill


@pytest.mark.skipif(shutil.which("flock") is None, reason="without flock, starts do not wait for each other")
def test_two_first_starts_at_once_install_once(checkout):
    starts = [checkout.start(FAKE_PIP_SECONDS="0.3") for _ in range(2)]
    for start in starts:
        _, err = start.communicate(timeout=60)
        assert start.returncode == 0, err
    assert len(checkout.calls("-m pip")) == 1
    assert len(checkout.calls("-m desktop_app")) == 2


def test_a_changed_lock_is_installed(checkout):
    checkout()
    (checkout.root / "requirements.lock").write_text("one==2\n")
    checkout()
    assert len(checkout.calls("-m pip")) == 2


def test_a_venv_whose_python_has_gone_is_made_anew(checkout):
    checkout()
    (checkout.venv / "bin" / "python").unlink()
    (checkout.venv / "bin" / "python").symlink_to(checkout.root / "gone")
    assert checkout().returncode == 0
    assert len(checkout.calls("-m venv")) == 2


def test_the_test_tools_go_on_top_of_what_is_there(checkout):
    checkout()
    assert checkout("test").returncode == 0
    assert len(checkout.calls("-m venv")) == 1
    assert checkout.calls("-m pip")[1].endswith("requirements-test.lock")
    checkout.log.unlink()
    checkout("test")
    checkout()
    assert checkout.calls("-m pip") == []


@pytest.mark.parametrize("name", ["benchmarks", "benchmarks.growth", "fuzz", "fuzz.window"])
def test_benchmarks_and_fuzzing_find_what_they_need_where_nothing_was_set_up(checkout, tmp_path, name):
    assert checkout(name, "--only", "two words", cwd=tmp_path).returncode == 0
    assert checkout.calls("-m pip")[-1].endswith("requirements-test.lock")
    assert checkout.calls()[-1] == f"-P -m {name} --only two words"


def test_test_tools_that_cannot_be_installed_leave_the_app_running(checkout):
    checkout()
    said(checkout("test", FAKE_PIP_EXIT="1"))
    done = checkout()
    assert (done.returncode, done.stderr) == (0, "")
    assert checkout("test").returncode == 0


def test_the_suite_runs_every_tool_and_ends_with_pytests_summary(checkout, tmp_path):
    done = checkout("test", "-k", "two words", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "1 passed in 0.01s"
    tools = [call.removeprefix("-P ") for call in checkout.calls("-P")]
    assert tools[:3] == ["-m ruff check", "-m ruff format --check", "-m mypy"]
    assert [call.split(" --cache-dir")[0] for call in tools[3:5]] == [
        "-m mypy --platform win32",
        "-m mypy --platform darwin",
    ]
    assert "importlinter" in tools[5]
    assert tools[-1] == "-m pytest -k two words"


def test_the_whole_suite_runs_the_packages_below_the_window_once_without_qt(checkout):
    assert checkout("test").returncode == 0
    first, first_qt, second, second_qt = checkout.calls()[-4:]
    assert first.endswith("tests/gpt2 tests/core tests/figures")
    assert (first_qt, second_qt) == ("LOGITSCOPE_NO_QT=1", "LOGITSCOPE_NO_QT=")
    assert second == "-P -m pytest -n auto --dist loadfile"  # without a folder: all tests, on all cores


def test_one_failed_tool_fails_the_suite_but_the_others_still_run(checkout):
    done = checkout("test", FAKE_RUFF_EXIT="1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "run: failed: ruff check"
    assert checkout.calls("-m pytest")


@pytest.mark.parametrize("code", [1, 2, 5])
def test_pytests_own_exit_code_is_kept(checkout, code):
    assert checkout("test", FAKE_PYTEST_EXIT=str(code)).returncode == code
