"""The bundled models' files have the recorded sums; any that differ are named."""

import shutil
import subprocess

import pytest

from desktop_app.core.program import bundle, sums
from desktop_app.gpt2.errors import ModelError


def test_the_bundled_models_are_as_recorded():
    found = sums.present_sums()
    assert found == sums.recorded_sums(), "a bundled model changed; write its sums anew: python packaging/sums.py"
    assert {name.partition("/")[0] for name in found} == set(bundle.bundled_models())


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not here")
def test_sha256sum_reads_the_file_and_agrees():
    command = ["sha256sum", "--check", "--strict", sums.FILE]
    done = subprocess.run(command, cwd=sums.models_folder(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of models with its sums, for tests that damage it."""
    (tmp_path / "models" / "bundled").mkdir(parents=True)
    (tmp_path / "models" / "bundled" / "config.json").write_text("{}")
    (tmp_path / "models" / "bundled" / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(bundle, "_PACKAGE", tmp_path / "desktop_app")
    lines = [f"{digest}  {name}\n" for name, digest in sums.present_sums().items()]
    (tmp_path / "models" / sums.FILE).write_text("".join(lines))
    assert sums.require_sums()
    return tmp_path / "models"


def test_a_changed_a_missing_and_a_foreign_file_are_named(models):
    weights = models / "bundled" / "model.safetensors"
    weights.write_bytes(b"Weights")
    with pytest.raises(ModelError, match=r"model\.safetensors was changed.*install Logitscope again"):
        sums.require_sums()
    weights.unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        sums.require_sums()
    weights.write_bytes(b"weights")
    (models / "bundled" / "vocab.json").write_text("{}")
    with pytest.raises(ModelError, match=r"vocab\.json is not recorded"):
        sums.require_sums()


def test_a_file_of_sums_that_is_none_is_refused(models):
    (models / sums.FILE).write_text("no sums here\n")
    with pytest.raises(ModelError, match="line 1: not a SHA-256 sum"):
        sums.require_sums()
