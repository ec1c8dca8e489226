"""transformers' pipelines, which define the labels of texts, of spans, and of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import torch
import transformers
from transformers.image_utils import load_image

from inferox.packing.defining.library import Arrays, DefiningLibrary, Definition, captured
from inferox.parity import ProofInput
from inferox.tasks.files.images import image_settings_file
from inferox.tasks.files.texts import UNKNOWN_LIMIT

_OPTIONS: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_PILLOW = "pil"
"""The name by which transformers selects image processors that use Pillow."""

_RETIRED_SUFFIX = "FeatureExtractor"
"""The suffix of image processor classes before transformers 5."""


class TokenizedLibrary(DefiningLibrary):
    """A pipeline whose model reads the tokens of texts.

    Args:
        directory: The model's own folder.
        max_length: The most tokens of a row, for a tokenizer that states no limit of its own and so defines no cut.
    """

    name: ClassVar[str] = "transformers"
    distributions: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers", "torch")

    kind: ClassVar[Any]
    """The class of ``transformers`` that opens the model."""

    pipeline: ClassVar[str]
    """The name of the pipeline."""

    options: ClassVar[Mapping[str, Any]] = {}
    """Further arguments of the pipeline."""

    def __init__(self, directory: Path, max_length: int | None) -> None:
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(directory), **_OPTIONS)
        self._takes_own_limit = max_length is not None and self._tokenizer.model_max_length > UNKNOWN_LIMIT
        _limit(self._tokenizer, directory, max_length)
        self._model = _open_model(self.kind, directory)
        # Its type hints know pipelines only by literal names.
        open_pipeline: Any = transformers.pipeline
        self._pipeline: Any = open_pipeline(
            self.pipeline, model=self._model, tokenizer=self._tokenizer, device="cpu", **self.options
        )

    @property
    def takes_own_limit(self) -> bool:
        """True if it cuts texts at the package's limit; see ``DefiningLibrary``."""
        return self._takes_own_limit


class TextLabelLibrary(TokenizedLibrary):
    """The pipeline ``text-classification``, with texts and with pairs."""

    kind: ClassVar[Any] = transformers.AutoModelForSequenceClassification
    pipeline: ClassVar[str] = "text-classification"

    def define(self, proof_input: ProofInput) -> Definition:
        """Returns the tokens, logits and scored labels; see ``DefiningLibrary``."""
        item = proof_input.item
        texts = {"text": item} if isinstance(item, str) else {"text": item[0], "text_pair": item[1]}
        encoded = self._tokenizer(**texts, truncation=True, return_tensors="pt")
        tokens = {name: value[0].numpy() for name, value in encoded.items()}
        if not proof_input.answered:
            return Definition(tokens)
        with torch.inference_mode(), captured(self._model) as computed:
            answer = self._pipeline(texts, top_k=None, truncation=True)
        return Definition(tokens, _logits(computed), _labels(answer))


class TokenLabelLibrary(TokenizedLibrary):
    """The pipeline ``token-classification`` with the aggregation ``simple``."""

    kind: ClassVar[Any] = transformers.AutoModelForTokenClassification
    pipeline: ClassVar[str] = "token-classification"
    options: ClassVar[Mapping[str, Any]] = {"aggregation_strategy": "simple"}

    def define(self, proof_input: ProofInput) -> Definition:
        """Returns the tokens with offsets, the logits and the labelled spans; see ``DefiningLibrary``."""
        encoded = self._tokenizer(proof_input.item, truncation=True, return_tensors="pt", return_offsets_mapping=True)
        tokens = {name: value[0].numpy() for name, value in encoded.items()}
        tokens["offsets"] = tokens.pop("offset_mapping")
        if not proof_input.answered:
            return Definition(tokens)
        with torch.inference_mode(), captured(self._model) as computed:
            parts = self._pipeline(proof_input.item)
        answer = [
            {
                "label": part["entity_group"],
                "score": float(part["score"]),
                "start": int(part["start"]),
                "end": int(part["end"]),
            }
            for part in parts
        ]
        return Definition(tokens, _logits(computed), answer)


class ImageLabelLibrary(DefiningLibrary):
    """The pipeline ``image-classification``, with the image processor that uses Pillow.

    If torchvision is installed, transformers would choose another one, which resizes to different pixels. A package
    prepares images with Pillow, wherever it is packed and wherever it runs.

    Args:
        directory: The model's own folder.

    Raises:
        ValueError: If transformers has no image processor of this kind, or none that uses Pillow.
    """

    name: ClassVar[str] = "transformers"
    distributions: ClassVar[tuple[str, ...]] = ("transformers", "pillow", "torch")

    def __init__(self, directory: Path) -> None:
        self._processor = _open_image_processor(directory)
        self._model = _open_model(transformers.AutoModelForImageClassification, directory)
        self._pipeline: Any = transformers.pipeline(
            "image-classification", model=self._model, image_processor=self._processor, device="cpu"
        )

    def define(self, proof_input: ProofInput) -> Definition:
        """Returns the pixels, logits and scored labels; see ``DefiningLibrary``."""
        from PIL import Image

        if not isinstance(proof_input.item, bytes):
            raise TypeError(f"expected the bytes of an image, got {type(proof_input.item).__name__}")
        image = load_image(Image.open(BytesIO(proof_input.item)))
        pixels = self._processor(image, return_tensors="pt")["pixel_values"]
        with torch.inference_mode(), captured(self._model) as computed:
            answer = self._pipeline(Image.open(BytesIO(proof_input.item)), top_k=self._model.config.num_labels)
        return Definition({"pixel_values": pixels[0].numpy()}, _logits(computed), _labels(answer))

    def settings(self) -> dict[str, str]:
        """Returns the class of the image processor; see ``DefiningLibrary``."""
        return {"image_processor": type(self._processor).__name__}


def _open_image_processor(directory: Path) -> Any:
    try:
        processor: Any = transformers.AutoImageProcessor.from_pretrained(str(directory), backend=_PILLOW, **_OPTIONS)
    except ValueError as error:
        stated, _ = transformers.ImageProcessingMixin.get_image_processor_dict(str(directory), local_files_only=True)
        named = str(stated.get("image_processor_type"))
        if not named.endswith(_RETIRED_SUFFIX):
            raise
        # Versions before 5 wrote this name into many files, as their image processors had such class names.
        raise ValueError(
            f"{image_settings_file(directory)} names {named}, which transformers 5 no longer has: "
            f"write {named.removesuffix(_RETIRED_SUFFIX)}ImageProcessor there, and pack again"
        ) from error
    # transformers falls back to another backend with only a warning.
    if getattr(processor, "backend", None) != _PILLOW:
        raise ValueError(f"it has no image processor that uses Pillow for this model, only {type(processor).__name__}")
    return processor


def _limit(tokenizer: Any, directory: Path, max_length: int | None) -> None:
    """Makes a tokenizer cut at the model's limit: a config may state a lower limit than its tokenizer.

    If positions are not learned, the pipelines go beyond the config's limit, and so beyond what the model was trained
    for. sentence-transformers does not, and neither does a package.
    """
    config = transformers.AutoConfig.from_pretrained(str(directory), **_OPTIONS)
    stated = getattr(config, "max_position_embeddings", None)
    if tokenizer.model_max_length > UNKNOWN_LIMIT:
        tokenizer.model_max_length = tokenizer.model_max_length if max_length is None else max_length
    elif isinstance(stated, int) and stated > 0:
        tokenizer.model_max_length = min(tokenizer.model_max_length, stated)


def _open_model(kind: Any, directory: Path) -> Any:
    return kind.from_pretrained(str(directory), dtype=torch.float32, **_OPTIONS).eval()


def _logits(computed: Sequence[Any]) -> Arrays:
    return {"logits": computed[0].logits[0].float().numpy()}


def _labels(answer: Any) -> list[dict[str, Any]]:
    while answer and isinstance(answer[0], list):
        answer = answer[0]
    # Configs may name labels by numbers or not at all; a package has their texts.
    return [{"label": str(part["label"]), "score": float(part["score"])} for part in answer]
