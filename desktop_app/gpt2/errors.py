"""The errors a user can meet: one clear sentence each, naming what is wrong, where, and what to do."""


class LogitscopeError(Exception):
    """Base of every error that is shown to the user as one sentence, or as several. Commands exit with 2 on it.

    `option` is the command option that the error is about, its name without the leading dashes.
    """

    def __init__(self, *sentences: object, option: str = "") -> None:
        super().__init__(*sentences)
        self.option = option

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences one by one; a name that is quoted in one may contain a line break."""
        return tuple(map(str, self.args))

    def __str__(self) -> str:
        return "\n".join(self.sentences)


class ModelError(LogitscopeError):
    """A checkpoint, its config or its weights cannot be used."""


class TokenizerError(LogitscopeError):
    """Tokenizer files cannot be used, or a text or id cannot be turned into tokens."""


class SamplingError(LogitscopeError):
    """A sampling setting is out of range."""


class SessionError(LogitscopeError):
    """A session file cannot be read or written."""


class ExportError(LogitscopeError):
    """An output file cannot be written."""


def outside_vocabulary(token: int, vocab_size: int, where: str = "") -> str:
    """The sentence on an id that the embedding has no row for; `where` gives its place, " at position 3"."""
    return f"Token id {token}{where} is outside the model's vocabulary, 0 to {vocab_size - 1:,}; give another."


UNEXPECTED = "An unexpected error occurred"
"""How the sentence on a fault in the program itself begins."""


def fault_words(fault: BaseException) -> str:
    """The sentence on a fault in the program itself, which the user can only report."""
    return f"{UNEXPECTED}: {type(fault).__name__}: {str(fault)[:200]}"


class Cancelled(LogitscopeError):
    """Work was stopped on request; nothing is wrong."""
