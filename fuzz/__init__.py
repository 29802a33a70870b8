"""Structure-aware random mutations of external inputs, fed to every parser that reads them: `./run fuzz`."""

import desktop_app  # imported first: it disables telemetry in libraries

__all__ = ["desktop_app"]
