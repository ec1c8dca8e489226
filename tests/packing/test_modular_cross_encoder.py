"""A cross-encoder whose scores come from layers after pooling, packed, proven, verified and broken on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

import inferox
from inferox.core import DisagreementError
from inferox.parity import ProofStatus

from .test_proof import Break, keep_case, lose_token_types, set_option
from .test_text_models import BERT, TEXTS, add_tokenizer, save
from .without_libraries import verify_without_libraries


@pytest.fixture(scope="module")
def modular(minilm_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of Transformer, Pooling and two Dense, as sentence-transformers stores it."""
    root = tmp_path_factory.mktemp("modular")
    config = transformers.BertConfig(**{**BERT, "num_hidden_layers": 1})
    encoder = add_tokenizer(save(root / "encoder", "BertModel", config), minilm_directory)
    torch.manual_seed(1)
    modules = [
        Transformer(str(encoder), max_seq_length=48),
        Pooling(16, pooling_mode="mean", include_prompt=False),
        Dense(16, 8, activation_function=torch.nn.GELU()),
        Dense(8, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    reference = CrossEncoder(
        modules=list(modules), device="cpu", prompts={"query": "Rank this: "}, default_prompt_name="query"
    )
    reference.save_pretrained(str(root / "model"))
    return root / "model"


def test_it_is_proven_and_verified_without_the_libraries(modular: Path, tmp_path: Path) -> None:
    report = inferox.pack(modular, tmp_path / "model.mlpkg", backends=["torch", "onnxruntime"], strict=True)

    assert (report.task, report.proof.status) == ("rerank", ProofStatus.PROVEN)
    assert (report.proof.library, report.refused) == ("sentence-transformers", {})
    expected = CrossEncoder(str(modular), device="cpu").rank("GOATS", TEXTS)
    for backend in ("torch", "onnxruntime"):
        with inferox.load(report.path, backend=backend) as model:
            ranked = model.rerank("GOATS", TEXTS)
        assert [item.index for item in ranked] == [item["corpus_id"] for item in expected]
        assert [item.score for item in ranked] == pytest.approx([item["score"] for item in expected], abs=1e-6)
    verify_without_libraries(report.path)


@pytest.mark.parametrize(
    ("broken", "stage"),
    [
        (keep_case, "token ids"),
        (set_option(prompt="Rank it: "), "token ids"),
        (lose_token_types, "token types"),
        (set_option(pooling=["cls"]), "answer"),
        (set_option(include_prompt=True), "answer"),
    ],
    ids=["case", "prompt", "types", "pooling", "pooled prompt"],
)
def test_a_broken_stage_fails_packing(
    modular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Break, stage: str
) -> None:
    broken(monkeypatch)

    with pytest.raises(DisagreementError, match=f"in the stage {stage}"):
        inferox.pack(modular, tmp_path / "model.mlpkg", tolerance={"max_rel": 9.0, "cosine_min": -1.0})
