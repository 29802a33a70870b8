"""The errors that a user can meet; the text of each says in a clear sentence what is wrong, where, and what to do."""


class LogitscopeError(Exception):
    """The base of all errors whose text is for the user: one sentence, or several if several things are wrong.

    A command that ends with one exits with status 2. `option` is the name of the option that is wrong, without the
    leading dashes of the command line; empty if the error is not about an option.
    """

    def __init__(self, *sentences: object, option: str = "") -> None:
        super().__init__(*sentences)
        self.option = option

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences one by one: the text cannot be split at line breaks, which a quoted name may contain, too."""
        return tuple(map(str, self.args))

    def __str__(self) -> str:
        return "\n".join(self.sentences)


class ModelError(LogitscopeError):
    """A model cannot be used, or something was asked of it that it does not have or cannot compute."""


class TokenizerError(LogitscopeError):
    """Tokenizer files cannot be used, or a text or ids cannot be turned into tokens."""


class SamplingError(LogitscopeError):
    """A sampling setting, or another number given to sampling, is not valid."""


class SessionError(LogitscopeError):
    """A file with a session or a story cannot be read or written, or does not fit the model."""


class ExportError(LogitscopeError):
    """A figure or another output cannot be made as requested, or its file cannot be written."""


def outside_vocabulary(token: int, vocab_size: int, where: str = "") -> str:
    """The message for a token id for which the embedding has no row; `where` is its place, such as " at position 3"."""
    ids = f"0 to {vocab_size - 1:,}"
    return f"Token id {token}{where} is outside the model's vocabulary, {ids}; give an id in this range."


UNEXPECTED = "An unexpected error occurred"
"""How the message for a fault in the program begins."""


def fault_words(fault: BaseException) -> str:
    """The message for an exception that a fault in the program has caused, which the user can only report."""
    return f"{UNEXPECTED}: {type(fault).__name__}: {str(fault)[:200]}"


class Cancelled(LogitscopeError):
    """Work was stopped because the user asked for it, or its result is no longer needed; nothing is wrong."""
