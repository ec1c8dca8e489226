"""Request bodies in JSON."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec
from msgspec import json

from inferox.server.field_error import FieldError
from inferox.server.json_fault import check_depth, explain_json

T = TypeVar("T")


class JsonBody(Generic[T]):
    """Decodes request bodies of one type.

    Args:
        kind: The type of the body: a ``msgspec.Struct``.
    """

    def __init__(self, kind: type[T]) -> None:
        self._decoder = json.Decoder(kind)

    def read(self, body: bytes) -> T:
        """Decodes a body.

        Args:
            body: The body.

        Raises:
            FieldError: If a field is missing, or has the wrong type.
            HttpError: If the body is not JSON, or nested too deeply.
        """
        check_depth(body)
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$.")
            raise FieldError(place.rstrip("`") or _name_missing(message), message) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise explain_json(body, error) from error


def _name_missing(message: str) -> str | None:
    """Returns the field that a message reports as missing."""
    return message.partition("field `")[2].partition("`")[0] or None
