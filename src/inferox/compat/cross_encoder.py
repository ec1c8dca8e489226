"""A replacement for sentence-transformers' ``CrossEncoder``, backed by a package."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.batching import run_batches
from inferox.compat.model_precision import read_precision
from inferox.compat.text_model import TextModel, choose_model
from inferox.compat.unsupported import UnsupportedError
from inferox.core import ConfigError, counted, require_torch, to_torch
from inferox.loading.progress import watch
from inferox.tasks import ClassifyTask, RerankTask
from inferox.tasks.activation import ACTIVATIONS, activation_of_class
from inferox.tasks.given_items import as_list
from inferox.tasks.ranking import pair_documents, rank_documents

Floats = npt.NDArray[np.float32]


class CrossEncoder(TextModel[RerankTask | ClassifyTask]):
    """Scores pairs of texts, with the methods of sentence-transformers' class and the same numbers.

    Args:
        model_name_or_path: A package, a model's folder, or a name on the hub such as ``ms-marco-MiniLM-L6-v2``. A model
            is packed once, into the store, which needs PyTorch; the package is then loaded without it.
        device: The device to load it on, such as ``cuda:0``; ``None`` for the backend's default.
        prompts: Texts to put before the first text of each pair, by name.
        default_prompt_name: The prompt to use if a call names none; ``None`` for the model's default.
        cache_folder: The folder of the hub's files; ``None`` for huggingface_hub's own cache.
        trust_remote_code: Whether code that comes with a package may run. A model with code of its own cannot be
            packed.
        revision: The branch, tag or commit on the hub.
        local_files_only: Whether to use only files that were downloaded before.
        token: The hub's token, or whether to send the stored one.
        model_kwargs: ``dtype``, and arguments without effect: ``attn_implementation`` (``eager`` or ``sdpa``),
            ``low_cpu_mem_usage`` and ``use_safetensors=True``.
        num_labels: The number of scores of a pair, which must be the model's own.
        max_length: The most tokens of a pair; ``None`` for the model's limit.
        activation_fn: The activation of the scores, a function of a tensor; ``None`` for the model's.
        backend: ``auto`` for the fastest one here, ``torch``, ``onnx`` or ``openvino``.
        precision: The precision in which the model computes.
        threads: The number of CPU threads; ``None`` for one per core.
        refused: Further options of sentence-transformers' class, which are not supported.

    Attributes:
        activation_fn: The activation of the scores; ``None`` for that in the model's files.

    Raises:
        UnsupportedError: If an option is not supported; the error names it.
        ConfigError: If an option is invalid.
        PackageError: If there is no such model, or it cannot be packed.
        RequestError: If it is for another task.
        BackendError: If it cannot be loaded here.
    """

    _TASKS: ClassVar[frozenset[str]] = frozenset({"rerank", "classify"})
    _OTHER: ClassVar[str] = "for the vectors of texts use SentenceTransformer; for other tasks inferox.load"

    def __init__(
        self,
        model_name_or_path: str | Path | None = None,
        *,
        device: Any = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | Path | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        backend: str = "auto",
        precision: Any = "fp32",
        threads: int | None = None,
        **refused: Any,
    ) -> None:
        choice = choose_model(
            model_name_or_path,
            "cross-encoder",
            None,
            backend,
            read_precision(type(self).__name__, precision, model_kwargs),
            cache_folder=cache_folder,
            token=token,
            local_files_only=local_files_only,
            revision=revision,
        )
        super().__init__(
            choice,
            device=device,
            threads=threads,
            trust_code=trust_remote_code,
            prompts=prompts,
            default_prompt_name=default_prompt_name,
            refused=refused,
        )
        self.activation_fn = activation_fn
        if num_labels is not None and num_labels != self.num_labels:
            raise UnsupportedError(
                f"the model has {counted(self.num_labels, 'label')}, "
                f"but num_labels={num_labels} would give it another head",
                hint="train a head with sentence-transformers, and pack what it saves",
            )
        if max_length is not None:
            self.max_seq_length = max_length

    @property
    def num_labels(self) -> int:
        """The number of scores of a pair."""
        return len(self._task.labels) if isinstance(self._task, ClassifyTask) else 1

    @property
    def max_length(self) -> int | None:
        """The most tokens of a pair; the older name of ``max_seq_length``."""
        return self.max_seq_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        self.max_seq_length = value

    def predict(  # noqa: PLR0917 - in the order of the class that this replaces
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        pool: Mapping[str, Any] | None = None,
        chunk_size: int | None = None,
        *,
        sentences: Any = None,
        **further: Any,
    ) -> Any:
        """Scores pairs of texts.

        Args:
            inputs: The pairs, or a single one. Pairs that are too long for the model are cut.
            prompt_name: The prompt in ``prompts`` to put before the first text of each pair.
            prompt: The text to put there instead.
            batch_size: The most pairs of the greatest length in a batch; batches are formed by tokens.
            show_progress_bar: Whether to show progress on standard error; ``None`` to show it if this module's logger
                is enabled for ``INFO``.
            activation_fn: The activation of the scores, a function of a tensor, such as ``torch.nn.Identity()``;
                ``None`` for the attribute of that name.
            apply_softmax: Whether to apply softmax to the scores of each pair after that, if there are several.
            convert_to_numpy: Whether to return one array.
            convert_to_tensor: Whether to return one PyTorch tensor instead; with neither, a list of tensors.
            device: The model's own device, or a list that repeats it.
            pool: The result of ``start_multi_process_pool``. It makes no difference: calls always use all threads.
            chunk_size: Has no effect.
            sentences: The older name of ``inputs``.
            further: ``task``, which has no effect.

        Returns:
            The scores; shape ``[n]`` for a model with one label and ``[n, labels]`` for others, float32; for a single
            pair a scalar, or shape ``[labels]``.

        Raises:
            UnsupportedError: If an option is not supported; the error names it.
            ConfigError: If an option is invalid.
            RequestError: If a pair cannot be computed.
            BackendUnavailableError: If tensors are requested, and PyTorch is not installed.
        """
        self._check_call(batch_size, device, pool, chunk_size, further)
        pairs, single = _read_pairs(sentences if inputs is None else inputs)
        if show_progress_bar is None:
            show_progress_bar = logging.getLogger(__name__).isEnabledFor(logging.INFO)
        activate = self._activation(activation_fn or self.activation_fn)
        if convert_to_tensor or not convert_to_numpy:
            require_torch()
        logits = self._logits(pairs, self._prompt_text(prompt, prompt_name), batch_size, show_progress_bar)
        scores = activate(logits)
        if apply_softmax and scores.ndim > 1:
            scores = ACTIVATIONS["softmax"](scores)
        if convert_to_tensor or not convert_to_numpy:
            tensor = to_torch(scores)
            return tensor[0] if single else tensor if convert_to_tensor else list(tensor)
        return scores[0] if single else scores if len(pairs) else np.array([])

    def rank(  # noqa: PLR0917 - in the order of the class that this replaces
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """Ranks documents by relevance to a query.

        Args:
            query: The query.
            documents: The documents.
            top_k: The number of documents to return; ``None`` for all.
            return_documents: Whether each result includes its document, as ``text``.
            prompt_name: See ``predict``; so for the following arguments.
            prompt: The text to put before the query.
            batch_size: The most pairs of the greatest length in a batch.
            show_progress_bar: Whether to show progress on standard error.
            activation_fn: The activation of the scores.
            options: Other arguments of ``predict``.

        Returns:
            For each document its index as ``corpus_id`` and its ``score``, the best first.

        Raises:
            ConfigError: If the model has several scores for a pair, or an option is invalid.
            RequestError: If a text cannot be computed.
        """
        if self.num_labels != 1:
            raise ConfigError(
                f"rank needs a model with one score for each pair, but this one has {self.num_labels}",
                hint="use predict with pairs",
            )
        pairs = pair_documents(query, documents, top_k=top_k)
        scores = self.predict(
            pairs,
            prompt_name,
            prompt,
            batch_size,
            show_progress_bar,
            activation_fn,
            **options,
        )
        ranked = rank_documents(map(float, scores), top_k=top_k)
        found: list[dict[str, Any]] = [{"corpus_id": each.index, "score": each.score} for each in ranked]
        return [{**each, "text": pairs[each["corpus_id"]][1]} for each in found] if return_documents else found

    def _logits(self, pairs: list[Any], prompt: str | None, batch_size: int, show_progress: bool) -> Floats:
        task = self._task if prompt is None else self._prompted(prompt)
        read, rows = task.read(pairs, "warn")
        shape = (len(read),) if self.num_labels == 1 else (len(read), self.num_labels)
        logits = np.empty(shape, np.float32)
        computed = (
            (indices, task.logits(outputs))
            for indices, _, outputs in run_batches(self._loaded.model, rows, max_tokens=self._max_tokens(batch_size))
        )
        for indices, numbers in watch(computed, len(read), "pairs") if show_progress else computed:
            logits[indices] = numbers.reshape(len(indices), *shape[1:])
        return logits

    def _prompted(self, prompt: str | None) -> RerankTask | ClassifyTask:
        if isinstance(self._task, RerankTask):
            return self._task.with_prompt_text(prompt or "")
        if prompt:
            raise UnsupportedError("prompts are supported for models with one score for each pair", hint="leave it out")
        return self._task

    def _activation(self, function: Callable[[Any], Any] | None) -> Callable[[Floats], Floats]:
        """Returns the activation of logits: a function of tensors as one of arrays, or that in the model's files."""
        if function is None:
            return ACTIVATIONS[self._own_activation()]
        if not callable(function):
            raise ConfigError(f"activation_fn must be a function of a tensor, but is {function!r}")
        require_torch()

        def activate(logits: Floats) -> Floats:
            # sentence-transformers passes one column per label, also if there is only one label.
            columns = logits.reshape(len(logits), self.num_labels)
            scores: Floats = function(to_torch(columns)).detach().cpu().float().numpy()
            return scores.reshape(logits.shape)

        return activate

    def _own_activation(self) -> str:
        """Returns the activation that the model's files state, as sentence-transformers reads them."""
        if isinstance(self._task, RerankTask):
            return self._task.activation
        inner = self._config.get("sentence_transformers")
        stated = inner.get("activation_fn") if isinstance(inner, Mapping) else None
        stated = stated or self._config.get("sbert_ce_default_activation_function")
        if not isinstance(stated, str) or not stated.startswith("torch."):
            return "sigmoid" if self.num_labels == 1 else "identity"
        activation = activation_of_class(stated)
        if activation is None:
            raise UnsupportedError(
                f"the model's activation {stated} is not supported", hint="give another activation_fn"
            )
        return activation


def _read_pairs(inputs: Any) -> tuple[list[Any], bool]:
    """Returns the pairs of a call, and whether it is a single one: texts that are not in lists of their own."""
    if isinstance(inputs, np.ndarray):
        inputs = inputs.tolist()
    if isinstance(inputs, str | bytes | Mapping) or not isinstance(inputs, Iterable):
        raise ConfigError(
            f"inputs must be pairs of texts, but are of type {type(inputs).__name__}", hint="give a list of pairs"
        )
    given = list(as_list(inputs))
    if given and not isinstance(given[0], list | tuple):
        return [tuple(given)], True
    return [tuple(pair) if isinstance(pair, list) else pair for pair in given], False
