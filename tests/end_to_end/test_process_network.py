"""Nothing phones home: every entry under strace, which says whom it called, what names it asked for, what it wrote.

Each runs in a home of its own that has nothing in it, as on the day it is installed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from desktop_app.cli import COMMANDS
from tests.checkpoints import TINY, write_checkpoint
from tests.hub.fixtures import NAME, hub
from tests.watched import watch

__all__ = ["hub"]

ROOT = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable, "-P")
OWN = (".config/logitscope", ".cache/logitscope", ".local/state/logitscope")
"""The program's own folders in a home."""


def can_trace():
    return (
        shutil.which("strace") is not None
        and subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0
    )


pytestmark = pytest.mark.skipif(not can_trace(), reason="needs strace (apt install strace) and leave to use it")


@pytest.fixture
def tiny(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("upload") / "tiny", {**TINY, "vocab_size": 257, "n_positions": 48})


@pytest.fixture
def place(tmp_path):
    """home: an empty home; work: the folder that a person works in; tmp: the one for what is unfinished."""
    for name in ("home", "work", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def tried(place):
    """Runs a command as on a new machine; what it tried, after it went well."""
    kept = {n: v for n, v in os.environ.items() if n in ("PATH", "LC_ALL", "FONTCONFIG_FILE", "QT_QPA_PLATFORM")}
    environment = kept | {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp"), "PYTHONPATH": str(ROOT)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}

    def run(*command, **more):
        found = watch(command, env=environment | more, cwd=place / "work")
        assert found.status == 0, found.said[-2000:]
        return found

    return run


def strange(found, place):
    """What was changed outside the program's own folders, the folder for temporary files, and where a person works."""
    cache = Path(os.environ["FONTCONFIG_FILE"]).parent / "fontconfig"  # the system's, of all programs that draw text
    return found.outside([place / "work", place / "tmp", cache, *(place / "home" / folder for folder in OWN)])


def quiet(found, place):
    return (found.network, found.names, strange(found, place)) == ((), (), ())


EVERY_COMMAND = [
    ["models", "list"],
    ["trace", "A cat", "--out", "t.safetensors"],
    ["generate", "A cat", "-n", "2"],
    ["clip", "A cat", "--step", "blocks.0.attn.pattern", "--out", "beats.svg"],
    ["figure", "A cat", "--step", "blocks.0.attn.pattern", "--out", "a.svg"],
    ["build", "figures.toml", "--jobs", "2"],
    ["deck", "A cat", "--steps", "tokens,probabilities", "--jobs", "2", "--out", "walk.pptx"],
    ["handout", "A cat", "--out", "walk.html"],
    ["check", "A cat"],
    ["lens", "A cat", "--out", "lens.npz"],
    ["attribute", "A cat", "--target", " the", "--out", "attribute.safetensors"],
    ["score", "A cat", "--cell", "blocks.0.attn.scaled[0,1,0]"],
    ["heads"],
    ["ablate", "A cat", "--target", " the", "--against", " a"],
    ["patch", "--clean", "A cat", "--corrupt", "A dog", "--target", " the", "--against", " a"],
    ["circuits"],
    ["worksheet", "A cat sat", "--top-p", "0.3", "--out", "sheet.pdf"],
    ["spreadsheet", "A cat", "--out", "head.xlsx"],
    ["directions", "uncle - man + woman"],
    ["census"],
    ["onnx", "--out", "model.onnx"],
]
PHONING = """
import os, socket, subprocess, sys
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError:
    pass
try:
    socket.getaddrinfo("telemetry.invalid", 443)
except OSError:
    pass
subprocess.run([sys.executable, "-c", "open('of a child', 'w')"], check=True)
os.rename("of a child", "renamed")
"""


def test_what_does_phone_is_seen(place):
    """The watch itself, on a program that does all that it looks for; a watch that sees nothing proves nothing."""
    found = watch([*PYTHON, "-c", PHONING], cwd=place / "work")
    assert found.status == 0, found.said
    assert any('sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")' in call for call in found.network)
    assert "/etc/hosts" in found.names or "/etc/resolv.conf" in found.names
    written = {str(place / "work" / name) for name in ("of a child", "renamed")}
    assert written <= set(found.outside([place / "home"]))
    assert written.isdisjoint(found.outside([place / "work"]))
    assert not quiet(found, place), "calls and lookups count, whatever is written"


def test_the_command_of_the_watch_ends_with_an_error_where_something_phones(place):
    watcher = [sys.executable, str(ROOT / "tests" / "watched.py"), "--cwd", str(place / "work")]
    own = ["--own", str(place)]
    loud = subprocess.run([*watcher, *own, "--", *PYTHON, "-c", PHONING], capture_output=True, text=True, check=False)
    assert loud.returncode == 1 and "error: tried" in loud.stdout
    silent = [*watcher, *own, "--", *PYTHON, "-c", "open('mine', 'w')"]
    assert subprocess.run(silent, capture_output=True, text=True, check=False).returncode == 0


LISTING = '[[figure]]\nname = "{0}.svg"\nprompt = "A"\nstep = "tokens"\n'


def test_every_command_and_its_workers_call_nobody_and_write_where_they_are_told(tried, place):
    # The scan talks to its workers, see below.
    assert {command[0] for command in EVERY_COMMAND} == set(COMMANDS) - {"scan"}, (
        "a new command is watched, too: add it to the list"
    )
    (place / "work" / "figures.toml").write_text(LISTING.format("one") + LISTING.format("two"))
    program = (
        "import json, sys\n"
        "from desktop_app.cli import main\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(max(main(command) for command in json.loads(sys.argv[1])))\n"
    )
    (place / "work" / "script.py").write_text(program)
    found = tried(*PYTHON, "script.py", json.dumps(EVERY_COMMAND))
    assert quiet(found, place), (found.network, found.names, strange(found, place))
    assert {"one.svg", "walk.pptx", "model.onnx"} <= {path.name for path in (place / "work").iterdir()}


def test_a_scan_talks_to_its_own_workers_on_this_machine_alone(tried, place):
    pytest.importorskip("distributed", reason="needs the packages of ./run scan")
    (place / "work" / "text.txt").write_text("A cat sat on the mat. " * 40)
    found = tried(*PYTHON, "-m", "desktop_app", "scan", "text.txt", "--out", "found", "--workers", "1")
    outside = [call for call in found.network if 'inet_addr("127.0.0.1")' not in call and '"::1"' not in call]
    # Dask's names come from the system's libuuid, which keeps its clock there where it may.
    written = [path for path in strange(found, place) if path != "/var/lib/libuuid/clock.txt"]
    assert (outside, found.names, written) == ([], (), [])
    assert (place / "work" / "found" / "neurons.parquet").exists()


def test_the_window_and_its_export_call_nobody(tried, place):
    found = tried(*PYTHON, "-m", "desktop_app", "--smoke", "figure.svg")
    assert "wrote figure.svg" in found.said
    assert quiet(found, place), (found.network, found.names, strange(found, place))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The folder of a wheel made of this tree and unpacked, and what starts its program."""
    made, folder = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(made)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(made.glob("*.whl"))) as file:
        file.extractall(folder)
    (points,) = folder.glob("*.dist-info/entry_points.txt")
    module, function = re.search(r"^logitscope = ([\w.]+):(\w+)$", points.read_text(), re.MULTILINE).groups()
    return folder, f"import sys; from {module} import {function}; sys.exit({function}())"


def test_the_installed_wheel_calls_nobody(tried, place, wheel):
    folder, start = wheel
    program = [*PYTHON, "-c", start]
    where = tried(*PYTHON, "-c", "import desktop_app; print(desktop_app.__file__)", PYTHONPATH=str(folder))
    assert where.said.startswith(str(folder)), "the wheel's own modules, not the checkout's"
    for command in (
        ["models", "list"],
        ["generate", "A cat", "-n", "2"],
        ["deck", "A cat", "--steps", "tokens,probabilities", "--jobs", "2", "--out", "walk.pptx"],
        ["--smoke", "figure.svg"],
    ):
        found = tried(*program, *command, PYTHONPATH=str(folder))
        assert quiet(found, place), (command, found.network, found.names, strange(found, place))
    assert {"walk.pptx", "figure.svg"} <= {path.name for path in (place / "work").iterdir()}


def test_a_script_that_imports_the_program_calls_nobody(tried, place):
    program = (
        "from desktop_app.core.program.bundle import default_model\n"
        "from desktop_app.core.model import open_model\n"
        "model = open_model(default_model())\n"
        "print(model.engine.trace(model.tokenizer.encode('A cat').ids)['logits'].shape)\n"
    )
    found = tried(*PYTHON, "-c", program)
    assert quiet(found, place), (found.network, found.names, strange(found, place))


def test_a_download_asks_its_hub_for_the_model_and_nobody_for_anything_else(tried, place, hub):
    found = tried(*PYTHON, "-m", "desktop_app", "models", "get", NAME, HF_ENDPOINT=hub.url, MY_TOOL="secret")
    assert all('inet_addr("127.0.0.1")' in call for call in found.network), found.network  # the hub and its storage
    cache = str(place / "home" / ".cache" / "huggingface")  # where a download is asked to go, for other programs too
    assert [path for path in strange(found, place) if not path.startswith(cache)] == []
    assert hub.requests and all(NAME in request["path"] for request in hub.requests)
    assert all("logitscope/" in str(r["headers"]) and "agent/" not in str(r["headers"]) for r in hub.requests)


@pytest.mark.parametrize("package", ["desktop_app", "benchmarks", "tests.conftest"])
def test_the_switches_are_set_before_anything_else_is_imported(package, place):
    program = (
        f"import {package}, os; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), "ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "1"]
