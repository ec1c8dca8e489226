"""The fixtures of tests of tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModel, AutoTokenizer

from tests.small_tokenizer import write_small_tokenizer

from .models import FunctionModel, text_signature, token_vectors, torch_model


@pytest.fixture(scope="session")
def minilm(minilm_directory: Path) -> FunctionModel:
    """The real all-MiniLM-L6-v2."""
    return torch_model(AutoModel.from_pretrained(minilm_directory), text_signature(token_vectors(384)))


@pytest.fixture(scope="session")
def tokenizer_directory(minilm_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only a part of the tokenizer of all-MiniLM-L6-v2, as transformers saves it."""
    small = tmp_path_factory.mktemp("small-tokenizer")
    write_small_tokenizer(small, minilm_directory)
    directory = tmp_path_factory.mktemp("tokenizer")
    AutoTokenizer.from_pretrained(small).save_pretrained(directory)
    return directory
