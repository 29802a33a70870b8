"""Which tokens end a text, according to config.json, generation_config.json and the tokenizer's files.

transformers stops at the ids in generation_config.json or, if it has none, at those in config.json. The tokenizer has
an end-of-text token as well, which fine-tuning often changes without updating the other files.
"""

from pathlib import Path

from desktop_app.gpt2.config import CONFIG_LIMIT
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.jsonfile import read_json
from desktop_app.gpt2.tokenizer import Tokenizer


def text_ends(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """The ids at which generation ends for the model in `folder`.

    config.json is read only if generation_config.json names no ids. If the tokenizer has an end of text, an id in these
    files that is an ordinary token is ignored: configs with other vocabularies often keep GPT-2's 50256.

    Raises ModelError for a file that is not a JSON object, and for an eos_token_id that is neither an id nor a list.
    """
    said = _named(folder / "generation_config.json") or _named(folder / "config.json")
    own = tokenizer.eos_id
    believed = {number for number in said if own is None or tokenizer.is_added(number)}
    return frozenset(believed | ({own} if own is not None else set()))


def _named(path: Path) -> set[int]:
    if not path.exists():
        return set()
    value = read_json(path, limit=CONFIG_LIMIT, error=ModelError).get("eos_token_id")
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(number) is int for number in ids):
        raise ModelError(f"{path}: eos_token_id is {str(value)[:60]!r}; it must be a token's id or a list of them.")
    return set(ids)
