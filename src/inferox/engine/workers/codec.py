"""The encoding of messages, with arrays beside the body, so that none is copied on arrival."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import ValidationError
from msgspec.msgpack import Decoder, Encoder, Ext
from msgspec.msgpack import decode as unpack
from msgspec.msgpack import encode as pack

from inferox.core import ExecutionError, RequestError
from inferox.engine.workers.failures import to_message
from inferox.engine.workers.messages import Answered, AnsweredLabels, AnsweredSpans, Done, Failed, Message
from inferox.tasks.image_file import ImageFile

_ARRAY, _SCALAR, _IMAGE_FILE = 1, 2, 3
"""The kinds of values that msgpack lacks."""

_ALIGNMENT_BYTES = 64
"""The alignment of arrays, as runtimes want it."""

_REFUSED_KINDS = "OV"
"""The kinds of NumPy types that are neither numbers nor texts: Python objects, and records."""


_REPLIES = {kind.__struct_config__.tag for kind in (Answered, AnsweredLabels, AnsweredSpans, Done)}


@dataclass
class Frame:
    """An encoded message.

    Attributes:
        body: The message, with a reference in place of each array.
        arrays: The arrays, each of which begins after the previous one, at the next multiple of 64 bytes.
        size_bytes: The total size.
    """

    body: bytes = b""
    arrays: list[npt.NDArray[Any]] = field(default_factory=list)
    size_bytes: int = 0

    def pieces(self) -> list[bytes | memoryview]:
        """Returns the encoded pieces, in order."""
        pieces: list[bytes | memoryview] = [self.body]
        size = len(self.body)
        for array in self.arrays:
            gap = -size % _ALIGNMENT_BYTES
            # A view of bytes, as memoryview does not support every element type.
            pieces += [bytes(gap), array.reshape(-1).view(np.uint8).data]
            size += gap + array.nbytes
        return pieces


def encode(message: Message) -> Frame:
    """Encodes a message.

    Args:
        message: The message.

    Raises:
        TypeError: If it holds a value that has no form outside this process.
        ValueError: If it holds a text that is not valid Unicode, or lists nested too deeply.
        OverflowError: If it holds an integer of more than 64 bits.
        BufferError: If it holds a buffer that is not contiguous.
    """
    frame, offset = Frame(), 0

    def write(value: Any) -> Any:
        nonlocal offset
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(_checked(value))
            offset += -offset % _ALIGNMENT_BYTES
            reference = pack((array.dtype.str, value.shape, offset))
            if array.nbytes:
                frame.arrays.append(array)
                offset += array.nbytes
            return Ext(_ARRAY, reference)
        return _to_plain(value)

    try:
        body = Encoder(enc_hook=write).encode(message)
    except RecursionError as error:
        raise ValueError("lists are nested too deeply") from error
    frame.body, frame.size_bytes = body, len(body)
    if frame.arrays:
        frame.size_bytes += -len(body) % _ALIGNMENT_BYTES + offset
    return frame


class MessageDecoder:
    """Decodes messages. Not thread-safe."""

    def __init__(self) -> None:
        self._decoder: Decoder[Message] = Decoder(Message, ext_hook=self._read)
        self._arrays = memoryview(b"")

    def decode(self, content: memoryview, body_bytes: int) -> Message:
        """Decodes a message. Its arrays are read-only views of the content.

        Args:
            content: The pieces of a frame, in order; they must not change any more.
            body_bytes: The size of its body.

        Returns:
            The message. One with a value of the wrong type is a ``Failed`` for its call, so that nobody dies of it.

        Raises:
            msgspec.DecodeError: If it is not a message.
        """
        self._arrays = content[body_bytes + -body_bytes % _ALIGNMENT_BYTES :]
        try:
            return self._decoder.decode(content[:body_bytes])
        except ValidationError as error:
            match unpack(content[:body_bytes], ext_hook=lambda *_: None):
                case [str(tag), int(call), *_]:
                    return _refuse(tag, call, error)
            raise
        finally:
            self._arrays = memoryview(b"")

    def _read(self, kind: int, data: memoryview) -> Any:
        if kind == _ARRAY:
            name, shape, offset = unpack(data)
            dtype, count = np.dtype(name), math.prod(shape)
            if not count:
                array = np.empty(shape, dtype)
                array.flags.writeable = False
                return array
            return np.frombuffer(self._arrays, dtype, count, offset).reshape(shape)
        if kind == _SCALAR:
            name, content = unpack(data)
            return np.frombuffer(content, np.dtype(name))[0]
        if kind == _IMAGE_FILE:
            name, path, content = unpack(data)
            return ImageFile(name, Path(path) if content is None else content)
        raise ValueError(f"there is no kind {kind} of values")


def _refuse(tag: str, call: int, error: ValidationError) -> Failed:
    """Makes the failure of a call whose message, or whose reply, has a value of the wrong type."""
    if tag in _REPLIES:
        return to_message(call, ExecutionError(f"a worker process answered what cannot be read: {error}"))
    return to_message(call, RequestError(f"a worker process cannot read the call {tag!r}: {error}"))


def to_image_file(file: ImageFile) -> Ext:
    """Encodes an image file, which msgpack would otherwise turn into a dict.

    Args:
        file: The file.
    """
    is_path = isinstance(file.origin, Path)
    return Ext(_IMAGE_FILE, pack((file.name, str(file.origin) if is_path else None, None if is_path else file.origin)))


def _to_plain(value: Any) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, np.generic):
        scalar = _checked(np.asarray(value))
        return Ext(_SCALAR, pack((scalar.dtype.str, scalar.tobytes())))
    raise TypeError(f"a value of the type {type(value).__name__} cannot be sent to another process")


def _checked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a masked array cannot be sent to another process, where its mask would be lost")
    if array.dtype.kind in _REFUSED_KINDS:
        raise TypeError(f"an array of the type {array.dtype} cannot be sent to another process")
    return array
