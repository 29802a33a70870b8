"""What a view may need beside its pass, as values: a product, its arguments, and a result."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from desktop_app.gpt2.phrase import Phrase


@dataclass(frozen=True)
class Product:
    """One thing that is computed beside a pass.

    `compute` takes a `Work` (core/products.py) and the arguments of the want; what it returns is never changed after.
    `words` say what is being done, as in "Measuring every head". `of_text` is False for what is about the weights alone
    and stays when the text changes; `of_both` is True for what reads the other prompt's pass, too. `quick` is True for
    what takes a fraction of a pass and may be computed with it.
    """

    id: str
    words: str
    compute: Callable[..., Any]
    of_text: bool = True
    of_both: bool = False
    quick: bool = True

    @property
    def waiting(self) -> str:
        """What stands in a view where the product is not there yet."""
        return Phrase("{1} …", self.words)


@dataclass(frozen=True)
class Want:
    """A product with its arguments; `quick` is False where this one takes longer than the product's others.

    `of` names the pass that it is made from, as `Passes.of` reads it.
    """

    product: Product
    args: tuple[Hashable, ...] = ()
    quick: bool = field(default=True, compare=False)
    of: str = ""

    @property
    def with_pass(self) -> bool:
        """Whether it may be computed together with the pass, before that is shown."""
        return self.quick and self.product.quick


@dataclass(frozen=True, eq=False)
class Made:
    """A result; two are the same only if they are one. One that is not `whole` is as far as it is done by now."""

    value: Any
    whole: bool = True
