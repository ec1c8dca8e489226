"""The package that a name stands for, and when it is packed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers

from inferox.compat import CrossEncoder, SentenceTransformer
from inferox.core import ConfigError, PackageError, Precision, RequestError
from tests.compat.test_sentence_transformer import TEXTS
from tests.sources.fake_hub import MAIN, FakeRepository, go_to, serve

LIGHT = """
import sys
from inferox.compat import SentenceTransformer
with SentenceTransformer(sys.argv[1], backend="onnx") as model:
    vectors = model.encode(["a text", "another"], normalize_embeddings=True, precision="binary", truncate_dim=64)
assert vectors.shape == (2, 8)
print(model.get_backend(), *sorted({"torch", "transformers", "sentence_transformers"} & set(sys.modules)))
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the test's own."""
    folder = tmp_path / "store"
    monkeypatch.setenv("INFEROX_STORE", str(folder))
    return folder


def test_a_package_gives_the_numbers_of_its_model(minilm_package: Path, minilm_directory: Path) -> None:
    theirs = sentence_transformers.SentenceTransformer(str(minilm_directory), device="cpu")
    with SentenceTransformer(minilm_package) as ours:
        assert (ours.max_seq_length, ours.get_embedding_dimension()) == (256, 384)
        np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-5)


def test_what_is_packed_is_loaded_without_pytorch(minilm_package: Path) -> None:
    command = [sys.executable, "-c", LIGHT, str(minilm_package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program

    assert (done.returncode, done.stdout.split()) == (0, ["onnxruntime"]), done.stderr


def test_a_folder_is_packed_once_until_its_files_change(
    encoder_directory: Path, tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "my-model"
    shutil.copytree(encoder_directory, source)
    packages = []
    for _ in range(2):
        with SentenceTransformer(str(source), backend="torch") as model:
            packages.append(model.package)
    assert packages[0] == packages[1]
    assert packages[0].is_relative_to(store)
    assert [record.message for record in caplog.records] == [
        "Inferox packs my-model for torch; this is done only once, and takes about a minute for a small model"
    ]

    os.utime(source / "config.json", (1, 1))
    with SentenceTransformer(str(source), backend="torch") as model:
        assert model.package != packages[0]


@pytest.mark.usefixtures("store")
def test_a_folder_is_packed_in_the_requested_precision(encoder_directory: Path) -> None:
    half: dict[str, Any] = {"model_kwargs": {"dtype": "bfloat16"}}
    for options, expected in ((half, Precision.BF16), ({}, Precision.FP32), ({"precision": "bf16"}, Precision.BF16)):
        with SentenceTransformer(str(encoder_directory), backend="torch", **options) as model:
            assert model.loaded.metadata.precision == expected
    with pytest.raises(ConfigError, match="there is no precision 'fp8'"):
        SentenceTransformer(str(encoder_directory), backend="torch", precision="fp8")


@pytest.mark.usefixtures("store")
def test_names_of_the_hub(encoder_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [path for path in encoder_directory.rglob("*") if path.is_file()]
    files = {path.relative_to(encoder_directory).as_posix(): path.read_bytes() for path in paths}
    options: dict[str, Any] = {"cache_folder": str(tmp_path / "cache"), "backend": "torch"}
    with serve(
        {"sentence-transformers/tiny": FakeRepository({MAIN: files}), "bare": FakeRepository({MAIN: files})}
    ) as hub:
        go_to(hub, tmp_path, monkeypatch)
        for name in ("tiny", "bare"):
            with SentenceTransformer(name, **options) as model:
                assert model.loaded.name == name
                assert model.encode(["a"]).shape == (1, 16)
                package = model.package
        with SentenceTransformer("bare", local_files_only=True, **options) as model:
            assert model.package == package
        with pytest.raises(PackageError, match="has no repository sentence-transformers/nowhere"):
            SentenceTransformer("nowhere", **options)
    assert (tmp_path / "cache" / "models--sentence-transformers--tiny").is_dir()
    assert "GET /sentence-transformers/nowhere/revision/main" in {
        line.replace("/api/models", "") for line in hub.requests
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nowhere/at/all", "/nowhere/at/all is neither a package nor the folder of a model"),
        ("./nowhere", "./nowhere is neither a package"),
        ("a/b/c", "a/b/c is neither a package"),
        ("nowhere.mlpkg", "nowhere.mlpkg"),
    ],
)
def test_what_is_not_there(name: str, message: str) -> None:
    with pytest.raises(PackageError, match=message):
        SentenceTransformer(name)


def test_a_model_of_another_kind_is_refused_before_it_is_packed(encoder_directory: Path, store: Path) -> None:
    with pytest.raises(RequestError, match="is for the task embed, not for CrossEncoder"):
        CrossEncoder(str(encoder_directory))
    assert not list(store.rglob("*.json"))


def test_the_kind_of_a_model_is_known_wherever_its_transformer_lies(
    encoder_directory: Path, tmp_path: Path, store: Path
) -> None:
    shutil.copytree(encoder_directory, tmp_path / "model" / "0_Transformer")
    module = {"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}
    (tmp_path / "model" / "modules.json").write_text(json.dumps([module]))
    with pytest.raises(RequestError, match="is for the task embed, not for CrossEncoder"):
        CrossEncoder(str(tmp_path / "model"))
    assert not list(store.rglob("*.json"))


def test_a_model_of_another_kind(reranker_directory: Path, minilm_package: Path) -> None:
    with pytest.raises(RequestError, match="is for the task embed, not for CrossEncoder"):
        CrossEncoder(minilm_package)
    with pytest.raises(ConfigError, match="states the model_type CrossEncoder, which gives no vectors"):
        SentenceTransformer(str(reranker_directory), backend="torch")
