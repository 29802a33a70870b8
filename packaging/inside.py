"""What the program is made of: the distributions that the installed `logitscope` asks for, and what those ask for."""

from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def distributions() -> list[Distribution]:
    """`logitscope` and all that it needs here, sorted by name. Raises PackageNotFoundError if one is not installed."""
    waiting, found = [Requirement("logitscope")], {}
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)  # one name, however it is spelled by whom
        if name in found or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        made = found[name] = distribution(name)
        waiting += [Requirement(line) for line in made.requires or []]
    return [found[name] for name in sorted(found)]
