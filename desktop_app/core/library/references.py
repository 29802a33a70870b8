"""Names of models on the Hugging Face Hub, `owner/name[@revision]`."""

import re
from dataclasses import dataclass

from desktop_app.gpt2.errors import ModelError

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(rf"(?:{_PART}/)?{_PART}")
PAGE = "https://huggingface.co/"
"""The beginning of the URL of a model's page."""

COMMIT = re.compile(r"[0-9a-f]{40}")
"""A full commit hash."""

# Of the characters that git allows in a branch name, those that are in use and safe in a path.
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}")


@dataclass(frozen=True)
class HubName:
    """A repository of the hub at a revision: a branch, a tag or a commit."""

    repository: str
    revision: str = "main"

    def __str__(self) -> str:
        return self.repository if self.revision == "main" else f"{self.repository}@{self.revision}"


def parse_hub_name(text: str) -> HubName:
    """Parse `owner/name` or `owner/name@revision`; surrounding spaces and the URL of the model's page are allowed.

    Raises ModelError for anything else.
    """
    text = text.strip()
    page = text.removeprefix(PAGE)
    name, at, revision = (page if page == text else page.rstrip("/")).partition("@")
    revision = revision if at else "main"
    clean = ".." not in name and "--" not in name and _REPOSITORY.fullmatch(name)
    if not clean or not _REVISION.fullmatch(revision) or any(p in ("", ".", "..") for p in revision.split("/")):
        raise ModelError(
            f"{text[:100]!a} is not the name of a model on the hub; write owner/name, like openai-community/gpt2, or "
            "owner/name@revision."
        )
    return HubName(name, revision)
