from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inferox.backends.torch.backend import TorchBackend
from inferox.core import (
    Artifact,
    BackendUnavailableError,
    DeviceId,
    Layout,
    LoadError,
    LoadOptions,
    ManifestError,
    ModelMetadata,
    Precision,
)
from tests.backends.torch.artifacts import AFFINE_SIGNATURE, load, make_affine, make_artifact


@pytest.fixture
def scripted(tmp_path: Path) -> Artifact:
    torch.jit.save(torch.jit.script(make_affine()), tmp_path / "model.pt")
    return make_artifact(tmp_path, "torchscript", {"program": "model.pt"})


def test_a_loaded_model_tells_where_it_came_from(scripted: Artifact) -> None:
    model = load(scripted)
    assert model.name == "small"
    assert model.signature == AFFINE_SIGNATURE
    assert model.metadata == ModelMetadata("torch", "torchscript", Precision.FP32, Layout.PADDED, DeviceId.cpu())


def test_an_absent_device(scripted: Artifact) -> None:
    with pytest.raises(BackendUnavailableError, match="no device cuda:99"):
        TorchBackend.cpu().load(scripted, DeviceId.cuda(99), LoadOptions("small", trust_code=True))


@pytest.mark.parametrize("format_", ["safetensors", "torchscript", "torch-export", "aotinductor", "state-dict"])
def test_artifacts_without_their_files(tmp_path: Path, format_: str) -> None:
    options = {"architecture": "BertModel"}
    with pytest.raises(ManifestError, match="lists no"):
        load(make_artifact(tmp_path, format_, {}, options=options))
    roles = {"safetensors": ("config", "weights"), "state-dict": ("factory", "weights")}.get(format_, ("program",))
    with pytest.raises(LoadError, match=r"absent|archive"):
        load(make_artifact(tmp_path, format_, dict.fromkeys(roles, "absent"), options=options))


@pytest.mark.parametrize("format_", ["torchscript", "torch-export", "aotinductor"])
@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all" * 99])
def test_damaged_programs(tmp_path: Path, format_: str, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(LoadError, match="loading small") as caught:
        load(make_artifact(tmp_path, format_, {"program": "model.bin"}))
    assert "\n" not in str(caught.value)
