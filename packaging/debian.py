"""The Debian package, made from the frozen folder: file layout, dependencies, description."""

import gzip
import os
import shutil
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from desktop_app import __version__, launch

ROOT = Path(__file__).resolve().parent.parent

_CONTROL = """\
Package: logitscope
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: {depends}
Recommends: ca-certificates
Suggests: ffmpeg
Section: science
Priority: optional
Description: desktop microscope for GPT-2
 Type a prompt, and step through the real forward pass of a GPT-2: tokens,
 embeddings, queries, keys and values, the attention of every head, neurons,
 the residual stream, logits, and the next token's probabilities under
 temperature, top-k and top-p. Every view can be exported as a figure.
 .
 A small GPT-2 comes with it, so that it works offline; other checkpoints of
 the GPT-2 family can be opened.
"""
_BASE = {
    *("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libzstd1", "liblzma5", "libexpat1", "libffi8", "libuuid1"),
    *("libssl3", "libbz2-1.0", "libx11-6", "libxcb1", "libfreetype6"),
}
"""Libraries beyond those of launch.py that Python and Qt load; any Debian with launch.py's packages has these too."""


def build_deb(frozen: Path, licences: Path, summary: str, manual: str, out: Path, date: str) -> Path:
    """Write logitscope_VERSION_ARCHITECTURE.deb into `out`.

    Args:
        frozen: the frozen folder.
        licences: the folder of licence texts.
        summary: the parts of the program and their licences, one per line.
        manual: the manual page.
        out: the folder of deliverables.
        date: the release date, as in 2026-01-31.
    """
    architecture = _output("dpkg", "--print-architecture")
    with TemporaryDirectory() as name:
        root = Path(name) / "root"
        _lay_out(root, frozen, licences, summary, manual, date)
        size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file()) // 1024
        (root / "DEBIAN").mkdir()  # dpkg-shlibdeps recognises a package folder by it
        depends = dependencies(root)
        (root / "DEBIAN" / "control").write_text(
            _CONTROL.format(
                version=__version__,
                architecture=architecture,
                maintainer=_maintainer(),
                size=size,
                depends=", ".join(depends),
            )
        )
        sums = [
            f"{_md5(path)}  {path.relative_to(root)}\n"
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.is_symlink() and "DEBIAN" not in path.relative_to(root).parts
        ]
        (root / "DEBIAN" / "md5sums").write_text("".join(sums))
        for path in [root, *root.rglob("*")]:
            if not path.is_symlink():
                runs = path.is_dir() or path == root / "usr/lib/logitscope/logitscope"
                path.chmod(0o755 if runs else 0o644)
        deb = out / f"logitscope_{__version__}_{architecture}.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(deb)], check=True)
    return deb


def dependencies(root: Path) -> list[str]:
    """The package's dependencies: libraries that its files are linked to, and those that Qt loads at run time.

    The latter are listed in the tables of launch.py. Raises SystemExit if a file is linked to a package that is neither
    in those tables nor in `_BASE` nor a dependency of theirs: launch.py could not name it if it were missing.
    """
    tables = set(launch.ALWAYS.values()).union(*(table.values() for table in launch.WINDOW.values()))
    linked = _linked(root)
    known = tables | _BASE | _brought_by(tables)
    strange = sorted(name for name in linked if name not in known)
    if strange:
        raise SystemExit(
            f"The frozen folder is linked to {', '.join(strange)}; leave that out, or add it to launch.py."
        )
    return [linked.get(name, name) for name in sorted(tables | linked.keys())]


def _linked(root: Path) -> dict[str, str]:
    """Package -> package with its minimum version, for all libraries that the files in `root` are linked to."""
    files = [str(path) for path in sorted(root.rglob("*")) if path.is_file() and _is_elf(path)]
    # These folders, under their installed paths, take precedence over the build machine's, which may have its own Qt.
    inside = sorted({f"-l/{Path(file).parent.relative_to(root)}" for file in files})
    packed = [f"-x{package}" for package in packages_of(root / "usr/lib/logitscope")]
    with TemporaryDirectory() as name:
        (Path(name) / "debian").mkdir()
        (Path(name) / "debian" / "control").write_text("Source: logitscope\n\nPackage: logitscope\nArchitecture: any\n")
        done = subprocess.run(
            ["dpkg-shlibdeps", "-O", "--ignore-missing-info", "--warnings=0", *inside, *packed, *files],
            cwd=name,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"dpkg-shlibdeps could not tell what the frozen folder is linked to:\n{done.stderr}")
    rows = done.stdout.partition("=")[2].strip().split(", ")
    return {row.split(" ")[0]: row for row in rows}


def packages_of(frozen: Path) -> list[str]:
    """The Debian packages from which the frozen folder has libraries of the build machine: Python's.

    Raises SystemExit for a library that belongs to no package.
    """
    found = set()
    for path in sorted((frozen / "_internal").glob("lib*.so*")):
        if not path.is_symlink():  # a symlink leads into a Python distribution's folder
            owners = _output("dpkg-query", "--search", f"*/{path.name}").splitlines()
            found.add(owners[0].partition(":")[0])
    return sorted(found)


def _brought_by(packages: set[str]) -> set[str]:
    """The direct dependencies of these packages."""
    shown = _output("dpkg-query", "--show", "--showformat", "${Depends}, ${Pre-Depends}, ", *sorted(packages))
    return {row.strip().split(" ")[0].split(":")[0] for row in shown.replace("|", ",").split(",") if row.strip()}


def _lay_out(root: Path, frozen: Path, licences: Path, summary: str, manual: str, date: str) -> None:
    share, linux = root / "usr/share", ROOT / "packaging" / "linux"
    shutil.copytree(frozen, root / "usr/lib/logitscope", symlinks=True)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/logitscope").symlink_to("../lib/logitscope/logitscope")
    _put(share / "applications/logitscope.desktop", (linux / "logitscope.desktop").read_bytes())
    _put(share / "mime/packages/logitscope.xml", (linux / "logitscope.xml").read_bytes())
    _put(share / "metainfo/local.logitscope.Logitscope.metainfo.xml", metainfo(date))
    icons = ROOT / "resources" / "icons"
    for path in sorted(icons.glob("logitscope-*.png")):
        size = path.stem.partition("-")[2]
        _put(share / f"icons/hicolor/{size}x{size}/apps/logitscope.png", path.read_bytes())
    _put(share / "icons/hicolor/scalable/apps/logitscope.svg", (icons / "logitscope.svg").read_bytes())
    _put(share / "man/man1/logitscope.1.gz", gzip.compress(manual.encode(), 9, mtime=0))
    doc = share / "doc/logitscope"
    _put(doc / "copyright", _copyright(summary).encode())
    _put(doc / "CHANGELOG.md.gz", gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), 9, mtime=0))
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.strptime(date, "%Y-%m-%d"))
    entry = (
        f"logitscope ({__version__}) unstable; urgency=medium\n\n  * For changes see CHANGELOG.md.gz in this folder.\n"
    )
    _put(doc / "changelog.gz", gzip.compress(f"{entry}\n -- {_maintainer()}  {stamp}\n".encode(), 9, mtime=0))
    _put(doc / "window.png", (ROOT / "docs" / "window.png").read_bytes())
    shutil.copytree(licences, doc / "licences")
    _put(share / "lintian/overrides/logitscope", (linux / "lintian-overrides").read_bytes())


def metainfo(date: str) -> bytes:
    """The AppStream description with this version, and with a screenshot if its URL is known.

    AppStream accepts a screenshot only by URL. The environment variable SCREENSHOT_URL gives the address at which
    docs/window.png is published; without it the description has no screenshot.
    """
    tree = ElementTree.parse(ROOT / "packaging" / "linux" / "logitscope.metainfo.xml")
    component = tree.getroot()
    address = os.environ.get("SCREENSHOT_URL")
    if address:
        screenshots = ElementTree.SubElement(component, "screenshots")
        screenshot = ElementTree.SubElement(screenshots, "screenshot", type="default")
        ElementTree.SubElement(screenshot, "caption").text = "The attention of one head, the text that it reads"
        ElementTree.SubElement(screenshot, "image", type="source").text = address
    releases = ElementTree.SubElement(component, "releases")
    ElementTree.SubElement(releases, "release", version=__version__, date=date)
    ElementTree.indent(tree)
    return ElementTree.tostring(component, encoding="utf-8", xml_declaration=True) + b"\n"


def _copyright(summary: str) -> str:
    own = (ROOT / "LICENSE").read_text(encoding="utf-8")
    return (
        f"Logitscope's own files, the bundled models included:\n\n{own}\n"
        "/usr/lib/logitscope also contains the following third-party components, unchanged. Their licences' texts and\n"
        "copyright notices are in /usr/share/doc/logitscope/licences, one file for each; the GNU licences and the\n"
        "Apache licence in /usr/share/common-licenses too. Qt and PySide6 are used under the LGPL version 3; their\n"
        "libraries are separate files in /usr/lib/logitscope/_internal/PySide6, and may be replaced.\n\n"
        f"{summary}\n"
    )


def _maintainer() -> str:
    """The packager from DEBFULLNAME and DEBEMAIL, as in Debian's tools; a reserved address without them."""
    return f"{os.environ.get('DEBFULLNAME', 'The Logitscope authors')} <{os.environ.get('DEBEMAIL', _NO_ADDRESS)}>"


_NO_ADDRESS = "authors@logitscope.invalid"  # RFC 2606 reserves `.invalid`


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _md5(path: Path) -> str:
    return _output("md5sum", str(path)).split(" ")[0]


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
