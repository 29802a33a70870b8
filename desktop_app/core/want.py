"""What a view may need besides its pass, as values: a `Product`, a `Want` (with arguments), and a result (`Made`)."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from desktop_app.gpt2.phrase import Phrase


@dataclass(frozen=True)
class Product:
    """An analysis that is computed in addition to a pass.

    `compute` takes a `Work` (core/products.py) and the arguments of the want; its result is never modified. `words`
    describe the computation, as in "Measuring every head". `of_text` is False for a product of the weights alone, which
    stays valid when the text changes. `of_both` is True if it also reads the other prompt's pass. `quick` is True if it
    takes a fraction of the time of a pass and may be computed together with it.
    """

    id: str
    words: str
    compute: Callable[..., Any]
    of_text: bool = True
    of_both: bool = False
    quick: bool = True

    @property
    def waiting(self) -> str:
        """The text shown in a view until the product is computed."""
        return Phrase("{1} …", self.words)


@dataclass(frozen=True)
class Want:
    """A request for a product with certain arguments; `quick` is False if these make it take longer than usual.

    `of` names the pass from which it is computed, as in `Passes.of`.
    """

    product: Product
    args: tuple[Hashable, ...] = ()
    quick: bool = field(default=True, compare=False)
    of: str = ""

    @property
    def with_pass(self) -> bool:
        """Whether it may be computed together with the pass, before the pass is shown."""
        return self.quick and self.product.quick


@dataclass(frozen=True, eq=False)
class Made:
    """A result, compared by identity. If `whole` is False, it is partial: what has been computed so far."""

    value: Any
    whole: bool = True
