"""The provider in use is one that onnxruntime offers, and is named if it is not the CPU."""

import subprocess
import sys

import onnxruntime as ort
import pytest

from desktop_app.core.check import check_pass
from desktop_app.gpt2 import provider
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.int8 import round_checkpoint
from tests.checkpoints import TINY, write_checkpoint


@pytest.fixture
def before(monkeypatch):
    monkeypatch.setattr(provider, "_chosen", "cpu")


def test_the_processor_computes_unless_told(before):
    assert provider.chosen() == "cpu"
    assert provider.providers() == ["CPUExecutionProvider"]


def test_what_is_offered_is_what_onnxruntime_has(before):
    assert list(provider.offered().values()) == ort.get_available_providers()


def test_another_provider_has_the_processor_behind_it(before, monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    for name in ("cuda", "CUDA", "CUDAExecutionProvider"):
        provider.choose(name)
        assert provider.chosen() == "cuda"
        assert provider.providers() == ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_one_that_is_not_here_is_refused_with_those_that_are(before):
    with pytest.raises(ModelError, match=r"no execution provider 'warp' here; onnxruntime offers .*cpu"):
        provider.choose("warp")
    assert provider.chosen() == "cpu"


def test_the_command_refuses_it_before_anything_else():
    command = [sys.executable, "-m", "desktop_app", "generate", "hi", "--provider", "warp"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no execution provider 'warp'" in done.stderr


def test_another_provider_reads_the_weights_from_a_file_and_computes_the_same(before, tmp_path):
    # This provider is in every build of onnxruntime and leaves all work to the CPU.
    if "azure" not in provider.offered():
        pytest.skip("this onnxruntime offers the cpu alone")
    checkpoint = load_checkpoint(write_checkpoint(tmp_path / "m", TINY))
    expected = Engine(checkpoint).trace((3, 1, 4)).logits(-1)
    provider.choose("azure")
    engine = Engine(checkpoint)
    assert [f.name for f in check_pass(engine, (3, 1, 4)) if not f.good] == []
    assert engine.trace((3, 1, 4)).logits(-1) == pytest.approx(expected, rel=1e-5)


def test_int8_is_for_the_processor_alone(before, tmp_path, monkeypatch):
    checkpoint = load_checkpoint(write_checkpoint(tmp_path / "m", TINY))
    monkeypatch.setattr(provider, "_chosen", "cuda")
    with pytest.raises(ModelError, match="int8 weights only work on the CPU, not on cuda"):
        round_checkpoint(checkpoint)
