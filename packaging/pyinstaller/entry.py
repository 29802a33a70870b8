"""Where the frozen program begins: workers of its own first, then the command line."""

import multiprocessing
import os
import sys

if __name__ == "__main__":
    # The starter sets where libraries are looked for. That is for this process: what it starts (ffmpeg, a browser) is
    # the system's and takes the system's. Our own workers go through the starter again.
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    os.environ.pop("LD_LIBRARY_PATH", None)
    if before is not None:
        os.environ["LD_LIBRARY_PATH"] = before
    # A worker process is this program once more with arguments of its own; this call does its work and never returns.
    multiprocessing.freeze_support()
    from desktop_app.cli import main

    sys.exit(main())
