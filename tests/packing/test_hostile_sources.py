"""Models as strangers leave them: links of a hub's cache, endless files, numbers that would be rounded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import inferox
from inferox.core import ConfigError, PackageError, UnsupportedDTypeError
from inferox.sources.model_files import complete_files
from tests.packing.modules import make_cnn
from tests.packing.test_kinds import save_text_model
from tests.packing.test_proof import save_source


def test_a_model_of_links_as_the_hubs_cache_has_it(tmp_path: Path, minilm_directory: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    blobs.mkdir()
    source = save_source(tmp_path / "source", minilm_directory)
    for index, path in enumerate(sorted(item for item in source.rglob("*") if item.is_file())):
        (blobs / str(index)).symlink_to(path)
        link = snapshot / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(os.path.relpath(blobs / str(index), link.parent)))
    report = inferox.pack(snapshot, tmp_path / "p")
    assert report.task == "embed"
    with inferox.load(tmp_path / "p") as model:
        assert np.linalg.norm(model.embed(["normalised, as its modules.json says"])) == pytest.approx(1, abs=1e-5)


def test_a_layer_that_climbs_is_refused(tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "m", minilm_directory, "bert", "Model")
    modules = [{"type": "sentence_transformers.models.Dense", "path": "../../etc"}]
    (tmp_path / "m" / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(PackageError, match="leads out of"):
        inferox.pack(tmp_path / "m", tmp_path / "p")


def test_only_what_describes_a_model_is_copied(tmp_path: Path, minilm_directory: Path) -> None:
    model, secret = tmp_path / "m", tmp_path / "secret"
    save_text_model(model, minilm_directory, "bert", "Model")
    (model / "tokenizer.json").unlink()
    (model / "vocab.txt").write_bytes((minilm_directory / "vocab.txt").read_bytes())
    secret.mkdir()
    (secret / "key").write_text("x")
    (model / "data").symlink_to(secret, target_is_directory=True)
    (model / "dangling.txt").symlink_to(tmp_path / "nowhere")
    folder = complete_files(model, {})
    assert folder is not None
    assert (Path(folder.name) / "tokenizer.json").is_file()
    assert not (Path(folder.name) / "data").exists()


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "modules.json"])
def test_json_without_end(tmp_path: Path, minilm_directory: Path, name: str) -> None:
    save_text_model(tmp_path / "m", minilm_directory, "bert", "Model")
    (tmp_path / "m" / name).write_text("[" * 100_000)
    with pytest.raises(PackageError):
        inferox.pack(tmp_path / "m", tmp_path / "p")


def test_double_precision_is_not_rounded_silently(tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "m", minilm_directory, "bert", "Model")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    name = "encoder.layer.0.output.dense.bias"
    save_file({**weights, name: weights[name].double()}, tmp_path / "m" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UnsupportedDTypeError, match=name):
        inferox.pack(tmp_path / "m", tmp_path / "p")


def test_packing_an_archive_unpacks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFEROX_STORE", "/proc/nope")
    report = inferox.pack(make_cnn, tmp_path / "p.mlpkg")
    assert report.size_bytes == (tmp_path / "p.mlpkg").stat().st_size


def test_a_time_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH"):
        inferox.pack(make_cnn, tmp_path / "p")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    inferox.pack(make_cnn, tmp_path / "p")
    assert inferox.open_package(tmp_path / "p").metadata.created_at == "1970-01-01T00:00:00+00:00"


def test_advice_to_trust_is_given_only_where_it_helps(tmp_path: Path) -> None:
    inferox.pack(make_cnn, tmp_path / "p")
    with pytest.raises(inferox.InferoxError) as caught:
        inferox.load(tmp_path / "p", precision="int8")
    assert "trust" not in str(caught.value)


def test_a_config_with_a_value_of_the_wrong_type(tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "m", minilm_directory, "bert", "Model")
    path = tmp_path / "m" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": "six"}))
    with pytest.raises(PackageError, match="num_hidden_layers"):
        inferox.pack(tmp_path / "m", tmp_path / "p")
