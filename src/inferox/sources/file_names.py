"""The names that Hugging Face's libraries give to the files of a model directory, by content."""

from __future__ import annotations

SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""Weights as safetensors: one file, or the index of several."""

PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")
"""Weights in PyTorch's own format: one file, or the index of several."""

WEIGHTS = (*SAFE_WEIGHTS, *PICKLED_WEIGHTS)
"""The possible names of the weights file, in the order in which they are looked for."""

SAFE_SHARDS, PICKLED_SHARDS = "model-*-of-*.safetensors", "pytorch_model-*-of-*.bin"
"""Patterns of the files into which weights can be sharded."""

VOCABULARIES = (
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spiece.model",
    "spm.model",
    "source.spm",
    "tokenizer.model",
)
"""The files in which older checkpoints keep their tokenizer's vocabulary."""

DESCRIPTIONS = (
    "README.md",
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *VOCABULARIES,
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "[0-9]*_*/*.json",
    "[0-9]*_*/model.safetensors",
    "[0-9]*_*/pytorch_model.bin",
)
"""Patterns of the files beside the weights in a model directory: config, intended use, and layers after pooling."""
