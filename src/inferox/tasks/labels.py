"""Scores by label, of whole items and of spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import ManifestError, TensorSpec, counted
from inferox.tasks.activation import ACTIVATIONS
from inferox.tasks.options import required, required_list
from inferox.tasks.signature import last_extent

_SCORE_ACTIVATIONS = ("softmax", "sigmoid", "identity")


@dataclass(frozen=True)
class LabelScore:
    """A label with its score.

    Attributes:
        label: The label.
        score: A probability, or the model's own number if it predicts a quantity.
    """

    label: str
    score: float


@dataclass(frozen=True)
class Span:
    """A labelled part of a text.

    Attributes:
        label: The label, without the part up to its first dash, such as ``B-`` or ``I-``; as in transformers' pipeline,
            a label with a dash of its own loses the part before that.
        score: The mean probability of the span's tokens.
        start: The index of its first character.
        end: The index after its last character.
        text: The characters.
    """

    label: str
    score: float
    start: int
    end: int
    text: str


class Labels:
    """The labels of a model, in the order of its logits.

    Args:
        options: ``labels`` and ``activation``, as ``read_label_options`` returns them.
        logits: The output that is read.

    Raises:
        ManifestError: If an option is missing or wrong, or there is not one label per logit.
    """

    def __init__(self, options: Mapping[str, Any], logits: TensorSpec) -> None:
        self._names = required_list(options, "labels", str)
        activation = required(options, "activation", str)
        if activation not in _SCORE_ACTIVATIONS:
            raise ManifestError(f"'activation' must be one of {', '.join(_SCORE_ACTIVATIONS)}, but is {activation!r}")
        if len(self._names) != last_extent(logits):
            raise ManifestError(f"there are {counted(len(self._names), 'label')}, but the model gives {logits}")
        self._activate = ACTIVATIONS[activation]

    @property
    def names(self) -> Sequence[str]:
        """The labels."""
        return self._names

    def without_activation(self) -> Labels:
        """Returns the same labels with logits as scores."""
        other = copy(self)
        other._activate = ACTIVATIONS["identity"]  # noqa: SLF001 - a copy of this one
        return other

    def score(self, logits: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Computes the scores; the shape of the logits, float32."""
        return self._activate(logits.astype(np.float32))

    def rank(self, logits: npt.NDArray[Any]) -> list[tuple[LabelScore, ...]]:
        """Ranks the labels of each row, the best first.

        Args:
            logits: Shape ``[rows, labels]``.
        """
        scores = self.score(logits)
        order = np.argsort(-scores, axis=-1, kind="stable")
        ranked = zip(order.tolist(), np.take_along_axis(scores, order, axis=-1).tolist(), strict=True)
        return [
            tuple(LabelScore(self._names[index], score) for index, score in zip(*row, strict=True)) for row in ranked
        ]


def read_label_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the labels and their activation from a model's ``config.json``.

    Args:
        config: ``id2label``, ``num_labels`` and ``problem_type``; without any of them there are two labels.

    Returns:
        ``labels``, in the order of the logits, and ``activation``, which follows from the config's problem type;
        without one, it is ``sigmoid`` for a single label and ``softmax`` for several.

    Raises:
        ManifestError: If ``id2label`` does not number the labels from 0.
    """
    labels = read_labels(config)
    problem = config.get("problem_type")
    if problem == "regression":
        activation = "identity"
    elif problem == "multi_label_classification" or len(labels) == 1:
        activation = "sigmoid"
    else:
        activation = "softmax"
    return {"labels": labels, "activation": activation}


def read_labels(config: Mapping[str, Any]) -> list[str]:
    """Reads the labels of a model from its ``config.json``, in the order of its logits.

    Raises:
        ManifestError: If ``id2label`` does not number the labels from 0.
    """
    named = config.get("id2label")
    if not named:
        count = config.get("num_labels", 2)
        return [f"LABEL_{index}" for index in range(count if isinstance(count, int) else 2)]
    try:
        by_index = {int(index): str(label) for index, label in named.items()}
        return [by_index[index] for index in range(len(by_index))]
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        raise ManifestError(f"'id2label' of config.json must number the labels from 0, but is {named!r}") from error
