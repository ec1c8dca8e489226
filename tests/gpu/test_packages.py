"""Packages on an NVIDIA GPU. Skipped, with the reason, if there is none."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

import inferox
from inferox.core import DeviceId, Layout, LoadOptions
from inferox.loading.context import PackageContext
from inferox.loading.loader import Loader
from tests.packing.modules import make_cnn
from tests.packing.test_kinds import TEXTS, save_text_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no NVIDIA GPU on this machine"),
]


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-3), ("bf16", 0.1), ("fp16", 0.02)])
def test_a_text_encoder_in_every_precision(
    tmp_path: Path, minilm_directory: Path, precision: str, tolerance: float
) -> None:
    save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    inferox.pack(tmp_path / "bert", tmp_path / "p", precisions=("fp32", "bf16", "fp16"))
    with (
        inferox.load(tmp_path / "p", device="cpu") as here,
        inferox.load(tmp_path / "p", device="cuda:0", precision=precision) as there,
    ):
        assert there.metadata.device == DeviceId.cuda(0)
        np.testing.assert_allclose(there.embed(TEXTS), here.embed(TEXTS), atol=tolerance)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_both_layouts_of_a_text_encoder(tmp_path: Path, minilm_directory: Path, precision: str) -> None:
    if precision == "int8":
        pytest.importorskip("torchao", reason="torchao, which quantises for PyTorch, is not installed")
    inferox.pack(minilm_directory, tmp_path / "p", precisions=(precision,))
    context = PackageContext(inferox.open_package(tmp_path / "p"))
    loader = Loader(context, DeviceId.cuda(0), LoadOptions("encoder"))
    with inferox.load(tmp_path / "p", device="cpu", precision=precision) as here:
        expected = here.embed(TEXTS)
    assert {artifact.layout for artifact in context.package.artifacts} == {Layout.PADDED, Layout.PACKED}
    for artifact in context.package.artifacts:
        with loader.open_alone(artifact) as there:
            np.testing.assert_allclose(there.embed(TEXTS), expected, atol=2e-3)
            ids = np.ones((2, 3), np.int64)
            outputs = there.forward(dict.fromkeys(there.signature.input_names, ids))
            assert {tensor.device for tensor in outputs.values()} == {DeviceId.cuda(0)}


def test_an_exported_program_moves_to_the_device(tmp_path: Path) -> None:
    inferox.pack(make_cnn, tmp_path / "p")
    _, inputs = make_cnn()
    with (
        inferox.load(tmp_path / "p", device="cpu", trust_code=True) as here,
        inferox.load(tmp_path / "p", device="cuda", trust_code=True) as there,
    ):
        expected = here.forward(inputs)["output"].numpy()
        np.testing.assert_allclose(there.forward(inputs)["output"].numpy(), expected, atol=1e-3)


def test_a_closed_model_gives_its_memory_back(tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    inferox.pack(tmp_path / "bert", tmp_path / "p")
    inferox.load(tmp_path / "p", device="cuda").close()
    gc.collect()
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        with inferox.load(tmp_path / "p", device="cuda") as model:
            model.embed(["hello"])
        del model
        gc.collect()
    assert torch.cuda.memory_allocated() <= before
