"""Which vectors may share an index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import inferox
from inferox.core import Artifact
from inferox.package import Package, embedding_space, open_package
from inferox.parity import ParityClass


@pytest.fixture(scope="module")
def package(bert_package: Path) -> Package:
    return open_package(bert_package)


def space(package: Package, artifact: Artifact, **options: Any) -> str:
    return embedding_space(package, artifact, "embed", {**package.info.task_options, **options})


def with_class(package: Package, artifact: Artifact, parity_class: ParityClass) -> Package:
    assert package.parity is not None
    items = package.parity.artifacts
    changed = [replace(item, parity_class=parity_class) if item.artifact == artifact.name else item for item in items]
    return replace(package, parity=replace(package.parity, artifacts=tuple(changed)))


def test_artifacts_that_agree_share_a_space_and_quantised_ones_have_their_own(package: Package) -> None:
    assert len(package.artifacts) == 6
    first = package.artifacts[0]
    assert len({space(package, item) for item in package.artifacts}) == 1
    close, quantized = (with_class(package, first, name) for name in (ParityClass.CLOSE, ParityClass.QUANTIZED))
    assert space(close, first) == space(package, first)
    assert space(quantized, first) != space(package, first)
    twice = with_class(quantized, package.artifacts[2], ParityClass.QUANTIZED)
    assert len({space(twice, item) for item in package.artifacts}) == 3


def test_the_same_model_packed_again_for_another_runtime_has_the_same_space(
    bert_package: Path, package: Package, tmp_path: Path
) -> None:
    inferox.pack(bert_package.parent / "source", tmp_path / "again", backends=("torch",), task="embed", name="other")
    again = open_package(tmp_path / "again")
    assert space(again, again.artifacts[0]) == space(package, package.artifacts[0])


@pytest.mark.parametrize("change", [{"pooling": ["cls"]}, {"prompts": {"query": "q: "}}, {"truncate_dim": 8}])
def test_other_settings_are_another_space(package: Package, change: dict[str, Any]) -> None:
    assert space(package, package.artifacts[0], **change) != space(package, package.artifacts[0])


def test_other_weights_or_tokens_are_another_space(package: Package) -> None:
    for path in ("weights/model.safetensors", "tokenizer.json", "config.json"):
        files = [replace(item, sha256="0" * 64) if item.path == path else item for item in package.metadata.files]
        other = replace(package, metadata=replace(package.metadata, files=tuple(files)))
        assert space(other, package.artifacts[0]) != space(package, package.artifacts[0])


def test_what_was_never_measured_has_a_space_of_its_own(package: Package) -> None:
    unknown = replace(package, parity=None)
    found = [space(unknown, item) for item in package.artifacts]
    assert len({*found, space(package, package.artifacts[0])}) == len(found) + 1


def test_a_loaded_model_states_its_space(package: Package) -> None:
    with inferox.load(package.root, "onnxruntime", precision="fp32") as model:
        assert model.metadata.embedding_space == space(package, package.artifacts[0])
