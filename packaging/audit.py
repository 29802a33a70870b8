#!/usr/bin/env python3
"""List the locked packages with known vulnerabilities; pip-audit queries PyPI for the advisories.

It needs the packages of packaging/requirements-audit.lock and exits with 1 if a vulnerability is known. If the network
gives no answer for the first lock file, it prints that nothing was audited and exits with 0.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (
    "packaging/requirements-build.lock",  # the shortest: if the network gives no answer for it, the others are skipped
    "requirements-test.lock",
    "packaging/requirements-package.lock",
    "packaging/requirements-ci.lock",
    "requirements-scan.lock",
    "packaging/requirements-readers.lock",
)
"""Lock files; the test lock contains all of requirements.lock."""


def audited(lock):
    """Audit a lock file with pip-audit: the number of packages with an answer, and a line for each vulnerability."""
    options = ("--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off")
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options, "--requirement", str(ROOT / lock)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        found = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(f"{lock}: {(done.stderr.strip().splitlines() or ['no answer'])[-1][:200]}")
        return 0, []
    known = [package for package in found if "skip_reason" not in package]
    lines = [
        f"{package['name']} {package['version']}: {fault['id']}, fixed in {', '.join(fault['fix_versions']) or '?'}"
        for package in known
        for fault in package["vulns"]
    ]
    skipped = len(found) - len(known)
    print(f"{lock}: {len(known)} packages audited, {skipped} without an answer, {len(lines)} known vulnerabilities")
    return len(known), lines


def main():
    """Audit every lock file and return the exit code."""
    vulnerable = []
    for n, lock in enumerate(LOCKS):
        count, lines = audited(lock)
        if n == 0 and not count:
            print("Nothing was audited: PyPI's advisories cannot be reached from this network.")
            return 0
        vulnerable += lines
    for line in sorted(set(vulnerable)):
        print(f"  {line}")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
