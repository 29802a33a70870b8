"""Run a command under strace and report its network calls, name lookups and changed files.

It uses only the standard library, so that it can also watch an installed program:

        python3 tests/watched.py --own DIR [--own DIR ...] -- COMMAND ...

lists network calls, name lookups and changes outside the DIRs, and exits with 1 if there are any.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import join, normpath

_CALLS = "connect,bind,sendto,sendmsg,sendmmsg"
_CHANGES = (
    "creat", "mkdir", "mkdirat", "mknod", "mknodat", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
    "symlinkat", "unlink", "unlinkat", "rmdir", "truncate", "chmod", "fchmodat", "chown", "lchown", "fchownat",
)  # fmt: skip
_OPENS = ("open", "openat", "openat2")
_LINE = re.compile(r"\d+ +(\w+)\((.*)")
# A path as strace -y writes it: the folder of the descriptor that it is relative to, if any, then the name.
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
# getaddrinfo reads these before it queries a name server, and so do programs that query one themselves.
_NAME_SERVICE = ("/etc/resolv.conf", "/run/systemd/resolve/", "/etc/hosts")
_DEVICES = ("/dev/", "/proc/")


@dataclass(frozen=True)
class Tried:
    """`network`: calls to network addresses. `names`: files read for a name lookup. `changed`: paths."""

    network: tuple[str, ...]
    names: tuple[str, ...]
    changed: tuple[str, ...]
    status: int
    said: str

    def outside(self, own: Sequence[str | Path]) -> tuple[str, ...]:
        """Paths that the command changed or tried to change, except devices, `own`, and paths below or above it."""
        roots = (*_DEVICES, *(f"{folder}/" for folder in own))
        above = {str(parent) for folder in own for parent in Path(folder).parents}
        return tuple(path for path in self.changed if not f"{path}/".startswith(roots) and path not in above)


def watch(command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | Path = "/") -> Tried:
    """Run `command` in `cwd` to its end, following its child processes, and parse the strace record."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "strace"
        calls = ",".join((_CALLS, *(f"?{name}" for name in (*_CHANGES, *_OPENS))))
        tracer = ["strace", "-f", "--seccomp-bpf", "-y", "-s", "4096", "-e", f"trace={calls}", "-e", "signal=none"]
        done = subprocess.run(
            [*tracer, "-o", str(record), "--", *map(str, command)],
            env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        lines = record.read_text(errors="replace").splitlines()
    network, names, changed = [], [], []
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        call, arguments = found.groups()
        if call in _CALLS.split(","):
            if "sa_family=AF_INET" in arguments or any(name in arguments for name in _NAME_SERVICE):
                network.append(line)
            continue
        paths = [normpath(join(cwd, place, _plain(name))) for place, name in _PATH.findall(arguments) if name]
        names += [path for path in paths if path.startswith(_NAME_SERVICE)]
        if "link" in call and "unlink" not in call:
            paths = paths[-1:]  # the link's target comes first in the call, and is not changed
        if call in _CHANGES or re.search(r"O_(CREAT|WRONLY|RDWR|TRUNC)", arguments):
            changed += paths
    return Tried(tuple(network), tuple(names), tuple(dict.fromkeys(changed)), done.returncode, done.stdout)


def _plain(name: str) -> str:
    """The name with strace's escapes decoded."""
    return name.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")


def main() -> int:
    """The command line described in the module docstring; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--own", action="append", default=[], help="a folder whose files the command may change")
    parser.add_argument("--cwd", default="/", help="where to run it")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    tried = watch(arguments.command, cwd=arguments.cwd)
    sys.stdout.write(tried.said)
    faults = [*tried.network, *tried.names, *tried.outside(arguments.own)]
    for fault in faults:
        print(f"error: tried {fault}")
    return tried.status or bool(faults)


if __name__ == "__main__":
    sys.exit(main())
