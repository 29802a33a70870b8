"""Where the frozen program begins: workers of its own first, then the command line."""

import multiprocessing
import sys

if __name__ == "__main__":
    # A worker process is this program once more with arguments of its own; this call does its work and never returns.
    multiprocessing.freeze_support()
    from desktop_app.cli import main

    sys.exit(main())
