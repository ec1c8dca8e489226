"""The files in which a directory keeps its weights, whole and damaged."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from inferox.core import IntegrityError, ManifestError, PackageError, UnsafePathError, UntrustedCodeError
from inferox.sources.checkpoint import read_checkpoint
from tests.sources.checkpoints import make_model, save_model

INDEX = "model.safetensors.index.json"


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(3, 4, generator=generator) for name in ("a", "b", "c")}


def _assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def _save_sharded_pickles(directory: Path, weights: dict[str, torch.Tensor]) -> None:
    places = {name: f"pytorch_model-{name}.bin" for name in weights}
    for name, value in weights.items():
        torch.save({name: value}, directory / places[name])
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))


def test_sharded_safetensors(tmp_path: Path) -> None:
    model = make_model("bert", "Model")
    save_model(model, tmp_path, max_shard_size="3KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    _assert_same(read_checkpoint(tmp_path), model.state_dict())


def test_pickled_weights(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    torch.save(weights, tmp_path / "pytorch_model.bin")
    _assert_same(read_checkpoint(tmp_path), weights)


def test_pickled_weights_of_the_old_format(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    torch.save(weights, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    _assert_same(read_checkpoint(tmp_path), weights)


def test_sharded_pickles(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    _save_sharded_pickles(tmp_path, weights)
    _assert_same(read_checkpoint(tmp_path), weights)


def test_safetensors_come_first(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, tmp_path / "model.safetensors")
    torch.save({name: value + 1 for name, value in weights.items()}, tmp_path / "pytorch_model.bin")
    _assert_same(read_checkpoint(tmp_path), weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype: torch.dtype, tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    halved = {name: value.to(dtype) for name, value in weights.items()}
    save_file({**halved, "count": torch.arange(3)}, tmp_path / "model.safetensors")
    found = read_checkpoint(tmp_path)
    assert found.pop("count").dtype is torch.int64
    _assert_same(found, {name: value.float() for name, value in halved.items()})


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"has no weights: expected model\.safetensors"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("name", "framework"),
    [("tf_model.h5", "TensorFlow"), ("flax_model.msgpack", "Flax"), ("tiny.Q4.gguf", "GGUF"), ("model.onnx", "ONNX")],
)
def test_weights_of_another_framework(name: str, framework: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(PackageError, match=f"weights only for {framework}"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.98])
def test_truncated_weights(name: str, kept: float, tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    path = tmp_path / name
    (save_file if path.suffix == ".safetensors" else torch.save)(weights, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(IntegrityError, match=f"{name} is truncated or damaged"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("content", [b"\xff" * 100, b"{}", b"<html>moved</html>"])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_something_else_in_the_place_of_weights(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PackageError, match=name):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("value", [[torch.ones(1)], {"model": {"a": torch.ones(1)}}, torch.ones(1)])
def test_pickle_of_something_else(value: Any, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "pytorch_model.bin")
    with pytest.raises(IntegrityError, match="must hold tensors by name"):
        read_checkpoint(tmp_path)


class _Touch:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("new_format", [True, False])
def test_hostile_pickle_is_not_run(new_format: bool, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save({"a": _Touch(mark)}, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=new_format)
    with pytest.raises(UntrustedCodeError, match="holds more than tensors"):
        read_checkpoint(tmp_path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(_Touch(mark)))  # noqa: S301 - to see that it would have run
    assert mark.exists()


def test_missing_shard(tmp_path: Path) -> None:
    save_model(make_model("bert", "Model"), tmp_path, max_shard_size="3KB")
    (tmp_path / sorted(tmp_path.glob("model-*"))[1]).unlink()
    with pytest.raises(IntegrityError, match=r"are missing: model-00002-of-\d+\.safetensors"):
        read_checkpoint(tmp_path)


def test_truncated_shard(tmp_path: Path) -> None:
    save_model(make_model("bert", "Model"), tmp_path, max_shard_size="3KB")
    shard = sorted(tmp_path.glob("model-*"))[1]
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=f"{shard.name} is truncated or damaged"):
        read_checkpoint(tmp_path)


def test_shard_without_a_listed_weight(tmp_path: Path) -> None:
    model = make_model("bert", "Model")
    save_model(model, tmp_path, max_shard_size="3KB")
    shard = min(tmp_path.glob("model-*"))
    tensors = load_file(shard)
    lost = min(tensors)
    save_file({name: value for name, value in tensors.items() if name != lost}, shard)
    with pytest.raises(IntegrityError, match=f"{shard.name} lacks 1 of the weights .* first {lost}"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": ["b"]}}']
)
def test_malformed_index(text: str, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(ManifestError, match=r"model\.safetensors\.index\.json.*(weight_map|JSON)"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/model.safetensors", "a/b.safetensors"])
def test_index_that_leads_elsewhere(shard: str, tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    directory = tmp_path / "model"
    (directory / "a").mkdir(parents=True)
    save_file(weights, tmp_path / "model.safetensors")
    save_file(weights, directory / "a" / "b.safetensors")
    (directory / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(weights, shard)}))
    with pytest.raises(UnsafePathError, match="does not lie beside it"):
        read_checkpoint(directory)
