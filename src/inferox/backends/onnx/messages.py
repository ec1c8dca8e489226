"""Parsing and writing of ONNX messages, so that running models does not need the onnx package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inferox.backends.onnx.wire_format import BYTES, WireFormatError, read_fields

Field = tuple[int, int, int | memoryview | bytes]
"""A field: its number, its wire type, and its value, which is a number for a varint and otherwise the bytes."""

_MORE = 0x80
_SEVEN_BITS = 0x7F


@dataclass
class Message:
    """A message as its fields, in order.

    Attributes:
        fields: The fields.
    """

    fields: list[Field]

    @classmethod
    def parse(cls, content: memoryview | bytes) -> Message:
        """Parses a message, without copying the contents of its fields.

        Args:
            content: The bytes of the message.

        Raises:
            WireFormatError: If the bytes are not a message.
        """
        return cls(list(read_fields(memoryview(content))))

    def parts(self, number: int) -> list[memoryview | bytes]:
        """Returns the bytes of every field with a number.

        Args:
            number: The number of the field.

        Raises:
            WireFormatError: If such a field is a varint.
        """
        found = []
        for each, kind, value in self.fields:
            if each == number:
                if kind != BYTES or isinstance(value, int):
                    raise WireFormatError(f"field {number} has the wire type {kind}")
                found.append(value)
        return found

    def part(self, number: int) -> memoryview | bytes | None:
        """Returns the bytes of a field that occurs at most once, as readers would merge several into one.

        Args:
            number: The number of the field.

        Raises:
            WireFormatError: If there are several, or it is a varint.
        """
        found = self.parts(number)
        if len(found) > 1:
            raise WireFormatError(f"field {number} occurs {len(found)} times")
        return found[0] if found else None

    def texts(self, number: int) -> list[str]:
        """Returns the texts of every field with a number; see ``parts``."""
        return [bytes(value).decode(errors="surrogateescape") for value in self.parts(number)]

    def text(self, number: int) -> str:
        """Returns the text of a field that occurs at most once, or an empty one; see ``part``."""
        value = self.part(number)
        return "" if value is None else bytes(value).decode(errors="surrogateescape")

    def number(self, number: int) -> int | None:
        """Returns the value of a varint field. If there are several, the last counts.

        Args:
            number: The number of the field.
        """
        found = [value for each, _, value in self.fields if each == number and isinstance(value, int)]
        return found[-1] if found else None

    def replace(self, number: int, parts: Sequence[memoryview | bytes]) -> None:
        """Replaces every field with a number.

        Args:
            number: The number of the fields.
            parts: The contents of the new fields.
        """
        self.fields = [field for field in self.fields if field[0] != number]
        self.fields += [(number, BYTES, part) for part in parts]

    def write(self) -> bytes:
        """Encodes the message."""
        return b"".join(piece for field in self.fields for piece in _write(field))


def make_message(fields: Iterable[tuple[int, str | bytes]]) -> bytes:
    """Encodes a message of texts and messages.

    Args:
        fields: The number and the content of each field.
    """
    return Message([(number, BYTES, _encode(value)) for number, value in fields]).write()


def make_node(operator: str, inputs: Sequence[str], output: str) -> bytes:
    """Encodes a node of one of ONNX's own operators, without attributes.

    Args:
        operator: The operator.
        inputs: The names of its inputs.
        output: The name of its output.
    """
    return make_message([*((1, name) for name in inputs), (2, output), (4, operator)])


def _encode(value: str | bytes) -> bytes:
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


def _write(field: Field) -> Iterable[bytes | memoryview]:
    number, kind, value = field
    yield _varint(number << 3 | kind)
    if isinstance(value, int):
        yield _varint(value)
    else:
        if kind == BYTES:
            yield _varint(len(value))
        yield value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > _SEVEN_BITS:
        written.append(value & _SEVEN_BITS | _MORE)
        value >>= 7
    written.append(value)
    return bytes(written)
