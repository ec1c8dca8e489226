"""The encoders that this backend supports, with the names of their parts in configs and weights. Imports no runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inferox.core import LoadError

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
"""The backend's names of activations, by the names that configs use."""

INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""The inputs that an encoder can take."""


@dataclass(frozen=True)
class LayerNames:
    """The names that a family gives to the weights of a layer, without ``.weight`` and ``.bias``."""

    layer: str = "encoder.layer"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_output: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    widen: str = "intermediate.dense"
    narrow: str = "output.dense"
    output_norm: str = "output.LayerNorm"


@dataclass(frozen=True)
class FirstTokenHead:
    """A classifier of whole rows: the first token's state through a layer, an activation and another layer."""

    dense: str
    activation: str
    classifier: str


@dataclass(frozen=True)
class Family:
    """Encoders that differ only in their names and sizes.

    Attributes:
        classes: The prefix of the names of transformers' classes.
        prefix: The prefix of the encoder's weights if there is a head.
        row_head: The classifier of whole rows.
        names: The names of a layer's weights.
        settings: The config's names for the hidden size, the layers, the heads, the width of the feed-forward part and
            the activation.
        has_token_types: Whether tokens have types, such as those of a question and of an answer.
        counts_padding_id: Whether positions count the tokens that are not padding, starting from the padding token's
            id.
        pad_token_id: The padding token's id if the config does not state it.
    """

    classes: str
    prefix: str
    row_head: FirstTokenHead
    names: LayerNames = LayerNames()
    settings: tuple[str, str, str, str, str] = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
    )
    has_token_types: bool = True
    counts_padding_id: bool = False
    pad_token_id: int = 0


_DISTILBERT_NAMES = LayerNames(
    layer="transformer.layer",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    attention_norm="sa_layer_norm",
    widen="ffn.lin1",
    narrow="ffn.lin2",
    output_norm="output_layer_norm",
)


def _roberta(classes: str) -> Family:
    head = FirstTokenHead("classifier.dense", "tanh", "classifier.out_proj")
    return Family(classes, "roberta", head, counts_padding_id=True, pad_token_id=1)


FAMILIES = {
    "bert": Family("Bert", "bert", FirstTokenHead("pooler.dense", "tanh", "classifier")),
    "camembert": _roberta("Camembert"),
    "distilbert": Family(
        "DistilBert",
        "distilbert",
        FirstTokenHead("pre_classifier", "relu", "classifier"),
        _DISTILBERT_NAMES,
        ("dim", "n_layers", "n_heads", "hidden_dim", "activation"),
        has_token_types=False,
    ),
    "electra": Family("Electra", "electra", FirstTokenHead("classifier.dense", "gelu", "classifier.out_proj")),
    "roberta": _roberta("Roberta"),
    "xlm-roberta": _roberta("XLMRoberta"),
}
"""The encoders, by the config's ``model_type``."""

_LACKS = {
    "albert": "layers that share their weights",
    "deberta": "disentangled attention",
    "deberta-v2": "disentangled attention",
    "modernbert": "rotary embeddings",
    "mpnet": "relative position biases",
}
"""Features of related encoders that this backend does not support."""


@dataclass(frozen=True)
class Architecture:
    """An encoder with its head, as a config and the name of a class describe it.

    Attributes:
        family: Its family.
        head: ``Model`` if there is none, ``ForSequenceClassification`` or ``ForTokenClassification``.
        hidden_size: The width of a token's state.
        num_layers: The number of layers.
        num_heads: The number of attention heads in each layer.
        intermediate_size: The width of the feed-forward part.
        activation: Its activation, by this backend's name.
        norm_eps: The epsilon that layer normalisation adds to the variance.
        pad_token_id: The padding token's id.
        vocab_size: The size of the vocabulary; ``None`` if the config does not state it.
    """

    family: Family
    head: str
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    activation: str
    norm_eps: float
    pad_token_id: int
    vocab_size: int | None


HEADS = ("Model", "ForSequenceClassification", "ForTokenClassification")


def read_architecture(config: Mapping[str, Any], class_name: str | None) -> Architecture:
    """Reads the architecture of a model.

    Args:
        config: The model's ``config.json``.
        class_name: The name of its class in transformers, such as ``BertModel``.

    Raises:
        LoadError: If this backend does not support it; the message names the part that it lacks. Also if the config
            lacks a size, or has an impossible one.
    """
    model_type = config.get("model_type")
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        lack = _LACKS.get(str(model_type))
        reason = f"it is not one of {', '.join(FAMILIES)}" if lack is None else f"the backend does not support {lack}"
        raise LoadError(f"candle cannot run a {model_type} model: {reason}")
    head = next((head for head in HEADS if class_name == family.classes + head), None)
    if head is None:
        raise LoadError(
            f"candle cannot run a {class_name} of the type {model_type}: the backend supports {', '.join(HEADS)}"
        )
    _refuse_variants(config, str(model_type))
    hidden, layers, heads, intermediate, activation = family.settings
    found = Architecture(
        family,
        head,
        _size(config, hidden),
        _size(config, layers),
        _size(config, heads),
        _size(config, intermediate),
        _activation(config, activation),
        _number(config, "layer_norm_eps", 1e-12),
        int(_number(config, "pad_token_id", family.pad_token_id)),
        _size(config, "vocab_size") if "vocab_size" in config else None,
    )
    if found.hidden_size % found.num_heads:
        raise LoadError(f"the config states {found.num_heads} heads for a hidden size of {found.hidden_size}")
    return found


def _refuse_variants(config: Mapping[str, Any], model_type: str) -> None:
    positions = config.get("position_embedding_type", "absolute")
    lacks = {
        "quantised weights": config.get("quantization_config") is not None,
        "the mask of a decoder (is_decoder)": bool(config.get("is_decoder")),
        f"{positions} positions (position_embedding_type)": positions != "absolute",
    }
    for lack, is_there in lacks.items():
        if is_there:
            raise LoadError(f"candle cannot run this {model_type} model: the backend does not support {lack}")


def _size(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if type(value) is not int or value < 1:
        raise LoadError(f"the config must state {name} as a positive integer, but states {value!r}")
    return value


def _number(config: Mapping[str, Any], name: str, default: float) -> float:
    value = config.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LoadError(f"the config must state {name} as a number, but states {value!r}")
    return value


def _activation(config: Mapping[str, Any], name: str) -> str:
    stated = config.get(name, "gelu")
    if not isinstance(stated, str) or stated not in ACTIVATIONS:
        raise LoadError(
            f"candle cannot run the activation {stated!r} ({name}): the backend supports {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[stated]
