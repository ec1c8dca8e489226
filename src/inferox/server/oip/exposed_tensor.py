"""Input and output tensors of a model, as the protocol describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferox.server.oip.datatype import Datatype

ANY = -1
"""The extent of an axis that may differ between requests."""


@dataclass(frozen=True)
class ExposedTensor:
    """An input or output tensor of a model.

    Attributes:
        name: Its name.
        datatype: The type of its elements.
        shape: The extent of each axis; ``ANY`` for one that varies.
        is_optional: Whether a request may leave it out.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    is_optional: bool = False

    def describe(self) -> dict[str, Any]:
        """Returns the tensor as in the metadata of a model."""
        return {"name": self.name, "datatype": self.datatype.value, "shape": list(self.shape)}

    def configure(self, *, has_batch: bool) -> dict[str, Any]:
        """Returns the tensor as in Triton's model configuration.

        Args:
            has_batch: Whether the first axis is the batch axis, which the configuration leaves out.
        """
        dims = list(self.shape[1:] if has_batch else self.shape)
        # The configuration needs an axis: a row of one element has the shape [1] for clients, and [] for the model.
        reshape: dict[str, Any] = {} if dims else {"reshape": {"shape": []}}
        data_type = "TYPE_STRING" if self.datatype is Datatype.BYTES else f"TYPE_{self.datatype}"
        optional = {"optional": True} if self.is_optional else {}
        return {"name": self.name, "data_type": data_type, "dims": dims or [1], **reshape, **optional}
