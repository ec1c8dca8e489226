"""Models as their libraries store them, from their files to a proof that verify repeats without those libraries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from sentence_transformers import SentenceTransformer

import inferox
from inferox.core import DisagreementError
from inferox.parity import ProofStatus

from .test_proof import Break, keep_case, set_option
from .test_text_models import BERT, DECODER, TEXTS, add_byte_tokenizer, add_modules, add_tokenizer, save
from .without_libraries import verify_without_libraries


def save_deberta(directory: Path, minilm: Path) -> Path:
    """A classifier of pairs: premise and hypothesis."""
    labels = {0: "entailment", 1: "neutral", 2: "contradiction"}
    config = transformers.DebertaV2Config(
        **{**BERT, "type_vocab_size": 0, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )
    return add_tokenizer(save(directory, "DebertaV2ForSequenceClassification", config), minilm)


def save_qwen(directory: Path, _: Path) -> Path:
    """An embedder that pools the last token, and has a prompt for queries."""
    save(directory, "Qwen3Model", transformers.Qwen3Config(**DECODER))
    add_modules(add_byte_tokenizer(directory, ends=True), 16, "lasttoken")
    prompts = {"query": "Instruct: find what answers\nQuery:", "document": ""}
    settings = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    (directory / "config_sentence_transformers.json").write_text(json.dumps(settings))
    return directory


MODELS: dict[str, tuple[Callable[[Path, Path], Path], str, str]] = {
    "deberta": (save_deberta, "classify", "transformers"),
    "qwen": (save_qwen, "embed", "sentence-transformers"),
}


@pytest.fixture(scope="module")
def directories(minilm_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: make(root / name, minilm_directory) for name, (make, _, _) in MODELS.items()}


@pytest.mark.slow  # test_proof.py and test_modular_cross_encoder.py verify without the libraries in every run
@pytest.mark.parametrize("name", ["deberta", "qwen"])
def test_a_model_is_proven_and_verified_without_the_libraries(
    name: str, directories: dict[str, Path], tmp_path: Path
) -> None:
    _, task, library = MODELS[name]

    report = inferox.pack(directories[name], tmp_path / "model.mlpkg", backends=["onnxruntime"])

    assert (report.task, report.proof.status, report.proof.library) == (task, ProofStatus.PROVEN, library)
    verify_without_libraries(report.path)
    with inferox.load(report.path) as model:
        _CHECKS[name](model, directories[name])


def check_pairs(model: Any, directory: Path) -> None:
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    pipeline: Any = transformers.pipeline("text-classification", model=str(directory), device="cpu", top_k=None)
    expected = [pipeline({"text": first, "text_pair": second}) for first, second in pairs]
    for found, wanted in zip(model.classify(pairs), expected, strict=True):
        scores = {item["label"]: item["score"] for item in wanted}
        assert {item.label: item.score for item in found} == pytest.approx(scores, abs=1e-5)


def check_prompts(model: Any, directory: Path) -> None:
    reference = SentenceTransformer(str(directory), device="cpu")
    for prompt in ("query", "document", None):
        expected = np.stack([reference.encode(text, prompt_name=prompt) for text in TEXTS])
        np.testing.assert_allclose(model.embed(TEXTS, prompt=prompt, truncate="cut"), expected, atol=2e-5)


_CHECKS: dict[str, Callable[[Any, Path], None]] = {"deberta": check_pairs, "qwen": check_prompts}


@pytest.mark.parametrize(
    ("name", "broken", "stage"),
    [
        ("deberta", keep_case, "token ids"),
        ("deberta", set_option(truncation_side="left"), "token ids"),
        ("deberta", set_option(labels=["neutral", "entailment", "contradiction"]), "answer"),
        ("qwen", set_option(prompts={"query": "Query:", "document": ""}), "token ids"),
        ("qwen", set_option(max_length=31), "token ids"),
        ("qwen", set_option(pooling=["mean"]), "answer"),
    ],
    ids=["case", "side", "labels", "prompt", "limit", "pooling"],
)
def test_a_broken_stage_fails_packing(  # noqa: PLR0917 - two fixtures beside the cases
    name: str,
    broken: Break,
    stage: str,
    directories: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch)

    with pytest.raises(DisagreementError, match=f"in the stage {stage}"):
        inferox.pack(directories[name], tmp_path / "model.mlpkg")
