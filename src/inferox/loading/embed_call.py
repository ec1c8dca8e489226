"""A call that embeds texts, at once or as a stream. Its options are checked before any text is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal, get_args

from inferox.core import (
    Batch,
    ConfigError,
    Model,
    counting_items_from,
    positive_integer,
    require_torch,
    to_torch,
)
from inferox.loading.progress import watch, watch_blocks
from inferox.tasks import EmbedTask, VectorForm
from inferox.tasks.given_items import iterate_items, refuse_single
from inferox.tasks.truncation import StreamTruncation, check_truncation, find_truncated, read_cut_tokens

VectorOutput = Literal["numpy", "torch"]
"""The kinds of arrays in which vectors are returned."""

_OUTPUTS: tuple[str, ...] = get_args(VectorOutput)


class EmbedCall:
    """A call of ``TaskModel.embed`` or ``embed_iter``, with its options.

    Args:
        model: The model.
        task: The model's task.
        prompt: The name of the prompt to put before each text; ``None`` for the model's default.
        truncate: ``error``, ``warn`` or ``cut``.
        truncate_dim: The number of leading components to keep; ``None`` for all.
        normalize: Whether to scale vectors to unit length.
        dtype: The data type of the vectors; see ``VectorForm``.
        output: ``numpy`` or ``torch``.
        batch_tokens: The most tokens of a batch.
        return_truncated: Whether the result also tells which texts were cut.

    Raises:
        RequestError: If there is no such prompt, or the vectors are shorter than ``truncate_dim``.
        ConfigError: If another option is invalid.
        BackendUnavailableError: If ``output`` is ``torch``, and PyTorch is not installed.
    """

    def __init__(
        self,
        model: Model,
        task: EmbedTask,
        *,
        prompt: str | None,
        truncate: str,
        truncate_dim: int | None,
        normalize: bool,
        dtype: Any,
        output: str,
        batch_tokens: int,
        return_truncated: bool,
    ) -> None:
        if not isinstance(output, str) or output not in _OUTPUTS:
            raise ConfigError(f"output must be {' or '.join(_OUTPUTS)}, but is {output!r}")
        if output == "torch":
            require_torch()
        form = _read_form(truncate_dim, normalize, dtype)
        if form is not None:
            form.check_dimension(task.dimension)
        self._model = model
        self._task = task if prompt is None else task.with_prompt(prompt)
        self._truncate = truncate
        self._form = form
        self._gives_tensors = output == "torch"
        self._max_tokens = positive_integer("batch_tokens", batch_tokens)
        self._tells_truncated = return_truncated

    def embed(self, texts: str | Iterable[str], *, show_progress: bool) -> Any:
        """Embeds all texts at once; see ``TaskModel.embed``.

        Args:
            texts: The texts, or a single one.
            show_progress: Whether to show progress on standard error.
        """
        is_single = isinstance(texts, str)
        items = [texts] if isinstance(texts, str) else texts
        vectors, batch = self._compute(items, self._truncate, show_progress=show_progress)
        found = vectors[0] if is_single else vectors
        if not self._tells_truncated:
            return found
        truncated = find_truncated(batch)
        return found, bool(truncated[0]) if is_single else truncated

    def stream(self, texts: Iterable[str], *, window: int, show_progress: bool) -> Iterator[Any]:
        """Embeds texts as they are read; see ``TaskModel.embed_iter``.

        Args:
            texts: The texts.
            window: The number of texts embedded at a time.
            show_progress: Whether to show progress on standard error.

        Raises:
            ConfigError: If ``window`` is not a positive integer, or ``truncate`` is something else.
            RequestError: If ``texts`` is a single text.
        """
        check_truncation(self._truncate)
        size = positive_integer("window", window)
        refuse_single(texts, "several texts")
        return self._stream(iterate_items(texts), size, show_progress=show_progress)

    def _stream(self, rest: Iterator[str], window: int, *, show_progress: bool) -> Iterator[Any]:
        with StreamTruncation(self._truncate) as cut:
            blocks = self._compute_windows(rest, window, cut)
            for block in watch_blocks(blocks, "text") if show_progress else blocks:
                yield from block

    def _compute_windows(self, rest: Iterator[str], window: int, cut: StreamTruncation) -> Iterator[Sequence[Any]]:
        done = 0
        while texts := list(islice(rest, window)):
            with counting_items_from(done):
                vectors, batch = self._compute(texts, "error" if self._truncate == "error" else "cut")
            cut.add(read_cut_tokens(batch))
            yield list(zip(vectors, find_truncated(batch), strict=True)) if self._tells_truncated else vectors
            done += len(texts)

    def _compute(self, items: Iterable[str], truncate: str, *, show_progress: bool = False) -> tuple[Any, Batch]:
        read, batch = self._task.read(items, truncate)
        answers = self._task.compute_batches(self._model, read, batch, max_tokens=self._max_tokens)
        shown = watch(answers, len(read), "texts") if show_progress else answers
        vectors = self._task.collect(len(read), shown)
        if self._form is not None:
            vectors = self._form.apply(vectors)
        return to_torch(vectors) if self._gives_tensors else vectors, batch


def _read_form(truncate_dim: int | None, normalize: bool, dtype: Any) -> VectorForm | None:
    """Returns the form of a caller's vectors; ``None`` for that in which they are computed."""
    is_own = truncate_dim is None and normalize is False and isinstance(dtype, str) and dtype == "float32"
    return None if is_own else VectorForm(truncate_dim, normalize, dtype)
