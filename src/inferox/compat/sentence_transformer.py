"""A replacement for sentence-transformers' ``SentenceTransformer``, backed by a package."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.compat.model_precision import read_precision
from inferox.compat.similarity import SIMILARITIES, compare_all, compare_pairs, parse_similarity
from inferox.compat.tensors import to_floats, to_torch_if_installed
from inferox.compat.text_model import TextModel, choose_model
from inferox.compat.token_outputs import encode_tokens
from inferox.compat.vector_precision import quantise, read_vector_precision
from inferox.core import ConfigError, require_torch, to_torch
from inferox.loading.progress import watch
from inferox.tasks import EmbedTask, VectorForm
from inferox.tasks.given_items import as_list

_OUTPUTS = ("sentence_embedding", "token_embeddings", None)
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


class SentenceTransformer(TextModel[EmbedTask]):
    """Embeds texts, with the methods of sentence-transformers' class and the same numbers.

    Args:
        model_name_or_path: A package, a model's folder, or a name on the hub such as ``all-MiniLM-L6-v2``. A model is
            packed once, into the store, which needs PyTorch; the package is then loaded without it.
        device: The device to load it on, such as ``cuda:0``; ``None`` for the backend's default.
        prompts: Texts to put before others, by name; they extend or replace those of the model.
        default_prompt_name: The prompt to use if a call names none; ``None`` for the model's default.
        cache_folder: The folder of the hub's files; ``None`` for huggingface_hub's own cache.
        trust_remote_code: Whether code that comes with a package may run. A model with code of its own cannot be
            packed.
        revision: The branch, tag or commit on the hub.
        local_files_only: Whether to use only files that were downloaded before.
        token: The hub's token, or whether to send the stored one.
        model_kwargs: ``dtype``, and arguments without effect: ``attn_implementation`` (``eager`` or ``sdpa``),
            ``low_cpu_mem_usage`` and ``use_safetensors=True``.
        similarity_fn_name: ``cosine``, ``dot``, ``euclidean`` or ``manhattan``; ``None`` for the model's.
        truncate_dim: The number of leading components of each vector to keep; ``None`` for the model's own setting.
        backend: ``auto`` for the fastest one here, ``torch``, ``onnx`` or ``openvino``.
        precision: The precision in which the model computes.
        threads: The number of CPU threads; ``None`` for one per core.
        refused: Further options of sentence-transformers' class, which are not supported.

    Raises:
        UnsupportedError: If an option is not supported; the error names it.
        ConfigError: If an option is invalid.
        PackageError: If there is no such model, or it cannot be packed.
        RequestError: If it is for another task.
        BackendError: If it cannot be loaded here.
    """

    _TASKS: ClassVar[frozenset[str]] = frozenset({"embed"})
    _OTHER: ClassVar[str] = "for the scores of pairs use CrossEncoder; for other tasks inferox.load"

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
        similarity_fn_name: Any = None,
        truncate_dim: int | None = None,
        backend: str = "auto",
        precision: Any = "fp32",
        threads: int | None = None,
        **refused: Any,
    ) -> None:
        choice = choose_model(
            model_name_or_path,
            "sentence-transformers",
            EmbedTask.name,
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
        self.default_prompt_name = self.default_prompt_name or self._task.default_prompt
        self.truncate_dim = self._task.truncate_dim if truncate_dim is None else truncate_dim
        self._similarity_fn_name = parse_similarity(similarity_fn_name or self._task.similarity or SIMILARITIES[0])

    @property
    def similarity_fn_name(self) -> str:
        """The measure of ``similarity``: ``cosine``, ``dot``, ``euclidean`` or ``manhattan``. It can be set."""
        return self._similarity_fn_name

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: Any) -> None:
        self._similarity_fn_name = parse_similarity(value)

    def encode(  # noqa: PLR0917 - in the order of the class that this replaces
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: Any = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Mapping[str, Any] | None = None,
        chunk_size: int | None = None,
        *,
        sentences: Any = None,
        **further: Any,
    ) -> Any:
        """Embeds texts.

        Args:
            inputs: The texts, or a single one. Texts that are too long for the model are cut.
            prompt_name: The prompt in ``prompts`` to put before each text.
            prompt: The text to put before each text instead.
            batch_size: The most texts of the greatest length in a batch; batches are formed by tokens.
            show_progress_bar: Whether to show progress on standard error; ``None`` to show it if this module's logger
                is enabled for ``INFO``.
            output_value: ``sentence_embedding``; ``token_embeddings`` for the vectors of all tokens; ``None`` for
                everything computed of each text, by name.
            precision: ``float32``, ``int8``, ``uint8``, ``binary`` or ``ubinary``, or NumPy's data type of such a name.
            convert_to_numpy: Whether to return one array.
            convert_to_tensor: Whether to return one PyTorch tensor instead; with neither, a list of tensors.
            device: The model's own device, or a list that repeats it.
            normalize_embeddings: Whether to scale vectors to length 1.
            truncate_dim: The number of leading components of each vector to keep; ``None`` for the model's own setting.
            pool: The result of ``start_multi_process_pool``. It makes no difference: calls always use all threads.
            chunk_size: Has no effect.
            sentences: The older name of ``inputs``.
            further: ``task``, which has no effect.

        Returns:
            The vectors; shape ``[n, dimension]``, or ``[dimension]`` for a single text. For ``token_embeddings`` a list
            of tensors of shape ``[tokens, hidden]``, and for ``None`` a list of dicts of tensors (arrays if PyTorch is
            not installed), without padding.

        Raises:
            UnsupportedError: If an option is not supported; the error names it.
            ConfigError: If an option is invalid.
            RequestError: If a text cannot be computed.
            BackendUnavailableError: If tensors are requested, and PyTorch is not installed.
        """
        self._check_call(batch_size, device, pool, chunk_size, further)
        if output_value not in _OUTPUTS:
            raise ConfigError(f"output_value must be one of {', '.join(map(str, _OUTPUTS))}, but is {output_value!r}")
        texts, single = _read_texts(sentences if inputs is None else inputs)
        named, form = read_vector_precision(precision, len(texts)), VectorForm(normalize=normalize_embeddings)
        if convert_to_tensor or not convert_to_numpy:
            require_torch()
        task = self._task_for(prompt, prompt_name, truncate_dim)
        max_tokens, progress = self._max_tokens(batch_size), _shows_progress(show_progress_bar)
        if output_value != "sentence_embedding":
            if named != "float32" or convert_to_tensor:
                raise ConfigError(
                    "token vectors are float32, and in a list, as texts differ in their number of tokens",
                    hint="leave out precision and convert_to_tensor",
                )
            parts = encode_tokens(self._loaded.model, task, texts, max_tokens, only_tokens=output_value is not None)
            return parts[0] if single else parts
        vectors = self._embed(task, texts, max_tokens, progress)
        vectors = form.apply(vectors)
        formed = quantise(vectors, named) if len(texts) else np.array([])
        return _convert(formed, single, to_tensor=convert_to_tensor, to_numpy=convert_to_numpy)

    def encode_query(
        self, inputs: Any = None, prompt_name: str | None = None, prompt: str | None = None, *args: Any, **options: Any
    ) -> Any:
        """Embeds queries, with the prompt ``query`` unless another is given; see ``encode``."""
        if prompt is None and prompt_name is None and "query" in self.prompts:
            prompt_name = "query"
        return self.encode(inputs, prompt_name, prompt, *args, **options)

    def encode_document(
        self, inputs: Any = None, prompt_name: str | None = None, prompt: str | None = None, *args: Any, **options: Any
    ) -> Any:
        """Embeds documents, with the prompt ``document``, ``passage`` or ``corpus`` unless another is given.

        See ``encode``.
        """
        if prompt is None and prompt_name is None:
            prompt_name = next((name for name in _DOCUMENT_PROMPTS if name in self.prompts), None)
        return self.encode(inputs, prompt_name, prompt, *args, **options)

    def encode_multi_process(
        self,
        sentences: Any,
        pool: Mapping[str, Any],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        **options: Any,
    ) -> Any:
        """Embeds texts; see ``encode``.

        Args:
            sentences: The texts.
            pool: The result of ``start_multi_process_pool``.
            prompt_name: The prompt in ``prompts`` to put before each text.
            prompt: The text to put before each text instead.
            batch_size: The most texts of the greatest length in a batch.
            options: Other arguments of ``encode``.
        """
        return self.encode(sentences, prompt_name, prompt, batch_size, pool=pool, **options)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compares each vector of the first with each of the second, by ``similarity_fn_name``; higher is more similar.

        Args:
            embeddings1: Arrays or tensors; shape ``[n, dimension]`` or ``[dimension]``.
            embeddings2: Shape ``[m, dimension]`` or ``[dimension]``.

        Returns:
            A tensor of shape ``[n, m]``; an array if PyTorch is not installed.

        Raises:
            RequestError: If they are not floating-point numbers, or differ in dimension.
        """
        first, second = to_floats(embeddings1), to_floats(embeddings2)
        return to_torch_if_installed(compare_all(self._similarity_fn_name, first, second))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compares vectors pairwise, by ``similarity_fn_name``; higher is more similar.

        Args:
            embeddings1: Arrays or tensors; shape ``[n, dimension]`` or ``[dimension]``.
            embeddings2: The same shape.

        Returns:
            A tensor of shape ``[n]``; an array if PyTorch is not installed.

        Raises:
            RequestError: If they are not floating-point numbers, or differ in shape.
        """
        first, second = to_floats(embeddings1), to_floats(embeddings2)
        return to_torch_if_installed(compare_pairs(self._similarity_fn_name, first, second))

    def get_embedding_dimension(self) -> int:
        """Returns the dimension of the vectors."""
        return self._task.with_truncate_dim(self.truncate_dim).dimension

    def get_sentence_embedding_dimension(self) -> int:
        """Returns the dimension of the vectors; the older name of ``get_embedding_dimension``."""
        return self.get_embedding_dimension()

    @contextmanager
    def truncate_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Truncates vectors within a ``with`` block.

        Args:
            truncate_dim: The number of leading components of each vector to keep; ``None`` for all.
        """
        before, self.truncate_dim = self.truncate_dim, truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    truncate_sentence_embeddings = truncate_embeddings

    def _prompted(self, prompt: str | None) -> EmbedTask:
        return self._task.with_prompt_text(prompt or "")

    def _embed(self, task: EmbedTask, texts: list[Any], max_tokens: int, progress: bool) -> Any:
        read, batch = task.read(texts, "warn")
        answers = task.compute_batches(self._loaded.model, read, batch, max_tokens=max_tokens)
        return task.collect(len(read), watch(answers, len(read), "texts") if progress else answers)

    def _task_for(self, prompt: str | None, prompt_name: str | None, truncate_dim: int | None) -> EmbedTask:
        task = self._prompted(self._prompt_text(prompt, prompt_name))
        return task.with_truncate_dim(self.truncate_dim if truncate_dim is None else truncate_dim)


def _shows_progress(asked: bool | None) -> bool:
    return logging.getLogger(__name__).isEnabledFor(logging.INFO) if asked is None else asked


def _read_texts(inputs: Any) -> tuple[list[Any], bool]:
    """Returns the texts of a call, and whether it is a single one."""
    if isinstance(inputs, np.ndarray):
        inputs = inputs.tolist()
    if isinstance(inputs, str | bytes | bytearray | memoryview | Mapping) or not isinstance(inputs, Iterable):
        return [inputs], True
    return list(as_list(inputs)), False


def _convert(vectors: npt.NDArray[Any], single: bool, *, to_tensor: bool, to_numpy: bool) -> Any:
    if to_tensor:
        tensor = to_torch(vectors.astype(np.float32) if not len(vectors) else vectors)
        return tensor[0] if single else tensor
    if to_numpy:
        return vectors[0] if single else vectors
    tensors = list(to_torch(vectors)) if len(vectors) else []
    return tensors[0] if single else tensors
