"""A model of another family: byte-level tokens, positions that start after the padding token, no token types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaModel, RobertaTokenizerFast

from inferox.tasks import TextTokenizer, choose_task, open_task

from .models import FunctionModel, text_signature, token_vectors, torch_model
from .test_embed import varied_texts

INPUTS = ("input_ids", "attention_mask")
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.fixture(scope="module")
def roberta_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small seeded RoBERTa with a tokenizer that was trained on a few texts."""
    directory = tmp_path_factory.mktemp("roberta")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        varied_texts(50), trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    special: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    more: dict[str, Any] = {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    RobertaTokenizerFast(tokenizer_object=tokenizer, **special, **more).save_pretrained(directory)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=400,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        pad_token_id=1,
        initializer_range=0.3,
    )
    RobertaModel(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def roberta(roberta_directory: Path) -> FunctionModel:
    signature = text_signature(token_vectors(16), inputs=INPUTS)
    return torch_model(AutoModel.from_pretrained(roberta_directory), signature)


def test_embeddings_equal_sentence_transformers(roberta_directory: Path, roberta: FunctionModel) -> None:
    config = json.loads((roberta_directory / "config.json").read_text())
    choice = choose_task(roberta_directory, config, roberta.signature)
    task = open_task(choice.name, choice.options, roberta_directory, roberta.signature)
    texts = varied_texts(40)

    vectors = task.run(roberta, texts)

    # Without a limit of its own, sentence-transformers would exceed the table of positions.
    reference = SentenceTransformer(str(roberta_directory), device="cpu")
    reference.max_seq_length = 64
    assert choice.options["max_length"] == 64
    assert task.pad_values["input_ids"] == 1
    np.testing.assert_allclose(vectors, reference.encode(texts), atol=1e-5)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("max_length", [9, 12, 64])
def test_tokens_equal_transformers(roberta_directory: Path, max_length: int, pairs: bool) -> None:
    first = [text[:120] for text in varied_texts(40)]
    second = first[::-1] if pairs else None
    tokenizer = TextTokenizer.open(roberta_directory, {"max_length": max_length}, text_signature(inputs=INPUTS))

    rows = tokenizer.encode(list(zip(first, second, strict=True)) if second else first, offsets=True)

    expected = AutoTokenizer.from_pretrained(roberta_directory)(
        first,
        second,
        truncation=True,
        max_length=max_length,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    for index, row in enumerate(rows):
        assert row["input_ids"].tolist() == expected["input_ids"][index]
        assert row["offsets"].tolist() == [list(pair) for pair in expected["offset_mapping"][index]]
        assert row["special_tokens_mask"].tolist() == [bool(flag) for flag in expected["special_tokens_mask"][index]]
