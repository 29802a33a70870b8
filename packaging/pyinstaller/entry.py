"""The entry point of the frozen program: runs its worker processes, or the command line."""

import multiprocessing
import os
import sys

if __name__ == "__main__":
    # PyInstaller's bootloader sets the library path for this process. Programs that it starts (ffmpeg, a browser) are
    # the system's and need the system's libraries; our own workers go through the bootloader again.
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    os.environ.pop("LD_LIBRARY_PATH", None)
    if before is not None:
        os.environ["LD_LIBRARY_PATH"] = before
    # A worker process is this program again, with special arguments; there this call does the work and never returns.
    multiprocessing.freeze_support()
    from desktop_app.cli import main

    sys.exit(main())
