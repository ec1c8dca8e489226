"""The facts about a tokenizer that follow from a model's inputs: the longest row, and the padding values."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from inferox.core import Signature, TensorSpec


def choose_pad_values(tokenizer: Tokenizer, inputs: Sequence[TensorSpec], pad_id: int | None) -> dict[str, int]:
    """Chooses the padding values; none for a model without a mask, unless its fixed length makes padding necessary.

    Args:
        tokenizer: The tokenizer, whose file may state the padding.
        inputs: The inputs of the model.
        pad_id: The token to pad with; ``None`` for the tokenizer's, or 0.
    """
    masked = any(spec.name == "attention_mask" for spec in inputs)
    if not masked and shortest(None, inputs) is None:
        return {}
    padding = tokenizer.padding or {}
    return {
        "input_ids": int(padding.get("pad_id", 0)) if pad_id is None else pad_id,
        "attention_mask": 0,
        "token_type_ids": int(padding.get("pad_type_id", 0)),
    }


def shortest(max_length: int | None, inputs: Sequence[TensorSpec]) -> int | None:
    """Returns the limit of the model's files, or of an input of fixed length, whichever is less.

    Args:
        max_length: The limit of the files; ``None`` for none.
        inputs: The inputs of the model.
    """
    fixed = [dim for spec in inputs for dim in spec.dims[1:] if isinstance(dim, int)]
    return shorter(max_length, *fixed)


def shorter(*limits: int | None) -> int | None:
    """Returns the lowest of some limits; ``None`` means no limit.

    Args:
        limits: The limits.
    """
    return min((limit for limit in limits if limit is not None), default=None)


def is_token(number: int, signature: Signature) -> bool:
    """Returns whether a model has an embedding for a token, as far as its signature states.

    Args:
        number: The token's id.
        signature: The model's signature.
    """
    bounds = [spec.upper_bound for spec in signature.inputs if spec.name == "input_ids"]
    return all(bound is None or number < bound for bound in bounds)
