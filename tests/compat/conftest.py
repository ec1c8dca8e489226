"""Small models as sentence-transformers saves them, and their outputs with that library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

from tests.packing.test_text_models import BERT, add_tokenizer, save
from tests.shared import SharedFolders

Fill = Callable[[Path], object]


@pytest.fixture(scope="session")
def encoder_directory(shared_folders: SharedFolders, minilm_directory: Path) -> Path:
    """An encoder with prompts, a limit of 24 tokens although the model takes 48, and vectors of 16 numbers."""

    def fill(folder: Path) -> None:
        bare = add_tokenizer(save(folder / "bare", "BertModel", transformers.BertConfig(**BERT)), minilm_directory)
        modules = [Transformer(str(bare), max_seq_length=24), Pooling(16, pooling_mode="mean", include_prompt=False)]
        prompts = {"query": "query: ", "document": "passage: ", "code": "find the code: "}
        model = SentenceTransformer(
            modules=[*modules, Normalize()], device="cpu", prompts=prompts, similarity_fn_name="dot"
        )
        model.save_pretrained(str(folder / "model"))

    return shared_folders.get("compat-encoder", fill) / "model"


@pytest.fixture(scope="session")
def reranker_directory(shared_folders: SharedFolders, minilm_directory: Path) -> Path:
    """A cross-encoder with one score."""
    return _cross_encoder(shared_folders, minilm_directory, "compat-reranker", 1)


@pytest.fixture(scope="session")
def judge_directory(shared_folders: SharedFolders, minilm_directory: Path) -> Path:
    """A cross-encoder with three scores."""
    return _cross_encoder(shared_folders, minilm_directory, "compat-judge", 3)


def _cross_encoder(folders: SharedFolders, minilm_directory: Path, name: str, labels: int) -> Path:
    def fill(folder: Path) -> None:
        config = transformers.BertConfig(**{**BERT, "num_labels": labels, "initializer_range": 0.5})
        bare = save(folder / "bare", "BertForSequenceClassification", config)
        model = CrossEncoder(str(add_tokenizer(bare, minilm_directory)), device="cpu")
        model.save_pretrained(str(folder / "model"))

    torch.manual_seed(7)
    return folders.get(name, fill) / "model"
