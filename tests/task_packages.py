"""Small packages of every task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import inferox
from inferox.core import Artifact, Precision
from tests.fewer_artifacts import keep_artifacts
from tests.packing.modules import make_cnn
from tests.packing.test_kinds import save_text_model
from tests.shared import SharedFolders
from tests.sources.checkpoints import make_model, save_model

_HEADS = {
    "embed": ("Model", {}),
    "classify": ("ForSequenceClassification", {"num_labels": 5}),
    "token-classify": ("ForTokenClassification", {"num_labels": 3}),
    "rerank": ("ForSequenceClassification", {"num_labels": 1}),
}


def get_task_packages(folders: SharedFolders, tokenizer_of: Path) -> dict[str, Path]:
    """Returns a package by task; the first process that needs them packs them.

    Args:
        folders: The shared folders.
        tokenizer_of: The folder of the model whose tokenizer they have.
    """

    def fill(folder: Path) -> None:
        for task, (head, settings) in _HEADS.items():
            save_text_model(folder / task, tokenizer_of, "bert", head, **settings)
            inferox.pack(folder / task, folder / f"{task}.mlpkg", task=task)
        inferox.pack(_save_image_model(folder / "image"), folder / "image-classify.mlpkg")
        inferox.pack(make_cnn, folder / "raw.mlpkg")

    folder = folders.get("tasks", fill)
    return {task: folder / f"{task}.mlpkg" for task in (*_HEADS, "image-classify", "raw")}


def get_served_packages(folders: SharedFolders, tokenizer_of: Path, others: Mapping[str, Path]) -> dict[str, Path]:
    """Returns a package by task that runs without PyTorch; the first process that needs them makes them.

    Args:
        folders: The shared folders.
        tokenizer_of: The folder of the model whose tokenizer they have.
        others: Packages with an artifact for ONNX Runtime among others, by task. Of the other tasks, those with texts
            get one for candle, which needs no export.
    """

    def fill(folder: Path) -> None:
        for task, package in others.items():
            keep_artifacts(package, folder / f"{task}.mlpkg", _is_served)
        for task in _HEADS.keys() - others.keys():
            head, settings = _HEADS[task]
            save_text_model(folder / task, tokenizer_of, "bert", head, **settings)
            inferox.pack(folder / task, folder / f"{task}.mlpkg", task=task, backends=("candle",))
        image = _save_image_model(folder / "image")
        inferox.pack(image, folder / "image-classify.mlpkg", backends=("onnxruntime",), precisions=("fp32",))

    folder = folders.get("served", fill)
    return {task: folder / f"{task}.mlpkg" for task in (*_HEADS, "image-classify", "raw")}


def _is_served(artifact: Artifact) -> bool:
    return artifact.backend == "onnxruntime" and artifact.precision is Precision.FP32


def _save_image_model(folder: Path) -> Path:
    save_model(make_model("vit", "ForImageClassification", num_labels=4), folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_processor_type": "ViTImageProcessor", "do_resize": true, "size": {"height": 16, "width": 16}}'
    )
    return folder
