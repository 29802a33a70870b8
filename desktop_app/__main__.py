"""`python -m desktop_app` is the logitscope command."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Without -P the current directory comes first on sys.path, where a file may have the name of a module. (In a
    # checkout the program itself may be there.)
    if not sys.flags.safe_path and sys.path[0] != str(Path(__file__).absolute().parent.parent):
        del sys.path[0]

    from desktop_app.cli import main

    sys.exit(main())
