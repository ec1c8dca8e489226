"""Encoders of the BERT family: embeddings, layers of attention, and a head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod, sqrt

import candle
import numpy as np
import numpy.typing as npt
from candle import functional

from inferox.backends.candle.architecture import Architecture
from inferox.backends.candle.errors import require_memory
from inferox.backends.candle.exchange import to_candle
from inferox.backends.candle.layers import ACTIVATION_LAYERS, Layer, LayerNorm, Linear
from inferox.backends.candle.weights import Weights
from inferox.core import InputTooLongError, RequestError, ShapeMismatchError, TensorLike, counted, to_array

_MASKED = float(np.finfo(np.float32).min)
"""The number added to masked scores. It is finite, so that a fully masked row stays finite, as in transformers."""

_UNUSED = re.compile(
    r"^(pooler|classifier|pre_classifier|cls|lm_head|qa_outputs|vocab_(layer_norm|projector|transform)"
    r"|(discriminator|generator)_(predictions|lm_head))\.|(^|\.)(position_ids|token_type_ids)$"
)
"""Weights of heads that the architecture lacks, and tables that it computes itself."""


@dataclass(frozen=True)
class _EncoderLayer:
    """Attention and a feed-forward part, each followed by a residual connection and normalisation."""

    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: LayerNorm
    widen: Linear
    activation: Layer
    narrow: Linear
    output_norm: LayerNorm
    num_heads: int

    def __call__(self, states: candle.Tensor, shape: tuple[int, int], bias: candle.Tensor | None) -> candle.Tensor:
        """Computes the next states, ``f32[tokens, hidden]``.

        Args:
            states: ``f32[tokens, hidden]``, row after row.
            shape: The number of rows, and of tokens in each.
            bias: The bias of the scores, ``f32[rows, heads, tokens, tokens]``; ``None`` if nothing is masked.
        """
        attended = self.attention_norm(states + self.attention_output(self._attend(states, shape, bias)))
        return self.output_norm(attended + self.narrow(self.activation(self.widen(attended))))

    def _attend(self, states: candle.Tensor, shape: tuple[int, int], bias: candle.Tensor | None) -> candle.Tensor:
        tokens, hidden = states.shape
        size = hidden // self.num_heads

        def by_head(rows: candle.Tensor) -> candle.Tensor:
            return rows.reshape((*shape, self.num_heads, size)).transpose(1, 2).contiguous()

        query, key, value = (by_head(layer(states)) for layer in (self.query, self.key, self.value))
        scores = (query * (1.0 / sqrt(size))).matmul(key.transpose(2, 3))
        if bias is not None:
            scores = scores + bias
        return functional.softmax(scores, 3).matmul(value).transpose(1, 2).reshape((tokens, hidden))


@dataclass(frozen=True)
class _Embeddings:
    """The sum of a token's, its position's and its type's embeddings, normalised and projected to the hidden size."""

    tokens: candle.Tensor
    positions: candle.Tensor
    types: candle.Tensor | None
    norm: LayerNorm
    project: Linear | None

    def __call__(
        self, ids: npt.NDArray[np.int64], positions: npt.NDArray[np.int64], types: npt.NDArray[np.int64]
    ) -> candle.Tensor:
        """Computes ``f32[tokens, hidden]`` from three arrays ``i64[rows, tokens of a row]``."""
        summed = _rows(self.tokens, ids) + _rows(self.positions, positions)
        if self.types is not None:
            summed = summed + _rows(self.types, types)
        normalised = self.norm(summed)
        return normalised if self.project is None else self.project(normalised)


@dataclass(frozen=True)
class _RowHead:
    dense: Linear
    activation: Layer
    classifier: Linear

    def __call__(self, first_states: candle.Tensor) -> candle.Tensor:
        return self.classifier(self.activation(self.dense(first_states)))


class Encoder:
    """An encoder with its head, for rows that are padded to one length.

    Args:
        architecture: Its architecture.
        weights: Its weights; all of them must be used.

    Raises:
        LoadError: If a weight is missing, left over, or of another shape.
    """

    def __init__(self, architecture: Architecture, weights: Weights) -> None:
        self._architecture = architecture
        self._embeddings = _read_embeddings(architecture, weights)
        self._layers = [_read_layer(architecture, weights, index) for index in range(architecture.num_layers)]
        self._row_head, self._token_head = _read_head(architecture, weights)
        weights.require_all_taken(_UNUSED)

    def __call__(self, inputs: Mapping[str, TensorLike]) -> candle.Tensor:
        """Computes the states of all tokens, or the logits of rows or of tokens.

        Args:
            inputs: ``input_ids``, and optionally ``attention_mask`` and ``token_type_ids``, each
                ``i64[rows, tokens of a row]``.

        Returns:
            ``f32[rows, tokens of a row, hidden or labels]``, or ``f32[rows, labels]``.

        Raises:
            RequestError: If a token or a token's type is unknown.
            InputTooLongError: If a row is longer than there are positions.
            OutOfMemoryError: If there is not enough memory.
            Exception: Whatever Candle raises.
        """
        arrays = {name: to_array(value) for name, value in inputs.items()}
        ids = arrays["input_ids"]
        rows, length = ids.shape
        if ids.size == 0:
            return self._of_nothing(rows, length)
        types = arrays.get("token_type_ids", np.zeros_like(ids))
        positions = self._positions(ids)
        self._check(ids, types)
        self._require_memory(rows, length)
        states = self._embeddings(ids, positions, types)
        bias = self._bias(arrays.get("attention_mask"))
        for layer in self._layers:
            states = layer(states, (rows, length), bias)
        return self._finish(states.reshape((rows, length, self._architecture.hidden_size)))

    def _finish(self, states: candle.Tensor) -> candle.Tensor:
        if self._row_head is not None:
            return self._row_head(states.narrow(1, 0, 1).squeeze(1).contiguous())
        if self._token_head is not None:
            rows, length, hidden = states.shape
            return self._token_head(states.reshape((rows * length, hidden))).reshape((rows, length, self._width))
        return states

    @property
    def _width(self) -> int:
        """Returns the width of each token or row."""
        last = self._row_head.classifier if self._row_head is not None else self._token_head
        return self._architecture.hidden_size if last is None else int(last.weight.shape[1])

    def _of_nothing(self, rows: int, length: int) -> candle.Tensor:
        """Makes the output for no tokens, which Candle's reductions refuse to compute."""
        if self._row_head is None:
            return candle.zeros((rows, length, self._width))
        if rows:
            raise ShapeMismatchError("input 'input_ids'", "[batch, 1 token or more]", (rows, length))
        return candle.zeros((0, self._width))

    def _positions(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        padding, first = self._architecture.pad_token_id, 0
        if self._architecture.family.counts_padding_id:
            is_token = ids != padding
            positions, first = np.cumsum(is_token, axis=1) * is_token + padding, padding + 1
        limit = self._embeddings.positions.shape[0]
        longest = int(positions.max())
        if longest >= limit:
            raise InputTooLongError("a row", length=longest + 1 - first, limit=limit - first, unit="tokens")
        return positions

    def _check(self, ids: npt.NDArray[np.int64], types: npt.NDArray[np.int64]) -> None:
        tables = {"token": (ids, self._embeddings.tokens), "token type": (types, self._embeddings.types)}
        for subject, (values, table) in tables.items():
            if table is not None and (values.min() < 0 or values.max() >= table.shape[0]):
                unknown = values[(values < 0) | (values >= table.shape[0])][0]
                raise RequestError(f"the {subject} {unknown} is unknown: the model knows 0 to {table.shape[0] - 1}")

    def _bias(self, mask: npt.NDArray[np.int64] | None) -> candle.Tensor | None:
        """Expands the mask to every head and every query: Candle adds equal shapes ten times faster than others."""
        if mask is None or mask.all():
            return None
        rows, length = mask.shape
        bias = to_candle(np.where(mask == 0, np.float32(_MASKED), np.float32(0)).reshape(rows, 1, 1, length))
        return bias.broadcast_as((rows, self._architecture.num_heads, length, length)).contiguous()

    def _require_memory(self, rows: int, length: int) -> None:
        """Requires the peak memory of a layer, including the runtime's intermediate results."""
        scores = 4 * rows * self._architecture.num_heads * length * length
        states = rows * length * (8 * self._architecture.hidden_size + 2 * self._architecture.intermediate_size)
        require_memory(4 * (scores + states), f"{counted(rows, 'row')} of {counted(length, 'token')}")


def _rows(table: candle.Tensor, indices: npt.NDArray[np.int64]) -> candle.Tensor:
    return table.index_select(to_candle(indices.reshape(prod(indices.shape))), 0)


def _read_embeddings(architecture: Architecture, weights: Weights) -> _Embeddings:
    hidden, has_projection = architecture.hidden_size, "embeddings_project.weight" in weights
    tokens = weights.take(
        "embeddings.word_embeddings.weight", (architecture.vocab_size, None if has_projection else hidden)
    )
    width = int(tokens.shape[1])
    types = "embeddings.token_type_embeddings.weight"
    return _Embeddings(
        tokens,
        weights.take("embeddings.position_embeddings.weight", (None, width)),
        weights.take(types, (None, width)) if architecture.family.has_token_types else None,
        weights.norm("embeddings.LayerNorm", width, architecture.norm_eps),
        weights.linear("embeddings_project", width, hidden) if has_projection else None,
    )


def _read_layer(architecture: Architecture, weights: Weights, index: int) -> _EncoderLayer:
    names, hidden, width = architecture.family.names, architecture.hidden_size, architecture.intermediate_size
    place = f"{names.layer}.{index}."
    query, key, value, output = (
        weights.linear(place + name, hidden, hidden)
        for name in (names.query, names.key, names.value, names.attention_output)
    )
    return _EncoderLayer(
        query,
        key,
        value,
        output,
        weights.norm(place + names.attention_norm, hidden, architecture.norm_eps),
        weights.linear(place + names.widen, hidden, width),
        ACTIVATION_LAYERS[architecture.activation],
        weights.linear(place + names.narrow, width, hidden),
        weights.norm(place + names.output_norm, hidden, architecture.norm_eps),
        architecture.num_heads,
    )


def _read_head(architecture: Architecture, weights: Weights) -> tuple[_RowHead | None, Linear | None]:
    hidden = architecture.hidden_size
    if architecture.head == "ForTokenClassification":
        return None, weights.linear("classifier", hidden, None)
    if architecture.head != "ForSequenceClassification":
        return None, None
    names = architecture.family.row_head
    dense, classifier = weights.linear(names.dense, hidden, hidden), weights.linear(names.classifier, hidden, None)
    return _RowHead(dense, ACTIVATION_LAYERS[names.activation], classifier), None
