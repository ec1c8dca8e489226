"""Bodies of requests that are JSON."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec
from msgspec import json

from inferox.server.field_error import FieldError
from inferox.server.json_fault import check_depth, explain_json

T = TypeVar("T")


class JsonBody(Generic[T]):
    """Reads bodies of one kind.

    Args:
        kind: What they hold: a ``msgspec.Struct``.
    """

    def __init__(self, kind: type[T]) -> None:
        self._decoder = json.Decoder(kind)

    def read(self, body: bytes) -> T:
        """Reads a body.

        Args:
            body: The body.

        Raises:
            FieldError: If a field is missing, or of another type.
            HttpError: If it is not JSON, or nested too deeply.
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
    """The field that a message says is missing."""
    return message.partition("field `")[2].partition("`")[0] or None
