#!/usr/bin/env python3
"""Make all deliverables in dist/: wheel, sdist, frozen folder, Debian package, SHA256SUMS. See ./run package.

It needs an environment with the packages of packaging/requirements-package.lock. The same commit on the same Debian
gives the same files, byte for byte.
"""

import gzip
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import notices

ROOT = Path(__file__).resolve().parent.parent
DIST, BUILD = ROOT / "dist", ROOT / "build"
TOOLS = {"objdump": "binutils", "dpkg-shlibdeps": "dpkg-dev"}
"""Command -> the Debian package that contains it."""
LIMIT_MB = 150


def main() -> None:
    """Make everything; the previous contents of dist/ are deleted."""
    missing = {package for command, package in TOOLS.items() if shutil.which(command) is None}
    missing.update(notices.NEEDED if notices.lacking() else ())
    missing.update(libraries_lacking())
    if missing:
        wanted = " ".join(sorted(missing))
        raise SystemExit(f"Packaging needs programs that are not installed; install them with: apt install {wanted}")
    epoch = os.environ.setdefault("SOURCE_DATE_EPOCH", commit_time())
    date = time.strftime("%Y-%m-%d", time.gmtime(int(epoch)))
    os.environ.update(PYTHONHASHSEED="0", TZ="UTC", LC_ALL="C.UTF-8")
    os.environ.pop("PYTHONPATH", None)
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()

    wheel = build_wheel()
    python("-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", "--no-index", str(wheel))
    frozen = freeze()
    run(str(frozen / "logitscope"), "--selftest")

    from debian import build_deb  # these import the program just installed
    from licences import write_licences
    from manpage import manual

    licences = BUILD / "licences"
    shutil.rmtree(licences, ignore_errors=True)
    summary = write_licences(frozen, licences)
    deb = build_deb(frozen, licences, summary, manual(date), DIST, date)
    pack_folder(frozen, licences, summary, int(epoch))
    write_sums()

    for path in sorted(DIST.iterdir()):
        print(f"{path.stat().st_size / 1e6:8.1f} MB  {path.relative_to(ROOT)}")
    if deb.stat().st_size > LIMIT_MB * 1e6:
        raise SystemExit(f"{deb.name} is larger than {LIMIT_MB} MB; exclude something in packaging/pyinstaller/.")


def libraries_lacking() -> list[str]:
    """The Debian packages of missing Qt libraries: packaging imports the modules that it examines."""
    code = (
        "from desktop_app import launch\n"
        "tables = [launch.ALWAYS, *launch.WINDOW.values()]\n"
        "print(*{name for table in tables for library, name in table.items() if not launch._loads(library)})"
    )  # in another process: this one must later import the installed program, not this checkout
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environ, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.split()


def build_wheel() -> Path:
    """Build the sdist and the wheel; building from the sdist must give the same wheel."""
    for kind in ("--sdist", "--wheel"):
        python("-m", "build", "--no-isolation", kind, "--outdir", str(DIST), str(ROOT))
    [sdist], [wheel] = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    with TemporaryDirectory() as name:
        with tarfile.open(sdist) as archive:
            archive.extractall(name)
        [unpacked] = Path(name).iterdir()
        python("-m", "build", "--no-isolation", "--wheel", "--outdir", name, str(unpacked))
        if (Path(name) / wheel.name).read_bytes() != wheel.read_bytes():
            raise SystemExit(
                "The sdist builds a different wheel than the checkout; see [tool.hatch.build] in pyproject.toml."
            )
    python("-m", "twine", "check", "--strict", str(sdist), str(wheel))
    return wheel


def freeze() -> Path:
    """Freeze the installed wheel for the current platform; returns the frozen folder."""
    spec = {"linux": "linux.spec", "win32": "windows.spec", "darwin": "macos.spec"}[sys.platform]
    out = BUILD / "frozen"
    shutil.rmtree(out, ignore_errors=True)
    python(
        *("-m", "PyInstaller", "--noconfirm", "--clean", "--log-level", "WARN"),
        *("--distpath", str(out), "--workpath", str(BUILD / "pyinstaller")),
        str(ROOT / "packaging" / "pyinstaller" / spec),
    )
    return out / "logitscope"


def pack_folder(frozen: Path, licences: Path, summary: str, epoch: int) -> None:
    """Pack the frozen folder and its licences into one archive, in a fixed order with one timestamp."""
    from desktop_app import __version__

    folder = f"logitscope-{__version__}"

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = epoch
        entry.mode = 0o755 if entry.isdir() or entry.name == f"{folder}/logitscope" else 0o644
        return entry

    (licences / "README.txt").write_text(f"{(ROOT / 'LICENSE').read_text()}\nThird-party components:\n\n{summary}\n")
    path = DIST / f"{folder}-linux-{platform.machine()}.tar.gz"
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for source, place in ((frozen, folder), (licences, f"{folder}/licences")):
            for entry in sorted(source.rglob("*")):
                name = f"{place}/{entry.relative_to(source)}"
                archive.add(entry, name, recursive=False, filter=plain)


def write_sums() -> None:
    """Write SHA256SUMS of all deliverables, for sha256sum --check."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(DIST.iterdir())]
    (DIST / "SHA256SUMS").write_text("".join(lines))


def commit_time() -> str:
    """The Unix time of the packed commit; without a repository or git, that of this file."""
    said = ""
    if shutil.which("git"):
        command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return said or str(int(Path(__file__).stat().st_mtime))


def python(*arguments: str) -> None:
    """Run this Python with -P, so that nothing is imported from the current folder."""
    run(sys.executable, "-P", *arguments)


def run(*command: str) -> None:
    """Run a command; raises SystemExit with one sentence if it fails."""
    print(f"== {' '.join(command[:6])}", flush=True)
    status = subprocess.run(command, check=False, cwd="/").returncode
    if status:
        raise SystemExit(f"{' '.join(command)} failed with exit status {status}; see its output above.")


if __name__ == "__main__":
    main()
