from __future__ import annotations

import gc
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from inferox.core import (
    Artifact,
    BackendUnavailableError,
    DataType,
    LoadError,
    Precision,
    Signature,
    TensorSpec,
)
from tests.backends.torch.artifacts import load, make_artifact, run
from tests.sources.checkpoints import make_model, make_texts

SIGNATURE = Signature(
    tuple(TensorSpec(name, DataType.I64, ("batch", "seq")) for name in ("input_ids", "attention_mask")),
    (TensorSpec("last_hidden_state", DataType.F32, ("batch", "seq", 16)),),
)
FILES = {"config": "config.json", "weights": "model.safetensors"}
TEXTS = make_texts(SIGNATURE.input_names)


@pytest.fixture(scope="module")
def bert() -> transformers.PreTrainedModel:
    return make_model("bert", "Model")


@pytest.fixture
def artifact(tmp_path: Path, bert: transformers.PreTrainedModel) -> Artifact:
    (tmp_path / "config.json").write_text(json.dumps(bert.config.to_dict()))
    save_file(dict(bert.state_dict()), tmp_path / "model.safetensors")
    return make_artifact(tmp_path, "safetensors", FILES, signature=SIGNATURE, options={"architecture": "BertModel"})


def expected(module: torch.nn.Module, inputs: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    with torch.inference_mode():
        output: npt.NDArray[Any] = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})[
            0
        ].numpy()
    return output


def test_it_computes_what_transformers_does(artifact: Artifact, bert: transformers.PreTrainedModel) -> None:
    model = load(artifact)
    for rows, length in ((1, 1), (3, 9), (5, 40)):
        inputs = make_texts(SIGNATURE.input_names, rows=rows, length=length)
        # On some processors, products of a single row are rounded by where the weights lie in memory.
        np.testing.assert_allclose(run(model, inputs)["last_hidden_state"], expected(bert, inputs), 1e-5, 1e-6)


def test_data_needs_no_trust(artifact: Artifact) -> None:
    load(artifact, trust_code=False)


@pytest.mark.parametrize(
    ("precision", "dtype", "tolerance"),
    [(Precision.BF16, torch.bfloat16, 0.1), (Precision.FP16, torch.float16, 0.02)],
)
def test_lower_precisions(
    artifact: Artifact, bert: transformers.PreTrainedModel, precision: Precision, dtype: torch.dtype, tolerance: float
) -> None:
    narrow = load(replace(artifact, precision=precision))
    found = run(narrow, TEXTS)["last_hidden_state"]
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected(bert, TEXTS)).max() < tolerance
    np.testing.assert_array_equal(found.astype(np.float16 if dtype is torch.float16 else np.float32), found)
    # The table of positions has no fractions, and is unchanged.
    whole = load(artifact).memory_requirements().weights_bytes
    assert narrow.memory_requirements().weights_bytes == pytest.approx(whole / 2, rel=0.05)
    assert narrow.metadata.precision is precision


def test_int8(artifact: Artifact, bert: transformers.PreTrainedModel) -> None:
    model = load(replace(artifact, precision=Precision.INT8))
    assert model.metadata.precision is Precision.INT8
    found = run(model, TEXTS)["last_hidden_state"]
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected(bert, TEXTS)).max() < 0.05
    np.testing.assert_array_equal(run(load(artifact), TEXTS)["last_hidden_state"], expected(bert, TEXTS))


def test_int8_takes_a_quarter_of_the_linear_layers_memory(artifact: Artifact) -> None:
    weights = load_file(artifact.path("weights"))
    linear = [
        weight.shape for name, weight in weights.items() if weight.ndim == 2 and not name.startswith("embeddings.")
    ]
    whole = load(artifact).memory_requirements().weights_bytes
    spared = whole - load(replace(artifact, precision=Precision.INT8)).memory_requirements().weights_bytes
    elements, channels = sum(rows * columns for rows, columns in linear), sum(rows for rows, _ in linear)
    assert 3 * elements - 8 * channels <= spared <= 3 * elements - 4 * channels  # a scale each, and a zero point


def test_closing_frees_int8_weights(artifact: Artifact) -> None:
    from torchao.quantization import Int8Tensor

    def alive() -> int:
        gc.collect()
        return sum(type(item) is Int8Tensor for item in gc.get_objects())

    before = alive()
    model = load(replace(artifact, precision=Precision.INT8))
    outputs = model.forward(TEXTS)
    assert alive() > before
    model.close()
    assert alive() == before
    assert outputs["last_hidden_state"].shape


def test_int8_without_torchao(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torchao", "torchao.quantization"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailableError, match=r"quantise to int8 here: .*not installed") as caught:
        load(replace(artifact, precision=Precision.INT8))
    assert caught.value.hint == "pip install 'inferox[torch-int8]'"
    load(artifact)


def test_quantising_leaves_the_settings_of_the_compiler(artifact: Artifact) -> None:
    before = torch._inductor.config.save_config_portable(ignore_private_configs=False)
    load(replace(artifact, precision=Precision.INT8))
    assert torch._inductor.config.save_config_portable(ignore_private_configs=False) == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_on_disk_is_widened_exactly(
    artifact: Artifact, bert: transformers.PreTrainedModel, dtype: torch.dtype
) -> None:
    narrow = {name: value.to(dtype) for name, value in bert.state_dict().items()}
    save_file(narrow, artifact.path("weights"))
    widened = make_model("bert", "Model")
    widened.load_state_dict({name: value.float() for name, value in narrow.items()})
    np.testing.assert_array_equal(run(load(artifact), TEXTS)["last_hidden_state"], expected(widened, TEXTS))


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_eight_threads_get_each_their_own_result(artifact: Artifact, precision: Precision) -> None:
    model = load(replace(artifact, precision=precision))
    cases = [make_texts(SIGNATURE.input_names, rows=1 + index % 4, length=2 + index) for index in range(16)]
    wanted = [run(model, inputs)["last_hidden_state"] for inputs in cases]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda inputs: run(model, inputs)["last_hidden_state"], cases * 3))
    for output, right in zip(found, wanted * 3, strict=True):
        np.testing.assert_allclose(output, right, atol=1e-6)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count mapped memory in other ways")
def test_weights_are_mapped_rather_than_read(minilm_directory: Path) -> None:
    artifact = make_artifact(
        minilm_directory, "safetensors", FILES, signature=SIGNATURE, options={"architecture": "BertModel"}
    )
    load(artifact)  # what the libraries themselves need is loaded by now
    process = psutil.Process()
    before = process.memory_full_info().uss
    model = load(artifact)
    taken = process.memory_full_info().uss - before
    assert model.memory_requirements().weights_bytes > 90_000_000
    assert taken < 45_000_000


@pytest.mark.parametrize("options", [{}, {"architecture": 3}])
def test_an_artifact_without_its_architecture(artifact: Artifact, options: dict[str, Any]) -> None:
    with pytest.raises(LoadError, match="does not state its architecture"):
        load(replace(artifact, options=options))


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '"bert"', "null", '{"model_type": "bert"', "\udcff"])
def test_configs_that_are_no_config(artifact: Artifact, content: str) -> None:
    artifact.path("config").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(LoadError, match=r"config\.json (must be a JSON object|is not JSON)"):
        load(artifact)


@pytest.mark.parametrize("content", [b"", b"garbage" * 99, (1 << 60).to_bytes(8, "little") + b"{}"])
def test_damaged_weights(artifact: Artifact, content: bytes) -> None:
    artifact.path("weights").write_bytes(content)
    with pytest.raises(LoadError, match="loading small"):
        load(artifact)


def test_truncated_weights(artifact: Artifact) -> None:
    whole = artifact.path("weights").read_bytes()
    artifact.path("weights").write_bytes(whole[:-10])
    with pytest.raises(LoadError, match="loading small"):
        load(artifact)


def test_missing_weights_are_named(artifact: Artifact, bert: transformers.PreTrainedModel) -> None:
    weights = dict(bert.state_dict())
    del weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, artifact.path("weights"))
    with pytest.raises(LoadError, match=r"that it needs: encoder\.layer\.1\.output\.dense\.bias"):
        load(artifact)


@pytest.mark.slow
def test_it_is_compiled_once_for_every_length(artifact: Artifact, bert: transformers.PreTrainedModel) -> None:
    from torch._dynamo import config

    model = load(artifact, compile=True)
    with config.patch(error_on_recompile=True):
        for rows, length in ((2, 9), (3, 5), (4, 30)):
            inputs = make_texts(SIGNATURE.input_names, rows=rows, length=length)
            np.testing.assert_allclose(run(model, inputs)["last_hidden_state"], expected(bert, inputs), atol=1e-5)
    # A single row is a special case for the compiler.
    inputs = make_texts(SIGNATURE.input_names, rows=1, length=6)
    np.testing.assert_allclose(run(model, inputs)["last_hidden_state"], expected(bert, inputs), atol=1e-5)
