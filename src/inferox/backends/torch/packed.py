"""transformers' text models in the packed layout: all rows end to end, through every layer except attention.

No model code is changed: transformers allows replacing attention by a registered function. Inferox's gathers queries,
keys and values into the padded batch, attends there, and gathers the results back. It consists only of gathers, so its
captures are fast on every runtime. Tokens do not attend to padding: it is masked, and its results are dropped.
"""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface, AttentionMaskInterface

from inferox.core import TOKENS, LoadError, Signature

_NAME = "inferox_packed"


@dataclass(frozen=True)
class _Batch:
    attended: torch.Tensor
    """The mask of the places to which other tokens attend; shape ``[batch, seq]``, bool."""

    tokens: torch.Tensor
    """The index of the token at each place, or 0 if there is none; shape ``[batch, seq]``, int64."""

    unpad_indices: torch.Tensor
    """The place of each token; shape ``[tokens]``, int64."""


_batch: ContextVar[_Batch] = ContextVar("inferox_packed_batch")


class PackedModule(torch.nn.Module):
    """A text model that takes the tokens of all rows end to end, as ``inferox.core.packed`` lays them out.

    The wrapped module computes only packed rows until ``release`` is called.

    Args:
        module: One of transformers' text models, in evaluation mode.
        signature: The packed signature.

    Raises:
        LoadError: If the model takes no positions, or its attention cannot be replaced.
    """

    def __init__(self, module: Any, signature: Signature) -> None:
        super().__init__()
        name = type(module).__name__
        if "position_ids" not in inspect.signature(module.forward).parameters:
            raise LoadError(f"a {name} works out positions by itself, which packed rows do not allow")
        if not module._can_set_attn_implementation():  # noqa: SLF001 - it offers no public way to ask
            raise LoadError(f"the attention of a {name} cannot be replaced, as the packed layout needs")
        self.module = module
        self._token_wise = {spec.name: spec.dims[0] == TOKENS for spec in signature.outputs}
        self._padding = _padding_of_positions(module)
        self._attention_before = module.config._attn_implementation  # noqa: SLF001 - it has no other name
        try:
            module.set_attn_implementation(_NAME)
        except Exception as error:
            raise LoadError(
                f"the attention of a {name} cannot be replaced, as the packed layout needs: {error}"
            ) from error
        self._hooks = _install_hooks(module, reads_first_token=name.endswith("ForSequenceClassification"))

    def forward(
        self,
        input_ids: torch.Tensor,
        pad_indices: torch.Tensor,
        unpad_indices: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Computes rows that lie end to end.

        Args:
            input_ids: The token ids; shape ``[tokens]``, int64.
            pad_indices: The index of the token at each place of the padded batch, or -1 if it is empty; shape
                ``[batch, seq]``, int64.
            unpad_indices: The place of each token in the padded batch; shape ``[tokens]``, int64.
            token_type_ids: The text of a pair to which each token belongs; shape ``[tokens]``, int64.

        Returns:
            The outputs of the signature by name: ``[tokens, ...]``, or ``[batch, ...]`` from heads that label rows.
        """
        batch = _Batch(pad_indices >= 0, pad_indices.clamp(min=0), unpad_indices)
        inputs = {"input_ids": input_ids[None], "position_ids": self._positions(input_ids, batch)[None]}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids[None]
        token = _batch.set(batch)
        try:
            returned = self.module(**inputs)
        finally:
            _batch.reset(token)
        return {name: returned[name][0] if whole else returned[name] for name, whole in self._token_wise.items()}

    def release(self) -> None:
        """Restores the wrapped module."""
        self.module.set_attn_implementation(self._attention_before)
        for hook in self._hooks:
            hook.remove()

    def _positions(self, input_ids: torch.Tensor, batch: _Batch) -> torch.Tensor:
        rows, longest = batch.tokens.shape
        if self._padding is None:
            # A remainder of the unpad indices would suffice, but has no ONNX translation if the length is free.
            places = torch.arange(longest, device=batch.unpad_indices.device).expand(rows, longest)
            return places.reshape(-1).index_select(0, batch.unpad_indices)
        counted = (input_ids != self._padding).to(torch.int64)
        before = counted.cumsum(0) - counted
        first = batch.tokens[:, :1].expand(rows, longest).reshape(-1).index_select(0, batch.unpad_indices)
        positions: torch.Tensor = (before - before.index_select(0, first) + 1) * counted + self._padding
        return positions


def _padding_of_positions(module: Any) -> int | None:
    """Returns the padding token of a model that counts positions from its id on, over tokens that are not padding.

    Such models reserve a row of the position table for padding; ``None`` for models that number all places of a row.
    """
    embeddings = getattr(getattr(module, module.base_model_prefix, module), "embeddings", None)
    padding: int | None = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    return padding


def _install_hooks(module: Any, *, reads_first_token: bool) -> list[RemovableHandle]:
    """Installs hooks with which poolers and heads find a row's first token."""
    base = getattr(module, module.base_model_prefix, module)
    hooks = []
    pooler = getattr(base, "pooler", None)
    if pooler is not None:
        hooks.append(pooler.register_forward_pre_hook(_before_pooler))
    if reads_first_token and base is not module:
        hooks.append(base.register_forward_hook(_after_base))
    return hooks


def _before_pooler(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (_first_tokens(arguments[0]), *arguments[1:])


def _after_base(_: Any, __: Any, returned: Any) -> Any:
    returned["last_hidden_state"] = _first_tokens(returned["last_hidden_state"])
    return returned


def _first_tokens(hidden: torch.Tensor) -> torch.Tensor:
    """Gathers the first token of each row; from ``[1, tokens, width]`` to ``[batch, 1, width]``."""
    return hidden[0].index_select(0, _batch.get().tokens[:, 0])[:, None]


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - transformers passes it; rows are told apart by the pad indices
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Computes attention over packed rows, as transformers calls it: ``[1, heads, tokens, width]`` each."""
    batch = _batch.get()
    rows, longest = batch.tokens.shape
    places = batch.tokens.reshape(-1)

    def spread(packed: torch.Tensor) -> torch.Tensor:
        heads, width = packed.shape[1], packed.shape[3]
        tokens = packed[0].transpose(0, 1).reshape(-1, heads * width)
        return tokens.index_select(0, places).reshape(rows, longest, heads, width).transpose(1, 2)

    mask = batch.attended[:, None, None, :]
    if sliding_window is not None or getattr(module, "is_causal", False):
        place = torch.arange(longest, device=mask.device)
        distance = place[:, None] - place[None, :]
        if sliding_window is not None:
            mask = mask & (distance.abs() < sliding_window)
        if getattr(module, "is_causal", False):
            mask = mask & (distance >= 0)
    # The least finite number instead of infinity, so that a row with nothing to attend to gets no NaN without an extra
    # step.
    bias = torch.where(mask, 0.0, torch.finfo(query.dtype).min).to(query.dtype)
    attended = scaled_dot_product_attention(spread(query), spread(key), spread(value), attn_mask=bias, scale=scaling)
    flat = attended.transpose(1, 2).reshape(rows * longest, -1)
    gathered = flat.index_select(0, batch.unpad_indices)
    return gathered.reshape(1, -1, query.shape[1], value.shape[3]), None


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, lambda *_, **__: None)
