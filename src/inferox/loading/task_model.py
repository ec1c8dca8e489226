"""A loaded package: a model with its task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from inferox.batching import MAX_TOKENS
from inferox.core import Closing, Model, ModelMetadata, RequestError, Signature, Tensor, positive_integer
from inferox.loading.embed_call import EmbedCall, VectorOutput
from inferox.loading.progress import watch
from inferox.tasks import (
    ClassifyTask,
    EmbedTask,
    ImageClassifyTask,
    ImageFile,
    LabelScore,
    RankedDocument,
    RerankTask,
    Task,
    TokenClassifyTask,
)
from inferox.tasks.given_items import as_list
from inferox.tasks.ranking import pair_documents, rank_documents
from inferox.tasks.text_result import with_truncation
from inferox.tasks.truncation import find_truncated

TaskType = TypeVar("TaskType", bound=Task)


class TaskModel(Closing):
    """A loaded package: its model, and the task that gives the model's numbers their meaning.

    It has a method for each task; calling that of another task is a ``RequestError``. Batches are formed of rows of
    similar length, so callers need not sort or split their inputs. It is a context manager that closes itself.

    Args:
        model: The loaded model; it is closed with this object.
        task: The task.
        rejected: The reason for each artifact that was considered first and not taken.
        embedding_space: The id of the embedding space of its answers.
        parity_class: Its parity class from pack time.
    """

    def __init__(
        self,
        model: Model,
        task: Task,
        *,
        rejected: Mapping[str, str],
        embedding_space: str | None = None,
        parity_class: str | None = None,
    ) -> None:
        self._metadata = replace(
            model.metadata, rejected=dict(rejected), embedding_space=embedding_space, parity_class=parity_class
        )
        self._model = model
        self._task = task

    def __repr__(self) -> str:
        """Returns what is loaded: the package, its task, and the artifact on its device."""
        chosen = self._metadata
        return f"<{type(self).__name__} {self.name!r} ({self._task.name}): {chosen.artifact} on {chosen.device}>"

    @property
    def name(self) -> str:
        """The name of the package."""
        return self._model.name

    @property
    def metadata(self) -> ModelMetadata:
        """The model's metadata, with how it was chosen."""
        return self._metadata

    @property
    def signature(self) -> Signature:
        """The named tensors that ``forward`` takes and returns."""
        return self._model.signature

    @property
    def model(self) -> Model:
        """The loaded artifact."""
        return self._model

    @property
    def task(self) -> Task:
        """The task, which gives the numbers their meaning."""
        return self._task

    def __call__(self, *inputs: Any, **named: Any) -> dict[str, Tensor]:
        """Computes padded tensors with the calling convention of a PyTorch module; see ``Model.__call__``."""
        return self._model(*inputs, **named)

    def forward(self, inputs: Mapping[str, Any] | Any) -> dict[str, Tensor]:
        """Computes padded tensors; see ``Model.forward``."""
        return self._model.forward(inputs)

    def close(self) -> None:
        """Frees the model's resources. Closing twice does nothing."""
        self._model.close()

    def embed(
        self,
        texts: str | Iterable[str],
        *,
        prompt: str | None = None,
        truncate: str = "warn",
        truncate_dim: int | None = None,
        normalize: bool = False,
        dtype: Any = "float32",
        output: VectorOutput = "numpy",
        batch_tokens: int = MAX_TOKENS,
        show_progress: bool = False,
        return_truncated: bool = False,
    ) -> Any:
        """Embeds texts as vectors.

        Args:
            texts: The texts, or a single one.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            truncate: The treatment of texts that are longer than the model takes: ``error`` refuses them, ``warn`` cuts
                them with a ``TruncationWarning``, ``cut`` cuts them silently.
            truncate_dim: The number of leading components of each vector to keep; ``None`` for all.
            normalize: Whether to scale vectors to unit length, even if the model does not.
            dtype: ``float32``, ``float16``, ``int8``, ``binary`` or ``ubinary``, or NumPy's data type of such a name;
                see ``VectorForm``.
            output: ``numpy`` for an array, or ``torch`` for a PyTorch tensor.
            batch_tokens: The most tokens of a batch.
            show_progress: Whether to show progress on standard error.
            return_truncated: Whether the result also tells which texts were cut.

        Returns:
            The vectors; shape ``[n, dimension]``, or ``[dimension]`` for a single text. The dimension is the model's
            or ``truncate_dim``, and an eighth of it for ``binary`` and ``ubinary``. With ``return_truncated``, a pair
            of the vectors and whether each text was cut: shape ``[n]``, bool, or a single bool.

        Raises:
            RequestError: If the model has another task, there is no such prompt, or a text cannot be computed.
            ConfigError: If an option is not one of those.
            BackendUnavailableError: If ``output`` is ``torch``, and PyTorch is not installed.
        """
        return EmbedCall(
            self._model,
            self._task_of(EmbedTask),
            prompt=prompt,
            truncate=truncate,
            truncate_dim=truncate_dim,
            normalize=normalize,
            dtype=dtype,
            output=output,
            batch_tokens=batch_tokens,
            return_truncated=return_truncated,
        ).embed(texts, show_progress=show_progress)

    def embed_iter(
        self,
        texts: Iterable[str],
        *,
        window: int = 1024,
        prompt: str | None = None,
        truncate: str = "warn",
        truncate_dim: int | None = None,
        normalize: bool = False,
        dtype: Any = "float32",
        output: VectorOutput = "numpy",
        batch_tokens: int = MAX_TOKENS,
        show_progress: bool = False,
        return_truncated: bool = False,
    ) -> Iterator[Any]:
        """Embeds any number of texts lazily, holding only a few at a time.

        Args:
            texts: The texts, which are read as needed.
            window: The number of texts embedded at a time.
            prompt: See ``embed``, as for the following arguments.
            truncate: With ``warn``, a single ``TruncationWarning`` at the end of the stream counts all texts that were
                cut; where the caller stops reading before, it counts those computed until then.
            truncate_dim: See ``embed``.
            normalize: See ``embed``.
            dtype: See ``embed``.
            output: See ``embed``.
            batch_tokens: See ``embed``.
            show_progress: See ``embed``.
            return_truncated: See ``embed``.

        Yields:
            The vector of each text, in order; with ``return_truncated``, a pair of it and whether the text was cut.

        Raises:
            RequestError: As for ``embed``; the text's index counts from the first of the stream.
            ConfigError: As for ``embed``, or if ``window`` is not a positive integer. Options are checked by the call,
                texts when they are read.
        """
        return EmbedCall(
            self._model,
            self._task_of(EmbedTask),
            prompt=prompt,
            truncate=truncate,
            truncate_dim=truncate_dim,
            normalize=normalize,
            dtype=dtype,
            output=output,
            batch_tokens=batch_tokens,
            return_truncated=return_truncated,
        ).stream(texts, window=window, show_progress=show_progress)

    def classify(
        self,
        texts: str | Iterable[str | tuple[str, str]],
        *,
        truncate: str = "warn",
        batch_tokens: int = MAX_TOKENS,
        show_progress: bool = False,
    ) -> Any:
        """Labels texts, or pairs of texts.

        Args:
            texts: The texts or pairs, or a single text.
            truncate: See ``embed``.
            batch_tokens: The most tokens of a batch.
            show_progress: Whether to show progress on standard error.

        Returns:
            For each text, or a single one, a ``TextResult``: every label with its ``LabelScore``, the best first.

        Raises:
            RequestError: If the model has another task, or a text cannot be computed.
        """
        return self._label(self._task_of(ClassifyTask), texts, truncate, batch_tokens, show_progress)

    def token_classify(
        self,
        texts: str | Iterable[str],
        *,
        truncate: str = "warn",
        batch_tokens: int = MAX_TOKENS,
        show_progress: bool = False,
    ) -> Any:
        """Labels spans of texts.

        Args:
            texts: The texts, or a single one.
            truncate: See ``embed``.
            batch_tokens: The most tokens of a batch.
            show_progress: Whether to show progress on standard error.

        Returns:
            For each text a ``TextResult``: its labelled spans, each a ``Span`` with character offsets, and whether the
            text was cut; for a single text, its own result.

        Raises:
            RequestError: If the model has another task, or a text cannot be computed.
        """
        return self._label(self._task_of(TokenClassifyTask), texts, truncate, batch_tokens, show_progress)

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top_k: int | None = None,
        truncate: str = "warn",
        batch_tokens: int = MAX_TOKENS,
        show_progress: bool = False,
    ) -> list[RankedDocument]:
        """Orders documents by how well they answer a query.

        Args:
            query: The query.
            documents: The documents.
            top_k: The number of documents to return; ``None`` for all.
            truncate: See ``embed``.
            batch_tokens: The most tokens of a batch.
            show_progress: Whether to show progress on standard error.

        Returns:
            The documents' indices in the list, their scores and whether they were cut, the best first.

        Raises:
            RequestError: If the model has another task, or a text cannot be computed.
        """
        task = self._task_of(RerankTask)
        pairs = pair_documents(query, documents, top_k=top_k)
        scores, truncated = self._answer(task, pairs, truncate, batch_tokens, show_progress)
        return rank_documents(scores, top_k=top_k, truncated=truncated)

    def classify_images(self, images: Sequence[Any]) -> list[tuple[LabelScore, ...]]:
        """Labels images.

        Args:
            images: The bytes of files, Pillow images, arrays of shape ``[height, width, 3]``, uint8, or regular files
                given as ``pathlib.Path``. Strings are refused, so that a text from a network cannot open a file.

        Returns:
            For each image, every label with its score, the best first.

        Raises:
            RequestError: If the model has another task, or an image cannot be read.
        """
        task = self._task_of(ImageClassifyTask)
        items = as_list(images)
        if isinstance(items, list | tuple):
            items = [ImageFile.at(image) if isinstance(image, Path) else image for image in items]
        return task.run(self._model, items)

    def run(self, items: Sequence[Any], *, truncate: str = "warn") -> Any:
        """Runs the task on items of whichever kind it takes.

        Args:
            items: Texts, pairs, images, or named tensors.
            truncate: See ``embed``.

        Returns:
            One result per item, in their order: a list, or for ``embed`` an array of vectors.

        Raises:
            RequestError: If an item cannot be computed; the message names it.
        """
        return self._task.run(self._model, items, truncate=truncate)

    def _label(self, task: Task, texts: Any, truncate: str, batch_tokens: int, show_progress: bool) -> Any:
        """Computes the ``TextResult`` of each text, or of a single one."""
        items = [texts] if isinstance(texts, str) else texts
        results = with_truncation(*self._answer(task, items, truncate, batch_tokens, show_progress))
        return results[0] if isinstance(texts, str) else results

    def _answer(
        self, task: Task, items: Iterable[Any], truncate: str, batch_tokens: int, show_progress: bool
    ) -> tuple[Any, npt.NDArray[np.bool_]]:
        """Computes the result of each item, and whether its text was cut."""
        max_tokens = positive_integer("batch_tokens", batch_tokens)
        read, batch = task.read(items, truncate)
        answers = task.compute_batches(self._model, read, batch, max_tokens=max_tokens)
        results = task.collect(len(read), watch(answers, len(read), "texts") if show_progress else answers)
        return results, find_truncated(batch)

    def _task_of(self, kind: type[TaskType]) -> TaskType:
        if not isinstance(self._task, kind):
            raise RequestError(
                f"{self.name!r} is packed for the task {self._task.name}, but {kind.name} was requested",
                hint=f"its own items go to run(); load it with task={kind.name!r} if its outputs mean that",
            )
        return self._task
