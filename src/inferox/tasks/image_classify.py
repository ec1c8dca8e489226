"""The task ``image-classify``: images to labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.core import Batch, ManifestError, Model, Outputs, RequestError, Signature, stack_rows
from inferox.parity import ProofInput
from inferox.tasks.given_items import as_list
from inferox.tasks.image_file import ImageFile
from inferox.tasks.image_preprocessor import ImagePreprocessor
from inferox.tasks.image_samples import sample_images
from inferox.tasks.images import check_kind, has_several_frames, read_image
from inferox.tasks.labels import Labels, LabelScore
from inferox.tasks.options import required
from inferox.tasks.signature import find_output
from inferox.tasks.task import Task
from inferox.tasks.truncation import check_truncation

_logger = logging.getLogger(__name__)

_SAMPLE_SHAPES = (((64, 64),), ((300, 200),), ((37, 211), (480, 640), (224, 224)))
"""Heights and widths of sample images, in batches."""

_MAX_PREPARED_BYTES = 2**26
"""The most bytes of tensors that are prepared before they are computed."""

_CALIBRATION_SHAPE = (240, 320)
_CALIBRATION_IMAGES = 16


class ImageClassifyTask(Task):
    """Scores each label for an image.

    Items are the bytes of files, Pillow images, arrays of shape ``[height, width, 3]``, uint8 (see ``read_image``), or
    files named by the command line or a program (see ``ImageFile``). Results are all labels with their scores, the best
    first.

    Args:
        options: ``labels``, ``activation``, and under ``image`` the options of ``ImagePreprocessor``.
        signature: The model's signature.

    Raises:
        ManifestError: If an option is missing or wrong, the model takes anything but one tensor of images, or it has no
            logits for the labels.
    """

    name: ClassVar[str] = "image-classify"
    max_rows: ClassVar[int] = 16
    reads_items: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any], signature: Signature) -> None:
        if len(signature.inputs) != 1 or len(signature.inputs[0].dims) != 4:  # noqa: PLR2004 - batch, 3, height, width
            inputs = ", ".join(str(spec) for spec in signature.inputs)
            raise ManifestError(
                f"the task {self.name} gives one input [batch, 3, height, width]; the model takes {inputs}"
            )
        self._input = signature.inputs[0]
        self._logits = find_output(signature, "logits", ndim=2, task=self.name, shape="[batch, labels]")
        self._labels = Labels(options, self._logits)
        self._prepare = ImagePreprocessor(required(options, "image", dict))
        self._check_size()

    def _check_size(self) -> None:
        given, taken = self._prepare.output_size, self._input.dims[2:]
        if self._prepare.keeps_proportions and all(isinstance(dim, int) for dim in taken):
            raise ManifestError(
                f"images keep their proportions when resized, but the model takes only {taken[0]} by {taken[1]}",
                hint="give height and width, or a center crop, in preprocessor_config.json; or use the task raw",
            )
        pairs = zip(given or (), taken, strict=False)
        if any(isinstance(dim, int) and dim != edge for edge, dim in pairs):
            raise ManifestError(
                f"images are prepared to {given}, but the model takes {taken}",
                hint="check the sizes in preprocessor_config.json and config.json",
            )

    @property
    def labels(self) -> Sequence[str]:
        """The labels, in the order of the logits."""
        return self._labels.names

    @property
    def pad_values(self) -> Mapping[str, int]:
        """Empty: images of different sizes never share a batch."""
        return {}

    def encode(self, items: Sequence[Any]) -> Batch:
        """Reads and prepares each image; see ``Task``."""
        return self._to_batch([self._pixels(item, index) for index, item in enumerate(_check_items(items))])

    def run(
        self,
        model: Model,
        items: Sequence[Any],
        *,
        truncate: str = "cut",
    ) -> list[tuple[LabelScore, ...]]:
        """Labels images; see ``Task``. Images are never truncated.

        They are prepared and computed a few at a time to bound memory. An unreadable one is therefore found only when
        its turn comes.
        """
        check_truncation(truncate)
        items = _check_items(as_list(items))
        results: list[tuple[LabelScore, ...]] = []
        prepared: list[npt.NDArray[Any]] = []
        size_bytes = 0
        for index, item in enumerate(items):
            prepared.append(self._pixels(item, index))
            size_bytes += prepared[-1].nbytes
            if size_bytes >= _MAX_PREPARED_BYTES or index + 1 == len(items):
                results += self.compute(model, items[len(results) : index + 1], self._to_batch(prepared))
                prepared, size_bytes = [], 0
        return results

    def _to_batch(self, prepared: Sequence[npt.NDArray[Any]]) -> Batch:
        if not prepared:
            prepared_none = np.empty((0, *(dim if isinstance(dim, int) else 0 for dim in self._input.dims[1:])))
            return Batch.of_rows({self._input.name: prepared_none.astype(self._input.dtype.numpy_dtype)})
        return Batch.of_rows({self._input.name: stack_rows(prepared)})

    def _pixels(self, item: Any, index: int) -> npt.NDArray[Any]:
        try:
            return self._read(item, f"image {index}")
        except RequestError as error:
            error.naming_item(index, "image {}")
            raise

    def _read(self, item: Any, subject: str) -> npt.NDArray[Any]:
        if isinstance(item, ImageFile):
            subject = f"{subject} ({item.name})"
            item = item.read(subject)
            if has_several_frames(item):
                _logger.warning("%s has several frames, and the first is classified", subject)
        image = read_image(item, subject, composite_on_white=self._prepare.composite_on_white)
        return self._prepare(image, subject).astype(self._input.dtype.numpy_dtype, copy=False)

    def decode(
        self,
        items: Sequence[Any],  # noqa: ARG002 - a label depends on the logits alone
        batch: Batch,  # noqa: ARG002
        outputs: Outputs,
    ) -> list[tuple[LabelScore, ...]]:
        """Scores the labels of each image; see ``Task``."""
        return self._labels.rank(outputs.of_rows(self._logits.name))

    def proof_inputs(self) -> list[ProofInput]:
        """Encoded images of many kinds, some much larger than the model takes; see ``Task``."""
        return [ProofInput(image) for image in sample_images(self._prepare.resized_edge)]

    def calibration_items(self) -> list[npt.NDArray[np.uint8]]:
        """Images of the same kind as the samples, every second one in bright colours; see ``Task``."""
        random = np.random.default_rng(1)
        images = [_draw(*_CALIBRATION_SHAPE, random) for _ in range(_CALIBRATION_IMAGES)]
        return [255 - image if index % 2 else image for index, image in enumerate(images)]

    def samples(self) -> list[list[npt.NDArray[np.uint8]]]:
        """Images of several sizes, each a colour gradient under noise; see ``Task``."""
        random = np.random.default_rng(0)
        return [[_draw(height, width, random) for height, width in shapes] for shapes in _SAMPLE_SHAPES]


def _check_items(items: Sequence[Any]) -> Sequence[Any]:
    if isinstance(items, str | bytes | ImageFile) or hasattr(items, "shape"):
        raise RequestError("expected a list of images, but got a single one", hint="put it in a list")
    for index, item in enumerate(items):
        if not isinstance(item, ImageFile):
            try:
                check_kind(item, f"image {index}")
            except RequestError as error:
                error.naming_item(index, "image {}")
                raise
    return items


def _draw(height: int, width: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    slope = np.linspace(0, 1, height)[:, None, None] + np.linspace(0, 1, width)[None, :, None]
    colour = random.uniform(0, 100, (1, 1, 3)) * slope
    image: npt.NDArray[np.uint8] = (colour + random.uniform(0, 55, (height, width, 3))).astype(np.uint8)
    return image
