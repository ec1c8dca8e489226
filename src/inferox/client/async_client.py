"""A client of ``inferox serve`` for coroutines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from inferox.client import tasks
from inferox.client.answers import InferAnswer, ModelMetadata, ModelState
from inferox.client.config import check_model_name, read_options
from inferox.client.deadline import read_deadline
from inferox.client.directory import Directory
from inferox.client.inference import Inference
from inferox.client.rows import image_rows, pair_rows, text_rows
from inferox.client.spaces import EmbeddingSpaces
from inferox.client.task_calls import TaskCalls
from inferox.client.transport import Transport
from inferox.client.truncation import require_truncated
from inferox.core.seconds import positive_seconds
from inferox.tasks.given_items import as_list
from inferox.tasks.labels import LabelScore
from inferox.tasks.ranking import RankedDocument, pair_documents, rank_documents
from inferox.tasks.text_result import with_truncation
from inferox.tasks.truncation import check_truncation
from inferox.tasks.vector_forms import VectorForm

_READY_PATH = "/v2/health/ready"


class AsyncClient:
    """An asynchronous client of ``inferox serve``, with the calls of a loaded package.

    Inputs of any size are split into requests. A request that is temporarily refused, or whose connection breaks, is
    retried as long as its time allows. To be used from one event loop.

    Args:
        url: The address of the server, such as ``http://127.0.0.1:8000``.
        options: The fields of ``ClientConfig``.

    Raises:
        ConfigError: If the address or an option is invalid, or httpx2 is not installed.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._config = read_options(options)
        self._transport = Transport(url, self._config)
        self._directory = Directory(self._transport, self._config.model)
        self._spaces = EmbeddingSpaces(self._config.embedding_spaces)
        self._inference = Inference(self._transport, self._config)
        self._calls = TaskCalls(self._directory, self._inference, self._spaces)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. Closing twice does nothing."""
        await self._transport.close()

    async def embed(
        self,
        texts: str | Iterable[str],
        *,
        model: str | None = None,
        prompt: str | None = None,
        truncate: str = "warn",
        truncate_dim: int | None = None,
        normalize: bool = False,
        dtype: Any = "float32",
        deadline_s: float | None = None,
        return_truncated: bool = False,
    ) -> Any:
        """Embeds texts.

        Args:
            texts: The texts, or a single one.
            model: The model; ``None`` for the client's default, or else the only model of the server with the task.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            truncate: The handling of texts that are too long for the model; see ``TaskModel.embed``.
            truncate_dim: The number of leading components of each vector to keep; ``None`` for all.
            normalize: Whether to scale vectors to length 1, even if the model does not do so itself.
            dtype: ``float32``, ``float16``, ``int8``, ``binary`` or ``ubinary``, or NumPy's data type of such a name;
                see ``VectorForm``.
            deadline_s: The time after which the whole call is given up, in seconds; ``None`` for only the time limit of
                each request.
            return_truncated: Whether to also return which texts were cut.

        Returns:
            The vectors; shape ``[n, dimension]``, or ``[dimension]`` for a single text. With ``return_truncated`` also
            whether each text was cut: shape ``[n]``, bool, or a single bool.

        Raises:
            EmbeddingSpaceError: If the server's vectors lie in another space than those before.
            InferoxError: If the server reports an error or cannot be reached.
        """
        form, outer = VectorForm(truncate_dim, normalize, dtype), read_deadline(deadline_s)
        check_truncation(truncate)
        rows = text_rows([texts] if isinstance(texts, str) else texts)
        name = await self._directory.choose(model, tasks.EMBED.name, outer)
        await self._directory.check_form(name, form, outer)
        answers = await self._calls.compute(tasks.EMBED, name, rows, truncate=truncate, outer=outer, prompt=prompt)
        if answers:
            vectors = tasks.join_vectors([answer.outputs for answer in answers])
        else:
            vectors = np.empty((0, await self._directory.find_dimension(name, outer)), np.float32)
        formed, is_single = form.apply(vectors), isinstance(texts, str)
        found = formed[0] if is_single else formed
        if not return_truncated:
            return found
        cut = require_truncated(answers, tasks.VECTORS)
        return found, bool(cut[0]) if is_single else cut

    async def classify(
        self,
        texts: str | Iterable[str | tuple[str, str]],
        *,
        model: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
    ) -> Any:
        """Classifies texts, or pairs of texts; all items must be of the same kind.

        Args:
            texts: The texts or pairs, or a single text.
            model: See ``embed``.
            truncate: See ``embed``.
            deadline_s: See ``embed``.

        Returns:
            For each text a ``TextResult`` of ``LabelScore``, the best first; for a single text, its own.

        Raises:
            InferoxError: See ``embed``.
        """
        given: Sequence[Any] = [texts] if isinstance(texts, str) else as_list(texts)
        are_pairs = len(given) > 0 and not isinstance(given[0], str)
        task, rows = (tasks.CLASSIFY_PAIRS, pair_rows(given)) if are_pairs else (tasks.CLASSIFY, text_rows(given))
        labels = with_truncation(*await self._calls.answer(task, model, rows, truncate, deadline_s))
        return labels[0] if isinstance(texts, str) else labels

    async def token_classify(
        self,
        texts: str | Iterable[str],
        *,
        model: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
    ) -> Any:
        """Labels spans of texts.

        Args:
            texts: The texts, or a single one.
            model: See ``embed``.
            truncate: See ``embed``.
            deadline_s: See ``embed``.

        Returns:
            For each text a ``TextResult`` of ``Span``; for a single text, its own.

        Raises:
            InferoxError: See ``embed``.
        """
        rows = text_rows([texts] if isinstance(texts, str) else texts)
        spans = with_truncation(*await self._calls.answer(tasks.CLASSIFY_TOKENS, model, rows, truncate, deadline_s))
        return spans[0] if isinstance(texts, str) else spans

    async def score(
        self,
        pairs: Iterable[tuple[str, str]],
        *,
        model: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
    ) -> npt.NDArray[np.float32]:
        """Scores how well the second text of each pair answers the first, with a rerank model.

        Args:
            pairs: The pairs: a query and a document.
            model: See ``embed``.
            truncate: See ``embed``.
            deadline_s: See ``embed``.

        Returns:
            The scores; shape ``[n]``, float32. Higher is better.

        Raises:
            InferoxError: See ``embed``.
        """
        scores, _ = await self._calls.answer(tasks.RERANK, model, pair_rows(pairs), truncate, deadline_s)
        return np.array(scores, np.float32)

    async def rerank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        model: str | None = None,
        top_k: int | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
    ) -> list[RankedDocument]:
        """Ranks documents by relevance to a query.

        Args:
            query: The query.
            documents: The documents.
            model: See ``embed``.
            top_k: The number of documents to return; ``None`` for all.
            truncate: See ``embed``.
            deadline_s: See ``embed``.

        Returns:
            The documents' indices in the list, their scores and whether they were cut, the best first.

        Raises:
            InferoxError: See ``embed``.
        """
        rows = pair_rows(pair_documents(query, documents, top_k=top_k))
        scores, cut = await self._calls.answer(tasks.RERANK, model, rows, truncate, deadline_s)
        return rank_documents(scores, top_k=top_k, truncated=cut)

    async def classify_images(
        self, images: Sequence[bytes | Path], *, model: str | None = None, deadline_s: float | None = None
    ) -> list[tuple[LabelScore, ...]]:
        """Classifies images.

        Args:
            images: The encoded images as bytes, or paths of regular files.
            model: See ``embed``.
            deadline_s: See ``embed``.

        Returns:
            For each image, every label with its score, the best first.

        Raises:
            InferoxError: See ``embed``.
        """
        labels, _ = await self._calls.answer(tasks.CLASSIFY_IMAGES, model, image_rows(images), "error", deadline_s)
        return labels

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        outputs: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        version: str | None = None,
        deadline_s: float | None = None,
    ) -> InferAnswer:
        """Computes named tensors with any model, in one request.

        Args:
            model: The model.
            inputs: The tensors, by name: numbers of any dtype that the protocol has, or texts or bytes. For tasks other
                than ``raw``, ``describe`` lists the names. ``bfloat16`` of ml_dtypes is sent as BF16.
            outputs: The names of the requested outputs; empty for all.
            parameters: Parameters of the request, such as ``priority``, ``prompt_name``, ``truncate`` and ``artifact``.
            version: The version, or a label; ``None`` for the version loaded last.
            deadline_s: The time after which the call is given up, in seconds; ``None`` for the client's ``timeout_s``.

        Returns:
            The outputs, and how they were computed. Arrays are read-only, except those of BYTES. With the parameter
            ``output_datatype`` of ``BF16``, FP32 outputs are sent in half the bytes: as float32, rounded to BF16.

        Raises:
            InferoxError: If the server reports an error or cannot be reached.
        """
        outer = read_deadline(deadline_s)
        check_model_name(model)
        return await self._inference.infer(
            model,
            inputs,
            outputs=outputs,
            parameters={} if parameters is None else parameters,
            version=version,
            outer=outer,
        )

    async def models(self) -> list[ModelState]:
        """Lists the models of the server, sorted by name.

        Raises:
            InferoxError: If the server reports an error or cannot be reached.
        """
        return await self._directory.list()

    async def describe(self, model: str) -> ModelMetadata:
        """Returns the metadata of a model: its task, and its input and output tensors.

        Args:
            model: The model.

        Raises:
            ModelNotFoundError: If the server has none of that name.
            InferoxError: If the server reports an error or cannot be reached.
        """
        check_model_name(model)
        return await self._directory.describe(model)

    async def prompts(self, model: str | None = None) -> Mapping[str, str] | None:
        """Returns the prompts of a model for ``embed``, by name; ``None`` if the server does not report them.

        Args:
            model: See ``embed``.

        Raises:
            InferoxError: See ``embed``.
        """
        name = await self._directory.choose(model, tasks.EMBED.name, None)
        return (await self._directory.describe(name)).prompts

    def embedding_space(self, model: str) -> str | None:
        """Returns the id of a model's embedding space; ``None`` if no answer has stated one so far.

        Args:
            model: The model.

        Raises:
            RequestError: If ``model`` is not a valid name.
        """
        check_model_name(model)
        return self._spaces.get(model)

    async def is_live(self) -> bool:
        """Returns True if the server answers at all; does not retry."""
        return await self._transport.says_yes("/v2/health/live")

    async def is_ready(self) -> bool:
        """Returns True if the server can compute every model now; does not retry."""
        return await self._transport.says_yes(_READY_PATH)

    async def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Waits until the server can compute every model.

        Args:
            timeout_s: The longest wait, in seconds.

        Raises:
            DeadlineExceededError: If the server is still not ready then.
            ConfigError: If ``timeout_s`` is not a positive number.
        """
        await self._transport.wait_for_yes(_READY_PATH, positive_seconds("timeout_s", timeout_s))
