"""The tensors that a model takes and gives, as the protocol describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferox.server.oip.datatype import Datatype

ANY = -1
"""An extent that every request may choose."""


@dataclass(frozen=True)
class ExposedTensor:
    """A tensor that a model takes or gives.

    Attributes:
        name: Its name.
        datatype: The type of its elements.
        shape: The extent of each axis.
        is_optional: Whether a request may leave it out.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    is_optional: bool = False

    def describe(self) -> dict[str, Any]:
        """The tensor as the metadata of a model have it."""
        return {"name": self.name, "datatype": self.datatype.value, "shape": list(self.shape)}

    def configure(self, *, has_batch: bool) -> dict[str, Any]:
        """The tensor as Triton's configuration of a model has it.

        Args:
            has_batch: Whether the first axis counts rows, which that leaves out.
        """
        dims = list(self.shape[1:] if has_batch else self.shape)
        # It has no tensors without axes: a row of one element has the shape [1] for clients, and [] for the model.
        reshape: dict[str, Any] = {} if dims else {"reshape": {"shape": []}}
        data_type = "TYPE_STRING" if self.datatype is Datatype.BYTES else f"TYPE_{self.datatype}"
        optional = {"optional": True} if self.is_optional else {}
        return {"name": self.name, "data_type": data_type, "dims": dims or [1], **reshape, **optional}
