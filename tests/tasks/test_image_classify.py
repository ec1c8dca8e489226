"""Labels of images, against transformers' own pipeline."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BeitConfig,
    BeitForImageClassification,
    ConvNextConfig,
    ConvNextForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    pipeline,
)
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from inferox.core import BATCH, DataType, ManifestError, RequestError, ShapeMismatchError, Signature, TensorSpec
from inferox.tasks import ImageClassifyTask, ImageFile, choose_task, image_classify, open_task
from inferox.tasks.image_file import MAX_FILE_BYTES
from inferox.tasks.image_samples import sample_images

from .models import FunctionModel, logits, text_signature, torch_model
from .test_images import SHAPES, encoded, picture

EDGE = 32
LABELS: dict[str, Any] = {"num_labels": 3}


def save_vit(directory: Path) -> ViTForImageClassification:
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=EDGE, patch_size=8,
        id2label={0: "cat", 1: "dog", 2: "bird"}, label2id={"cat": 0, "dog": 1, "bird": 2}, initializer_range=0.3,
    )  # fmt: skip
    ViTImageProcessorPil(size={"height": EDGE, "width": EDGE}).save_pretrained(directory)
    return ViTForImageClassification(config)


def save_resnet(directory: Path) -> ResNetForImageClassification:
    settings: dict[str, Any] = {"num_labels": 3, "problem_type": "multi_label_classification"}
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], **settings)
    ConvNextImageProcessorPil(size={"shortest_edge": EDGE}).save_pretrained(directory)
    return ResNetForImageClassification(config)


def signature(*, height: int | str = EDGE, width: int | str = EDGE) -> Signature:
    return Signature((TensorSpec("pixel_values", DataType.F32, (BATCH, 3, height, width)),), (logits(3),))


def open_classifier(directory: Path, module: Any) -> tuple[FunctionModel, ImageClassifyTask]:
    module.save_pretrained(directory)
    model = torch_model(module, signature())
    choice = choose_task(directory, json.loads((directory / "config.json").read_text()), model.signature)
    assert choice.name == "image-classify"
    assert choice.files == ("preprocessor_config.json",)
    task = open_task(choice.name, json.loads(json.dumps(choice.options)), directory, model.signature)
    assert isinstance(task, ImageClassifyTask)
    return model, task


def save_swin(directory: Path) -> SwinForImageClassification:
    config = SwinConfig(image_size=EDGE, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4,
                        initializer_range=0.3, **LABELS)  # fmt: skip
    settings = {"feature_extractor_type": "ViTFeatureExtractor", "resample": 3, "size": EDGE}
    (directory / "preprocessor_config.json").write_text(json.dumps(settings))
    return SwinForImageClassification(config)


def save_convnext(directory: Path) -> ConvNextForImageClassification:
    config = ConvNextConfig(depths=[1, 1], hidden_sizes=[8, 16], num_stages=2, initializer_range=0.3, **LABELS)
    ConvNextImageProcessorPil(size={"shortest_edge": EDGE}, crop_pct=0.7).save_pretrained(directory)
    return ConvNextForImageClassification(config)


def save_beit(directory: Path) -> BeitForImageClassification:
    config = BeitConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                        image_size=EDGE, patch_size=8, initializer_range=0.3, **LABELS)  # fmt: skip
    settings = {"image_processor_type": "BeitImageProcessor", "size": EDGE, "do_center_crop": False}
    (directory / "preprocessor_config.json").write_text(json.dumps(settings))
    return BeitForImageClassification(config)


SAVERS = [save_vit, save_swin, save_convnext, save_beit]


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_files_of_every_mode_and_orientation_equal_transformers_pipeline(tmp_path: Path, save: Any) -> None:
    torch.manual_seed(2)
    module = save(tmp_path)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model, task = open_classifier(tmp_path, module)
    contents = sample_images()

    results = task.run(model, contents)

    reference: Any = pipeline("image-classification", model=str(tmp_path), device="cpu")
    expected = [reference(base64.b64encode(content).decode(), top_k=3) for content in contents]
    for one, other in zip(results, expected, strict=True):
        assert [item.label for item in one] == [item["label"] for item in other]
        np.testing.assert_allclose([item.score for item in one], [item["score"] for item in other], atol=1e-5)
    # Images that all get the same scores would prove nothing.
    assert len({round(result[0].score, 5) for result in results}) > len(results) // 2


@pytest.mark.parametrize("save", [save_vit, save_resnet])
def test_equals_transformers_pipeline(tmp_path: Path, save: Any) -> None:
    torch.manual_seed(2)
    model, task = open_classifier(tmp_path, save(tmp_path))
    images = [picture(*shape) for shape in SHAPES]

    results = task.run(model, [images[0], encoded(images[1]), *map(Image.fromarray, images[2:])])

    reference: Any = pipeline("image-classification", model=str(tmp_path), device="cpu", use_fast=False)
    for image, result in zip(images, results, strict=True):
        expected = reference(Image.fromarray(image), top_k=3)
        assert [item.label for item in result] == [item["label"] for item in expected]
        np.testing.assert_allclose([item.score for item in result], [item["score"] for item in expected], atol=1e-5)


def test_samples_are_images(tmp_path: Path) -> None:
    model, task = open_classifier(tmp_path, save_vit(tmp_path))

    for batch in task.samples():
        assert len(task.run(model, batch)) == len(batch)
    np.testing.assert_array_equal(task.samples()[2][1], task.samples()[2][1])


def test_a_bad_image_is_refused_by_its_number(tmp_path: Path) -> None:
    _, task = open_classifier(tmp_path, save_vit(tmp_path))

    with pytest.raises(RequestError, match="image 1 is not an image that can be read"):
        task.encode([picture(4, 4), b"nonsense"])


def test_files_are_read_by_their_names(tmp_path: Path) -> None:
    _, task = open_classifier(tmp_path, save_vit(tmp_path))
    (tmp_path / "a.png").write_bytes(encoded(picture(40, 50)))

    rows = task.encode([ImageFile.at(tmp_path / "a.png"), ImageFile("it", encoded(picture(40, 50))), picture(40, 50)])

    for index in range(2):
        np.testing.assert_array_equal(rows[index]["pixel_values"], rows[2]["pixel_values"])


def test_a_name_that_is_not_a_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    _, task = open_classifier(tmp_path, save_vit(tmp_path))
    os.mkfifo(tmp_path / "fifo")

    for path, reason in [
        (tmp_path / "fifo", "must be a regular file, but is a pipe, socket or device"),
        (Path("/dev/zero"), "must be a regular file, but is a pipe, socket or device"),
        (tmp_path, "must be a regular file, but is a folder"),
        (tmp_path / "none", "cannot be read: No such file"),
        (Path("a\0b"), "cannot be read"),
    ]:
        with pytest.raises(RequestError, match=f"image 1 .*{reason}"):
            task.encode([picture(4, 4), ImageFile.at(path)])


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    _, task = open_classifier(tmp_path, save_vit(tmp_path))
    with (tmp_path / "large.bmp").open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)

    with pytest.raises(RequestError, match=r"image 0 \(.*large.bmp\) has more than 268435456 bytes"):
        task.encode([ImageFile.at(tmp_path / "large.bmp")])


def test_many_images_are_prepared_by_and_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, task = open_classifier(tmp_path, save_vit(tmp_path))
    images = [picture(30 + index, 40) for index in range(7)]
    whole = task.run(model, images)
    model.shapes.clear()

    monkeypatch.setattr(image_classify, "_MAX_PREPARED_BYTES", 3 * 3 * EDGE * EDGE * 4)
    by_and_by = task.run(model, images)

    assert [shape[0] for shape in model.shapes] == [3, 3, 1]
    for one, other in zip(by_and_by, whole, strict=True):
        assert [item.label for item in one] == [item.label for item in other]
        np.testing.assert_allclose([item.score for item in one], [item.score for item in other], atol=1e-6)
    assert task.run(model, []) == []


@pytest.mark.parametrize("items", ["path.png", b"bytes", picture(4, 4)])
def test_a_single_image_is_refused(tmp_path: Path, items: Any) -> None:
    _, task = open_classifier(tmp_path, save_vit(tmp_path))

    with pytest.raises(RequestError, match="expected a list of images, but got a single one"):
        task.encode(items)


def test_images_of_different_sizes_never_share_a_batch() -> None:
    free = signature(height="height", width="width")
    options = {"labels": ["a", "b", "c"], "activation": "softmax", "image": {"resample": 2}}
    task = open_task("image-classify", options, Path(), free)
    model = FunctionModel(
        free, lambda inputs: {"logits": np.eye(3, dtype=np.float32)[[0] * len(inputs["pixel_values"])]}
    )

    results = task.run(model, [picture(4, 4), picture(4, 5), picture(4, 4)])

    assert sorted(model.shapes) == [(1, 3, 4, 5), (2, 3, 4, 4)]
    assert [result[0].label for result in results] == ["a", "a", "a"]


def test_an_image_of_the_wrong_size_for_the_model_is_refused() -> None:
    options = {"labels": ["a", "b", "c"], "activation": "softmax", "image": {"resample": 2}}
    task = open_task("image-classify", options, Path(), signature())

    with pytest.raises(ShapeMismatchError, match="pixel_values"):
        task.run(FunctionModel(signature(), lambda _: {}), [picture(4, 4)])


def test_images_prepared_to_another_size_than_the_models_are_refused_at_once() -> None:
    options = {
        "labels": ["a", "b", "c"],
        "activation": "softmax",
        "image": {"resample": 2, "size": {"height": 9, "width": 32}},
    }

    with pytest.raises(ManifestError, match=r"images are prepared to \(9, 32\), but the model takes \(32, 32\)"):
        open_task("image-classify", options, Path(), signature())


def test_images_that_keep_their_proportions_are_refused_where_the_model_has_one_size() -> None:
    image = {"resample": 2, "size": {"shortest_edge": 32}}
    options = {"labels": ["a", "b", "c"], "activation": "softmax", "image": image}

    with pytest.raises(ManifestError, match=r"images keep their proportions .* the model takes only 32 by 32"):
        open_task("image-classify", options, Path(), signature())


def test_a_model_that_takes_no_images_is_refused() -> None:
    options = {"labels": ["a", "b", "c"], "activation": "softmax", "image": {"resample": 2}}

    with pytest.raises(ManifestError, match=r"gives one input \[batch, 3, height, width\]; the model takes input_ids"):
        open_task("image-classify", options, Path(), text_signature(logits(3)))
