"""What all results of an analysis are: records of arrays with names."""

from typing import Any

from numpy.typing import NDArray


class NamedArrays:
    """A record of arrays, which says their names and shapes of itself rather than their numbers."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name; a subclass' AXES names the axes of each."""
        raise NotImplementedError

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {list(array.shape)}" for name, array in self.arrays().items())
        return f"<{type(self).__name__}: {found}>"
