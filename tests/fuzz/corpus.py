"""Small packages of every task, with seeded random weights and a vocabulary of a few words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

import inferox
from inferox.loading.cell import Cell
from inferox.loading.conditions import machine_name, runtime_version
from inferox.loading.profile import Placement, Profile
from inferox.loading.profile_store import device_text
from inferox.package import open_package
from tests.fuzz.cases import PROFILES

_ALL = ("torch", "onnxruntime", "openvino", "candle")

Models = Mapping[str, Sequence[str]]
"""The backends for which each task's model is packed."""

CORPUS: Models = {
    "embed": _ALL,
    "classify": _ALL,
    "token-classify": _ALL,
    "rerank": _ALL,
    "image-classify": ("torch", "onnxruntime", "openvino"),
    "raw": ("onnxruntime",),
}
"""A model of every task, for every runtime that supports it."""

_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##s", "boat", "goat", "river", "the")
_TEXT: dict[str, Any] = {
    "vocab_size": len(_WORDS),
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
    "initializer_range": 0.5,
}
_IMAGE: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "image_size": 8,
    "patch_size": 4,
    "num_labels": 3,
}


def make_corpus(folder: Path, models: Models = CORPUS) -> None:
    """Packs a model of each task, into a folder with the task's name, and writes measurements beside it.

    Args:
        folder: A folder that does not exist yet.
        models: The models.
    """
    folder.mkdir(parents=True)
    for task, backends in models.items():
        source = folder / f".{task}"
        source.mkdir()
        _SOURCES[task](source)
        graph = source / "model.onnx"
        inferox.pack(graph if graph.is_file() else source, folder / task, task=task, name=task, backends=backends)
        shutil.rmtree(source)
        _write_profile(folder, task)


def _write_profile(folder: Path, task: str) -> None:
    """Writes measurements of a package as ``inferox tune`` makes them, except for the times, which are made up."""
    package = open_package(folder / task)
    artifacts = [artifact.name for artifact in package.artifacts]
    cells = tuple(Cell(rows, 4, 0.001 * rows) for rows in (1, 8))
    profile = Profile(
        digest=package.digest,
        machine=machine_name(),
        threads=1,
        device=device_text(None),
        versions={artifact.backend: runtime_version(artifact.backend) for artifact in package.artifacts},
        created_at="2026-01-01T00:00:00+00:00",
        cells=dict.fromkeys(artifacts, cells),
        placements=dict.fromkeys(artifacts, Placement("cpu", is_default=True)),
    )
    path = folder / PROFILES / task / "profile.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(profile.to_json()), encoding="utf-8")


def _save(model: transformers.PreTrainedModel, folder: Path) -> None:
    model.eval().save_pretrained(folder)
    vocabulary = {word: index for index, word in enumerate(_WORDS)}
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=16).save_pretrained(folder)


def _make_embed(folder: Path) -> None:
    torch.manual_seed(0)
    _save(transformers.BertModel(transformers.BertConfig(**_TEXT)), folder)
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
    listed = [
        {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for name, path, kind in modules
    ]
    pooling = {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    prompts = {"prompts": {"query": "the boat: "}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    for name, content in {
        "modules.json": listed,
        "1_Pooling/config.json": pooling,
        "sentence_bert_config.json": {"max_seq_length": 12, "do_lower_case": False},
        "config_sentence_transformers.json": prompts,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def _make_classify(folder: Path) -> None:
    torch.manual_seed(1)
    _save(transformers.BertForSequenceClassification(transformers.BertConfig(**{**_TEXT, "num_labels": 3})), folder)


def _make_token_classify(folder: Path) -> None:
    torch.manual_seed(2)
    labels = {0: "O", 1: "B-PER", 2: "I-PER"}
    config = transformers.BertConfig(**_TEXT, id2label=labels, label2id={name: key for key, name in labels.items()})
    _save(transformers.BertForTokenClassification(config), folder)


def _make_rerank(folder: Path) -> None:
    torch.manual_seed(3)
    _save(transformers.BertForSequenceClassification(transformers.BertConfig(**{**_TEXT, "num_labels": 1})), folder)


def _make_image_classify(folder: Path) -> None:
    torch.manual_seed(4)
    transformers.ViTForImageClassification(transformers.ViTConfig(**_IMAGE)).eval().save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(folder)


def _make_raw(folder: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(5)
    weight = numpy_helper.from_array(random.standard_normal((4, 4)).astype(np.float32), "weight")
    shape: list[Any] = ["batch", 4]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weight],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")


_SOURCES: dict[str, Callable[[Path], None]] = {
    "embed": _make_embed,
    "classify": _make_classify,
    "token-classify": _make_token_classify,
    "rerank": _make_rerank,
    "image-classify": _make_image_classify,
    "raw": _make_raw,
}
