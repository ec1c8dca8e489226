"""Small checkpoints with seeded random weights, as save_pretrained writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

_TEXT = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}

TEXT_CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", _TEXT),
    "roberta": ("Roberta", {**_TEXT, "type_vocab_size": 1}),
    "distilbert": (
        "DistilBert",
        {
            "vocab_size": 60,
            "dim": 16,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dim": 24,
            "max_position_embeddings": 40,
        },
    ),
    "xlm-roberta": ("XLMRoberta", {**_TEXT, "type_vocab_size": 1}),
    "mpnet": ("MPNet", _TEXT),
    "modernbert": ("ModernBert", {**_TEXT, "pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2}),
    "electra": ("Electra", {**_TEXT, "embedding_size": 12}),
}
"""The prefix of the classes and the settings of a small model, by model type."""

IMAGE_CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": (
        "ViT",
        {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "image_size": 16,
            "patch_size": 8,
        },
    ),
    "resnet": ("ResNet", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}),
}

PREPROCESSOR = {"do_resize": True, "size": {"shortest_edge": 32}, "image_processor_type": "ConvNextImageProcessor"}
"""The size of a ResNet's images, which its config does not state."""


def make_model(model_type: str, head: str, **settings: Any) -> transformers.PreTrainedModel:
    """Makes a small module with the given head, such as ``ForSequenceClassification``, or the bare ``Model``."""
    prefix, defaults = {**TEXT_CONFIGS, **IMAGE_CONFIGS}[model_type]
    config = getattr(transformers, f"{prefix}Config")(**{**defaults, **settings})
    torch.manual_seed(len(model_type + head))
    model: transformers.PreTrainedModel = getattr(transformers, prefix + head)(config).eval()
    for name, buffer in model.named_buffers():
        if "running_" in name:
            buffer.uniform_(0.5, 1.5)
    return model


def save_model(model: transformers.PreTrainedModel, directory: Path, **options: Any) -> Path:
    """Writes a model directory, with a preprocessor if its config does not state the size of its images."""
    model.save_pretrained(directory, **options)
    if model.config.model_type == "resnet":
        (directory / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return directory


def make_texts(names: tuple[str, ...], *, rows: int = 3, length: int = 9) -> dict[str, npt.NDArray[np.int64]]:
    """Makes token ids in rows of different lengths, with masks and token types if the model takes them."""
    random = np.random.default_rng(rows * length)
    mask = (np.arange(length) < random.integers(1, length + 1, (rows, 1))).astype(np.int64)
    made = {
        "input_ids": random.integers(3, 60, (rows, length)) * mask,
        "attention_mask": mask,
        "token_type_ids": random.integers(0, 2, (rows, length)) * mask,
    }
    return {name: made[name] for name in names}
