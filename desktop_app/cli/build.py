"""`logitscope build`: make the figures listed in a file."""

import argparse
import os
import sys
from pathlib import Path

from desktop_app.cli.shared import shown


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.errors import ExportError

    listing: Path = arguments.listing
    folder: Path = arguments.out_dir or listing.parent
    if arguments.out_dir is not None and not folder.is_dir():
        raise ExportError(f"There is no folder {folder}; make it first.")
    jobs = min(4, os.cpu_count() or 1) if arguments.jobs is None else arguments.jobs
    if not 1 <= jobs <= 64:
        raise ExportError(f"--jobs {jobs} is out of range; choose from 1 to 64.")

    from desktop_app.cli import figure
    from desktop_app.cli.options import LISTED
    from desktop_app.cli.shared import say
    from desktop_app.figures.build import Record, build
    from desktop_app.figures.listing import read_listing, record_file

    entries = read_listing(listing, folder, LISTED, figure.order_of)
    record = Record(record_file(listing, folder))
    report = build(entries, record, jobs=jobs, force=arguments.force, progress=_progress)
    for name in report.unlisted:
        print(f"{shown(name)} is no longer listed; it was left where it is.")
    count = len(entries)
    print(f"{count} figure{'s' * (count != 1)}: {len(report.made)} made, {len(report.kept)} unchanged"
          + (f", {len(report.failed)} failed" if report.failed else "") + ".")  # fmt: skip
    for sentence in report.failed:
        say(sentence)
    return 2 if report.failed else 0


def _progress(done: int, count: int, name: str, how: str) -> None:
    print(f"{done:{len(str(count))}}/{count}  {shown(name)}  {how}", flush=True)
    sys.stdout.flush()
