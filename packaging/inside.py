"""The distributions in the program: `logitscope` as installed here and its requirements, direct and indirect."""

from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def distributions() -> list[Distribution]:
    """`logitscope` and all its requirements here, sorted by name. Raises PackageNotFoundError if one is missing."""
    waiting, found = [Requirement("logitscope")], {}
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)  # spellings differ between packages
        if name in found or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        made = found[name] = distribution(name)
        waiting += [Requirement(line) for line in made.requires or []]
    return [found[name] for name in sorted(found)]
