"""Documents in the order in which they answer a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from inferox.batching import Outputs, Row
from inferox.core import ConfigError, ManifestError, Model, RequestError, Signature
from inferox.package import Reading
from inferox.sources.sentence_modules import SETTINGS_FILE, read_modules, unsupported_module
from inferox.tasks.activation import ACTIVATIONS, activation_of_class
from inferox.tasks.calibration_texts import calibration_pairs
from inferox.tasks.labels import read_labels
from inferox.tasks.options import optional, required
from inferox.tasks.sentence_settings import check_transformer_settings, read_model_settings
from inferox.tasks.signature import find_output, last_extent
from inferox.tasks.text_samples import sample_pairs
from inferox.tasks.text_task import TextTask
from inferox.tasks.texts import check_pairs
from inferox.tasks.truncation import report_truncation


@dataclass(frozen=True)
class RankedDocument:
    """A document's place in a ranking.

    Attributes:
        index: Where the document stood in the list that came.
        score: How well it answers the query; higher is better.
    """

    index: int
    score: float


class RerankTask(TextTask):
    """Scores how well a document answers a query, reading both together.

    Items are pairs of a query and a document. Results are scores: higher is better.

    Args:
        root: The folder of the package.
        options: ``activation`` and ``prompt``, as ``read_rerank_options`` gives them, and those of the tokenizer.
        signature: What the model takes and gives.

    Raises:
        ManifestError: If an option is missing or wrong, or the model does not give one score a pair.
        PackageError: If a file is missing or cannot be read.
    """

    name: ClassVar[str] = "rerank"

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature) -> None:
        super().__init__(root, options, signature)
        self._scores = find_output(signature, "logits", ndim=2, task=self.name, shape="[batch, 1]")
        if last_extent(self._scores) != 1:
            raise ManifestError(f"the task rerank reads one score a pair, and the model gives {self._scores}")
        activation = required(options, "activation", str)
        if activation not in ACTIVATIONS:
            raise ManifestError(f"{activation!r} is no activation function; there are {', '.join(ACTIVATIONS)}")
        self._activate = ACTIVATIONS[activation]
        self._prompt = optional(options, "prompt", str) or ""

    def encode(self, items: Sequence[tuple[str, str]]) -> list[Row]:
        """Makes a row of each pair; see ``Task``. An empty text is legal."""
        check_pairs(items)
        return self._tokenizer.encode([(self._prompt + query, document) for query, document in items])

    def decode(
        self,
        items: Sequence[tuple[str, str]],  # noqa: ARG002 - a score depends on the logits alone
        rows: Sequence[Row],  # noqa: ARG002
        outputs: Sequence[Outputs],
    ) -> list[float]:
        """Scores each pair; see ``Task``."""
        logits = np.array([output[self._scores.name][0] for output in outputs], dtype=np.float32)
        scores: list[float] = self._activate(logits).tolist()
        return scores

    def rank(
        self,
        model: Model,
        query: str,
        documents: Sequence[str],
        *,
        top_k: int | None = None,
        truncate: str = "cut",
    ) -> list[RankedDocument]:
        """Orders documents by how well they answer a query.

        Args:
            model: The model, of the signature that the task was opened for.
            query: The query.
            documents: The documents.
            top_k: How many to return; ``None`` for all.
            truncate: What is done about pairs that are longer than the model takes: ``error``, ``warn`` or ``cut``.

        Returns:
            The documents, the best first; documents with equal scores stay in the order in which they came.

        Raises:
            RequestError: If the query or a document is no text, or ``top_k`` is negative.
        """
        if isinstance(documents, str | bytes):
            raise RequestError("expected a list of documents, and got a single one", hint="put it in a list")
        if top_k is not None and top_k < 0:
            raise RequestError(f"top_k must be 0 or more, and is {top_k}")
        pairs = [(query, document) for document in documents]
        rows = self.encode(pairs)
        # Above this one there is the model's method, and the caller above that is the one to be told.
        report_truncation(rows, truncate, stacklevel=4)
        scores = self.compute(model, pairs, rows)
        ranked = sorted((RankedDocument(*pair) for pair in enumerate(scores)), key=lambda item: -item.score)
        return ranked[:top_k]

    def reading(self, signature: Signature) -> Reading:  # noqa: ARG002 - a score is all that is read
        """The scores before the activation, and their order; see ``Task``."""
        return Reading.of_outputs((self._scores,), ranks=True)

    def calibration_items(self) -> list[tuple[str, str]]:
        """Natural pairs; see ``Task``."""
        return calibration_pairs()

    def samples(self) -> list[list[tuple[str, str]]]:
        """Pairs from empty texts to the model's limit; see ``Task``."""
        return self._tokenizer.readable(sample_pairs(self._tokenizer.max_length, self._tokenizer.special_tokens))


def read_rerank_options(directory: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Reads how a cross-encoder's scores are made.

    Args:
        directory: The folder of the model.
        config: Its ``config.json``.

    Returns:
        ``activation``: what sentence-transformers' files or the config name, otherwise ``sigmoid``; and ``prompt``,
        what is put before each query.

    Raises:
        ConfigError: If the model gives several scores, or has a layer or an activation that this task does not compute.
        PackageError: If a file cannot be read.
    """
    labels = read_labels(config)
    if len(labels) != 1:
        raise ConfigError(
            f"the task rerank needs a model with one score a pair, and this one has {len(labels)} labels",
            hint="use the task classify, which takes pairs of texts too",
        )
    modules = read_modules(directory)
    for index, module in enumerate(modules):
        if module.kind not in {"Transformer", "Dropout"}:
            raise unsupported_module(module, index)
    # Without modules.json, sentence-transformers leaves its other settings aside.
    settings = read_model_settings(directory) if modules else {}
    if modules:
        check_transformer_settings(
            directory, task="sequence-classification", method_output="logits", module_output="scores"
        )
    default = settings.get("default_prompt_name")
    prompts = settings.get("prompts", {})
    if default is not None and default not in prompts:
        raise ConfigError(
            f"{SETTINGS_FILE} states the default_prompt_name {default!r}, and has the prompts {sorted(prompts)}",
            hint="add the prompt, or take the default away",
        )
    prompt = None if default is None else prompts[default]
    return {"activation": _activation(settings, config), "prompt": prompt}


def _activation(settings: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    inner = config.get("sentence_transformers")
    stated = (
        settings.get("activation_fn")
        or (inner.get("activation_fn") if isinstance(inner, dict) else None)
        or config.get("sbert_ce_default_activation_function")
    )
    # sentence-transformers does not import classes of other libraries either, and goes on with its default.
    if not isinstance(stated, str) or not stated.startswith("torch."):
        return "sigmoid"
    activation = activation_of_class(stated)
    if activation is None:
        raise ConfigError(
            f"the model's scores go through {stated}, which the task rerank does not compute",
            hint="pack it with the task raw, and compute it yourself",
        )
    return activation
