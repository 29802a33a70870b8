"""The base of analysis results that can be written to a file as named arrays."""

from typing import Any

from numpy.typing import NDArray


class NamedArrays:
    """A record of arrays whose repr shows their names and shapes rather than their numbers."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name; the AXES of a subclass names the axes of each."""
        raise NotImplementedError

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {list(array.shape)}" for name, array in self.arrays().items())
        return f"<{type(self).__name__}: {found}>"
