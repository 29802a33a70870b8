"""The test hub as a fixture, shared with the tests of the window."""

import pytest

from tests.hub import server

NAME = "owner/tiny"


@pytest.fixture
def hub(tiny, monkeypatch):
    """A running hub; HF_ENDPOINT and the value that the client read when it was imported both point to it."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    from desktop_app.core.library import hub as client

    with server.running() as running:
        extra = {"README.md": b"# A card\n", "pytorch_model.bin": b"\x80\x04pickle", "onnx.py": b"print()\n"}
        running.add(NAME, tiny, extra)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
        yield running
        close_session()
