"""The folders of sentence-transformers models: the place of the transformer, and the formats of layers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from inferox.core import ConfigError, IntegrityError, PackageError, UnsupportedDTypeError
from inferox.sources import open_source
from inferox.sources.sentence_layout import lay_out
from tests.sources.checkpoints import make_model, save_model

OLD = "sentence_transformers.models."


def write_modules(directory: Path, *modules: tuple[str, str]) -> None:
    entries = [
        {"idx": index, "name": str(index), "path": folder, "type": kind} for index, (kind, folder) in enumerate(modules)
    ]
    directory.mkdir(exist_ok=True)
    (directory / "modules.json").write_text(json.dumps(entries))


@pytest.mark.parametrize("folder", ["0_Transformer", "encoder/bert", ""])
def test_the_transformer_may_lie_in_any_folder(folder: str, tmp_path: Path) -> None:
    write_modules(tmp_path, (f"{OLD}Transformer", folder), (f"{OLD}Pooling", "1_Pooling"))
    (tmp_path / folder).mkdir(exist_ok=True, parents=True)
    model = make_model("bert", "Model")
    save_model(model, tmp_path / folder)
    (tmp_path / folder / "sentence_bert_config.json").write_text('{"max_seq_length": 7}')
    (tmp_path / "config_sentence_transformers.json").write_text('{"prompts": {}}')
    before = sorted(tmp_path.rglob("*"))

    source = open_source(tmp_path)

    directory = source.facts.directory
    assert directory is not None
    assert source.facts.name == tmp_path.name
    for name in ("config.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        assert (directory / name).is_file()
    assert json.loads((directory / "modules.json").read_text())[0]["path"] == ""
    ids = np.array([[5, 6, 7]])
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    expected = model(**{name: torch.tensor(value) for name, value in inputs.items()}).last_hidden_state
    assert np.array_equal(source.compute(inputs)["last_hidden_state"], expected.detach().numpy())
    assert sorted(tmp_path.rglob("*")) == before
    del source
    assert directory.exists() is (not folder)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("pickled", [True, False])
def test_the_weights_of_a_layer_can_be_read_without_torch(dtype: torch.dtype, pickled: bool, tmp_path: Path) -> None:
    write_modules(tmp_path, (f"{OLD}Transformer", ""), (f"{OLD}Dense", "projection"))
    weight = torch.linspace(-3, 3, 6).reshape(2, 3).to(dtype)
    (tmp_path / "projection").mkdir()
    (tmp_path / "projection" / "config.json").write_text('{"in_features": 3}')
    if pickled:
        torch.save({"linear.weight": weight}, tmp_path / "projection" / "pytorch_model.bin")
    else:
        save_file({"linear.weight": weight}, tmp_path / "projection" / "model.safetensors")

    folder = lay_out(tmp_path, task=None)

    root = tmp_path if folder is None else Path(folder.name)
    assert (folder is None) is (not pickled and dtype is not torch.bfloat16)
    found = load_file(root / "projection" / "model.safetensors")["linear.weight"]
    assert np.array_equal(found.astype(np.float32), weight.float().numpy())
    assert (root / "projection" / "config.json").read_text() == '{"in_features": 3}'


@pytest.mark.parametrize("kind", ["StaticEmbedding", "Router", "Asym", "CLIPModel", "BoW", "WordEmbeddings"])
def test_a_first_module_that_is_not_a_transformer_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    write_modules(tmp_path, (OLD + kind, ""))

    with pytest.raises(ConfigError, match=rf"module 0 in modules\.json is of the type {kind}, which .*not supported"):
        open_source(tmp_path)


def test_a_folder_that_did_not_come_along_is_named(tmp_path: Path) -> None:
    write_modules(tmp_path, (f"{OLD}Transformer", "0_Transformer"))

    with pytest.raises(PackageError, match="names the folder '0_Transformer' for the transformer, but there is none"):
        open_source(tmp_path)


def test_damaged_and_double_precision_layers_are_refused(tmp_path: Path) -> None:
    write_modules(tmp_path, (f"{OLD}Transformer", ""), (f"{OLD}Dense", "2_Dense"))
    (tmp_path / "2_Dense").mkdir()
    (tmp_path / "2_Dense" / "model.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(IntegrityError, match=r"2_Dense/model\.safetensors is truncated or damaged"):
        lay_out(tmp_path, task=None)

    (tmp_path / "2_Dense" / "model.safetensors").unlink()
    torch.save({"linear.weight": torch.ones(2, dtype=torch.float64)}, tmp_path / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(UnsupportedDTypeError, match=r"linear\.weight would be rounded"):
        lay_out(tmp_path, task=None)


def test_raw_packs_the_transformer_of_a_model_with_foreign_layers(tmp_path: Path) -> None:
    save_model(make_model("bert", "Model"), tmp_path)
    write_modules(tmp_path, (f"{OLD}Transformer", ""), ("pylate.models.Dense.Dense", "1_Dense"))

    assert open_source(tmp_path, task="raw").facts.architecture == "BertModel"
    with pytest.raises(ConfigError, match=r"pylate\.models\.Dense\.Dense, which is not one of sentence-transformers"):
        open_source(tmp_path)
