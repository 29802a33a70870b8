"""What no message may contain: the hub token, and user names and passwords in the URLs of the hub and proxies."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_ADDRESSES = re.compile("HF_ENDPOINT|.*_proxy", re.IGNORECASE)
# The login in a URL; up to the last @, since an unescaped password may contain anything.
_LOGIN = re.compile(r"://(\S*)@")
_LOGIN_OF = re.compile(r"(?:[^:/]*://)?(.*)@.*", re.DOTALL)
_KNOWN_FORMS = re.compile(r"""(?<=Bearer )[^'"]*|\bhf_\w+""")


def without_secrets(text: str) -> str:
    """`text` with every secret that this process was given replaced by …, however the secret is quoted or escaped."""
    for secret in sorted(set(_secrets()), key=len, reverse=True):
        text = text.replace(secret, "…")
    return _KNOWN_FORMS.sub("…", _LOGIN.sub("://", text))


def without_login(address: str) -> str:
    """The host of a URL, with its port, which is safe to show."""
    return address.partition("://")[2].rpartition("@")[2].partition("/")[0] or without_secrets(address)


def _secrets() -> Iterator[str]:
    for secret in _given():
        if len(secret) > 3:  # a shorter one would blank out half of every sentence
            yield from (secret, unquote(secret), quote(secret))
            yield from (repr(secret)[1:-1], repr(secret.encode("utf-8", "surrogatepass"))[2:-1])


def _given() -> Iterator[str]:
    """The secrets as they were set: tokens, and the login and password in the URLs of the hub and proxies."""
    yield from (os.environ[name] for name in _TOKENS if name in os.environ)
    # Without an import of huggingface_hub no token file has been read, so its token cannot occur in a message.
    client = sys.modules.get("huggingface_hub.constants")
    if client is not None:
        with suppress(OSError, ValueError):  # there is no token, which is normal
            yield Path(client.HF_TOKEN_PATH).read_text(encoding="utf-8").strip()
    for name, value in os.environ.items():
        if _ADDRESSES.fullmatch(name) and (found := _LOGIN_OF.fullmatch(value)):
            yield from (found[1], found[1].partition(":")[2])
