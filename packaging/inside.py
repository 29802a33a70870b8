"""What the program is made of: the distributions that the installed `logitscope` asks for, and what those ask for."""

from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement


def distributions() -> list[Distribution]:
    """`logitscope` and all that it needs here, sorted by name. Raises PackageNotFoundError if one is not installed."""
    waiting, found = [Requirement("logitscope")], {}
    while waiting:
        asked = waiting.pop()
        if asked.name.lower() in found or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        made = distribution(asked.name)
        found[asked.name.lower()] = made
        waiting += [Requirement(line) for line in made.requires or []]
    return [found[name] for name in sorted(found)]
