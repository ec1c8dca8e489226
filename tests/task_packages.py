"""Small packages of every task."""

from __future__ import annotations

from pathlib import Path

import inferox
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
        image = save_model(make_model("vit", "ForImageClassification", num_labels=4), folder / "image")
        (image / "preprocessor_config.json").write_text(
            '{"image_processor_type": "ViTImageProcessor", "do_resize": true, "size": {"height": 16, "width": 16}}'
        )
        inferox.pack(image, folder / "image-classify.mlpkg")
        inferox.pack(make_cnn, folder / "raw.mlpkg")

    folder = folders.get("tasks", fill)
    return {task: folder / f"{task}.mlpkg" for task in (*_HEADS, "image-classify", "raw")}
