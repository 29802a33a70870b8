#!/usr/bin/env python3
"""Write the lock files from pyproject.toml; needs uv on the PATH.

Pins are kept unless pyproject.toml excludes them; --upgrade takes the newest versions that it allows.
The locks are valid for every supported Python and platform, have hashes, and name no package index.
requirements-ci.lock is for Linux only: its torch is the CPU build. Point uv to PyTorch's own index with
UV_EXTRA_INDEX_URL, or to a folder with the wheel with UV_FIND_LINKS; the lock allows only the files found there.
"""

import argparse
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def compile_lock(output: str, *options: str, only: str = "") -> None:
    """Resolve pyproject.toml, or the requirements `only`, into the lock file `output`, a path in the repository."""
    subprocess.run(
        [
            *("uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-strip-extras"),
            *("--annotation-style", "line", "--custom-compile-command", "packaging/lock.py"),
            *("-" if only else "pyproject.toml", "--output-file", output, *options),
        ],
        input=only,
        text=True,
        cwd=ROOT,
        check=True,
    )


def main() -> None:
    """Write the program's lock, a lock for each extra that contains the same pins and more, and the locks of tools."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    compile_lock("requirements.lock", *upgrade)
    for extra, output in (("test", "requirements-test.lock"), ("package", "packaging/requirements-package.lock")):
        compile_lock(output, "--extra", extra, "--constraint", "requirements.lock", *upgrade)
    others = ("requirements.lock", "requirements-test.lock", "packaging/requirements-ci.lock")
    together = [word for lock in others for word in ("--constraint", lock)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    compile_lock("packaging/requirements-build.lock", *upgrade, only="\n".join(project["build-system"]["requires"]))
    compile_lock("packaging/requirements-audit.lock", *upgrade, only="\n".join(groups["audit"]))
    with_tests = ("--constraint", "requirements-test.lock")
    compile_lock("packaging/requirements-ci.lock", *with_tests, *upgrade, only="\n".join(groups["ci"]))
    # These are installed in one environment with all of the above.
    compile_lock("requirements-scan.lock", "--extra", "scan", *together, *upgrade)
    with_scan = (*together, "--constraint", "requirements-scan.lock")
    compile_lock("packaging/requirements-readers.lock", *with_scan, *upgrade, only="\n".join(groups["readers"]))


if __name__ == "__main__":
    main()
