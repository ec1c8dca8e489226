"""Tasks of packages as models of the protocol."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import json

from inferox.core import BATCH, Signature, TensorSpec
from inferox.engine import Answer, ModelInfo
from inferox.server.field_error import FieldError
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.exposed_tensor import ANY, ExposedTensor
from inferox.server.oip.exposure import MAX_BATCH, Exposure, row_tensor, to_bytes_array
from inferox.server.oip.wire_tensor import WireTensor

_TEXT = row_tensor("text", Datatype.BYTES)
_PAIR = row_tensor("text_pair", Datatype.BYTES, is_optional=True)
_QUERY = row_tensor("query", Datatype.BYTES)
_IMAGE = row_tensor("image", Datatype.BYTES)
_SCORE = row_tensor("score", Datatype.FP32)
_SPANS = (row_tensor("spans", Datatype.BYTES),)

_DATA = b"data:"
"""The scheme of URIs that contain what they name; no image begins like that."""

Arrays = Mapping[str, npt.NDArray[Any]]


class _ItemExposure(Exposure):
    """A model whose task has one item per row.

    Args:
        inputs: The input tensors.
        outputs: The output tensors.
        read: Converts inputs to items.
        write: Converts results to arrays, one for each output.
    """

    def __init__(
        self,
        inputs: Sequence[ExposedTensor],
        outputs: Sequence[ExposedTensor],
        read: Callable[[Arrays], Sequence[Any]],
        write: Callable[[Any], Sequence[npt.NDArray[Any]]],
    ) -> None:
        super().__init__(inputs, outputs)
        self._to_items = read
        self._to_arrays = write

    def write(self, answer: Answer) -> list[WireTensor]:
        """Converts results to tensors; see ``Exposure``."""
        arrays = zip(self.outputs, self._to_arrays(answer.results), strict=True)
        return [WireTensor(tensor.name, tensor.datatype, array) for tensor, array in arrays]

    def _read(self, arrays: Arrays) -> Sequence[Any]:
        return self._to_items(arrays)


class _RawExposure(Exposure):
    """A model that takes raw tensors; a request is one call.

    Args:
        signature: The signature of the model.
    """

    def __init__(self, signature: Signature) -> None:
        specs = (*signature.inputs, *signature.outputs)
        has_batch = all(spec.dims[:1] == (BATCH,) for spec in specs)
        super().__init__(
            [_expose(spec) for spec in signature.inputs],
            [_expose(spec) for spec in signature.outputs],
            max_batch=min(MAX_BATCH, signature.limits.get(BATCH, MAX_BATCH)) if has_batch else 0,
        )

    def write(self, answer: Answer) -> list[WireTensor]:
        """Converts the outputs of the call to tensors; see ``Exposure``."""
        (outputs,) = answer.results
        return [WireTensor(item.name, item.datatype, outputs[item.name]) for item in self.outputs]

    def _read(self, arrays: Arrays) -> Sequence[Any]:
        if lacking := [item.name for item in (*self.inputs, *self.outputs) if item.datatype is Datatype.BF16]:
            raise FieldError(
                "model", f"the model has tensors of BF16, such as {lacking[0]!r}, which requests cannot use"
            )
        return [dict(arrays)]


def expose(info: ModelInfo) -> Exposure:
    """Returns the exposure of a model: its tensors in the protocol, and the conversion to and from them.

    Args:
        info: The model.

    Raises:
        FieldError: If it has a custom task, which the protocol cannot represent.
    """
    if info.signature is not None:
        return _RawExposure(info.signature)
    if info.task == "embed":
        outputs = [row_tensor("embedding", Datatype.FP32, info.dimension or ANY)]
        return _ItemExposure([_TEXT], outputs, _read_texts, lambda vectors: [np.asarray(vectors, np.float32)])
    if info.task == "classify":
        return _ItemExposure([_TEXT, _PAIR], _labels(info), _read_texts_or_pairs, _write_labels)
    if info.task == "image-classify":
        return _ItemExposure([_IMAGE], _labels(info), _read_images, _write_labels)
    if info.task == "rerank":
        return _ItemExposure([_QUERY, _TEXT], [_SCORE], _read_pairs, lambda scores: [np.asarray(scores, np.float32)])
    if info.task == "token-classify":
        return _ItemExposure([_TEXT], _SPANS, _read_texts, _write_spans)
    raise FieldError(
        "model", f"{info.name!r} is a model for the task {info.task}, which this protocol does not support"
    )


def _expose(spec: TensorSpec) -> ExposedTensor:
    shape = tuple(dim if isinstance(dim, int) else ANY for dim in spec.dims)
    return ExposedTensor(spec.name, Datatype.of(spec.dtype), shape)


def _labels(info: ModelInfo) -> Sequence[ExposedTensor]:
    count = len(info.class_labels) or ANY
    return row_tensor("label", Datatype.BYTES, count), row_tensor("score", Datatype.FP32, count)


def _read_images(arrays: Arrays) -> list[bytes]:
    return [_read_image(index, element) for index, element in enumerate(arrays["image"])]


def _read_image(index: int, content: bytes) -> bytes:
    """Returns the bytes of an image's file, which JSON can only hold as a data URI."""
    if content[: len(_DATA)].lower() != _DATA:
        return content
    head, comma, encoded = content.partition(b",")
    if not comma or not head.lower().endswith(b";base64"):
        fault = f"image {index} must be the bytes of a file, or a URI such as data:image/png;base64,…"
        raise FieldError("inputs", fault).naming_item(index, "image {}")
    try:
        return b64decode(encoded, validate=True)
    except ValueError as error:
        raise FieldError("inputs", f"image {index} is not base64: {error}").naming_item(index, "image {}") from error


def _read_texts(arrays: Arrays, name: str = "text") -> list[str]:
    texts = []
    for index, element in enumerate(arrays[name]):
        try:
            texts.append(element.decode())
        except UnicodeDecodeError as error:
            raise FieldError("inputs", f"element {index} of input {name!r} is not UTF-8: {error.reason}") from error
    return texts


def _read_pairs(arrays: Arrays) -> list[tuple[str, str]]:
    return list(zip(_read_texts(arrays, "query"), _read_texts(arrays), strict=True))


def _read_texts_or_pairs(arrays: Arrays) -> Sequence[str | tuple[str, str]]:
    texts = _read_texts(arrays)
    return list(zip(texts, _read_texts(arrays, "text_pair"), strict=True)) if "text_pair" in arrays else texts


def _write_labels(results: Any) -> Sequence[npt.NDArray[Any]]:
    labels = to_bytes_array([[item.label for item in row] for row in results])
    return labels, np.array([[item.score for item in row] for row in results], np.float32)


def _write_spans(results: Any) -> Sequence[npt.NDArray[Any]]:
    return [to_bytes_array([json.encode(row).decode() for row in results])]
