"""Model directories: each is the model that transformers loads from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers

from inferox.core import DataType, TensorSpec
from inferox.sources import open_source


def test_real_model(minilm_directory: Path) -> None:
    source = open_source(minilm_directory)
    assert source.facts.architecture == "BertModel"
    assert source.signature.outputs == (TensorSpec("last_hidden_state", DataType.F32, ("batch", "seq", 384)),)
    ids = np.array([[101, 7592, 2088, 102], [101, 102, 0, 0]], dtype=np.int64)
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}
    reference = transformers.AutoModel.from_pretrained(minilm_directory).eval()
    with torch.inference_mode():
        expected = reference(**{name: torch.tensor(value) for name, value in inputs.items()}).last_hidden_state
    np.testing.assert_array_equal(source.compute(inputs)["last_hidden_state"], expected.numpy())
    assert source.num_parameters == sum(p.numel() for p in reference.parameters())
