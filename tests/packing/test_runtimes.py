"""Every kind of model on every runtime, in every layout: packed, verified, and equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inferox
from inferox.core import LoadOptions
from inferox.loading.context import PackageContext
from inferox.loading.loader import Loader
from inferox.measuring import verify
from inferox.parity import ParityClass
from tests.packing.modules import make_cnn
from tests.packing.test_kinds import PAIRS, TEXTS, one_layer, save_text_model
from tests.sources.checkpoints import make_model, save_model

GRAPHS = ("torch", "onnxruntime", "openvino")
PACKED = {f"{backend}/{format_}/fp32/packed" for backend, format_ in zip(GRAPHS, ("safetensors", "onnx", "onnx"))}  # noqa: B905
PADDED = {name.replace("packed", "padded") for name in PACKED}
CANDLE = {"candle/safetensors/fp32/padded"}


def check(package: Path, expected: set[str], **options: bool) -> None:
    found = verify(package, **options)  # type: ignore[arg-type]
    assert found.passed
    assert found.not_run == {}
    assert {item.artifact for item in found.evidence} == expected
    assert {item.parity_class for item in found.evidence} <= {ParityClass.EXACT, ParityClass.CLOSE}


@pytest.mark.parametrize(
    ("model_type", "head"),
    [
        pytest.param("bert", "Model", marks=pytest.mark.slow),
        pytest.param("roberta", "Model", marks=pytest.mark.slow),
        pytest.param("distilbert", "Model", marks=pytest.mark.slow),
        pytest.param("xlm-roberta", "Model", marks=pytest.mark.slow),
        pytest.param("bert", "ForSequenceClassification", marks=pytest.mark.slow),
        pytest.param("roberta", "ForSequenceClassification", marks=pytest.mark.slow),
        ("distilbert", "ForTokenClassification"),
    ],
)
def test_the_bert_family_runs_on_all_four(tmp_path: Path, minilm_directory: Path, model_type: str, head: str) -> None:
    save_text_model(tmp_path / "source", minilm_directory, model_type, head, **one_layer(model_type))
    if model_type in {"roberta", "xlm-roberta"}:
        # Their own tokenizers have no token types, for which the models have a single vector.
        settings = tmp_path / "source" / "tokenizer_config.json"
        names = {"model_input_names": ["input_ids", "attention_mask"]}
        settings.write_text(json.dumps({**json.loads(settings.read_text(encoding="utf-8")), **names}), encoding="utf-8")
    report = inferox.pack(
        tmp_path / "source", tmp_path / "package", backends=(*GRAPHS, "candle"), precisions=("fp32",), strict=True
    )
    assert report.refused == {}
    check(tmp_path / "package", PACKED | PADDED | CANDLE)
    answers = answers_of(tmp_path / "package", TEXTS)
    assert answers.keys() == PACKED | PADDED | CANDLE
    first, *others = answers.values()
    for answer in others:
        for one, other in zip(first, answer, strict=True):
            np.testing.assert_allclose(scores(one), scores(other), atol=1e-5)


def answers_of(path: Path, items: list[Any]) -> dict[str, list[Any]]:
    """Returns the answers of each artifact of a package by itself."""
    context = PackageContext(inferox.open_package(path))
    loader = Loader(context, None, LoadOptions(context.package.metadata.name))
    answers = {}
    for artifact in context.package.artifacts:
        with loader.open_alone(artifact) as model:
            assert model.metadata.layout is artifact.layout
            answers[artifact.name] = model.run(items)
    return answers


def scores(result: object) -> np.ndarray:
    """Returns the numbers of a vector, or of labels with their scores."""
    if isinstance(result, np.ndarray):
        return result
    return np.array([getattr(item, "score", 0.0) for item in result], dtype=np.float32)  # type: ignore[attr-defined]


@pytest.mark.slow  # test_modular_cross_encoder.py ranks on two of them, and a classifier above runs on all four
def test_a_cross_encoder_ranks_alike_on_all_four(tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "source", minilm_directory, "bert", "ForSequenceClassification", num_labels=1)
    report = inferox.pack(
        tmp_path / "source", tmp_path / "package", backends=(*GRAPHS, "candle"), task="rerank", strict=True
    )
    assert {item.agreement.ranking_agreement for item in report.evidence} == {1.0}
    check(tmp_path / "package", PACKED | PADDED | CANDLE)
    answers = answers_of(tmp_path / "package", PAIRS)
    assert answers.keys() == PACKED | PADDED | CANDLE
    for found in answers.values():
        np.testing.assert_allclose(found, next(iter(answers.values())), atol=1e-6)


def test_a_model_that_cannot_be_packed_stays_padded_and_is_said_to(tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "source", minilm_directory, "mpnet", "Model", **one_layer("mpnet"))
    report = inferox.pack(tmp_path / "source", tmp_path / "package", backends=(*GRAPHS, "candle"), precisions=("fp32",))
    check(tmp_path / "package", PADDED)
    assert set(report.refused) == {
        "torch/fp32/packed",
        "onnxruntime/fp32/packed",
        "openvino/fp32/packed",
        "candle/fp32/padded",
    }
    assert "attention of a MPNetModel cannot be replaced" in report.refused["openvino/fp32/packed"]
    assert "relative position" in report.refused["candle/fp32/padded"]


@pytest.mark.parametrize(
    ("model_type", "head"), [("vit", "ForImageClassification"), pytest.param("resnet", "Model", marks=pytest.mark.slow)]
)
def test_vision_runs_on_three(tmp_path: Path, model_type: str, head: str) -> None:
    save_model(make_model(model_type, head), tmp_path / "source")
    report = inferox.pack(
        tmp_path / "source", tmp_path / "package", backends=(*GRAPHS, "candle"), precisions=("fp32",), task="raw"
    )
    check(tmp_path / "package", PADDED)
    assert "Conv2d" in report.refused["candle/fp32/padded"]


def test_a_hand_written_module_runs_on_three(tmp_path: Path) -> None:
    inferox.pack(make_cnn, tmp_path / "package", backends=GRAPHS, precisions=("fp32",))
    names = {"torch/torch-export/fp32/padded", "onnxruntime/onnx/fp32/padded", "openvino/onnx/fp32/padded"}
    check(tmp_path / "package", names, trust_code=True)
