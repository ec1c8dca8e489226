"""Padded calls with nothing to compute: those without rows, and rows without tokens."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from inferox.core.errors import RequestError
from inferox.core.spec import BATCH, MASK, SEQUENCE, Signature
from inferox.core.tensor import TensorLike, to_array

_PADDED_DIMS = (BATCH, SEQUENCE)

_HINT = "leave out rows that have no tokens"


def has_no_elements(signature: Signature, extents: Mapping[str, int]) -> bool:
    """Returns whether no output of a call has an element, so that there is nothing to compute.

    Args:
        signature: The padded signature.
        extents: The extent of each named dim of the inputs. An output that has none of these dims may have elements.
    """
    return 0 in extents.values() and all(
        0 in (extents.get(dim) if isinstance(dim, str) else dim for dim in spec.dims) for spec in signature.outputs
    )


def has_only_token_outputs(signature: Signature) -> bool:
    """Returns whether every output has one entry per token, so that a row without tokens has an answer.

    Args:
        signature: The padded signature.
    """
    return all(spec.dims[:2] == _PADDED_DIMS for spec in signature.outputs)


def require_tokens(inputs: Mapping[str, TensorLike], signature: Signature) -> None:
    """Refuses rows without tokens, for which a model has no answer, or a different one on each runtime.

    Only models that could be packed are concerned: those whose inputs are all ``[batch, seq]``, one of them a mask.

    Args:
        inputs: The inputs by name, as the signature lists them. A mask on an accelerator is not read.
        signature: The padded signature.

    Raises:
        RequestError: If a row has no tokens, and the model has outputs for whole rows.
    """
    has_mask = any(spec.name == MASK and not spec.dtype.is_floating for spec in signature.inputs)
    if not has_mask or any(spec.dims != _PADDED_DIMS for spec in signature.inputs) or has_only_token_outputs(signature):
        return
    mask = inputs[MASK]
    rows, longest = mask.shape
    if rows and not longest:
        raise RequestError("row 0 has no tokens, and the model has row-level outputs", hint=_HINT)
    if not isinstance(mask, np.ndarray) and mask.device.kind != "cpu":
        return
    has_tokens = to_array(mask).any(axis=1)
    if not has_tokens.all():
        raise RequestError(
            f"the {MASK} of row {int(has_tokens.argmin())} is all zeros, and the model has row-level outputs",
            hint=_HINT,
        )
