"""Tokenisation of texts, exactly as the model's own files state it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer, normalizers

from inferox.core import (
    MASK,
    SEQUENCE,
    Batch,
    ConfigError,
    ManifestError,
    RequestError,
    Signature,
    TensorSpec,
    counted,
    to_cu_seqlens,
)
from inferox.tasks.cut_rule import read_cut_rule
from inferox.tasks.options import optional, optional_count
from inferox.tasks.text_cuts import CutEncoding, encode_cut, may_be_cut, shift_offsets
from inferox.tasks.texts import Text, check_texts_or_pairs
from inferox.tasks.token_id_rows import make_token_id_rows
from inferox.tasks.token_inputs import choose_pad_values, is_token, shorter, shortest
from inferox.tasks.token_selection import select_tokens
from inferox.tasks.tokenizer_border import translate_tokenizer, translated_tokenizer
from inferox.tasks.tokenizer_file import TokenizerFile, open_tokenizer
from inferox.tasks.truncation import CUT_TOKENS, MORE_CUT

TOKENIZER_FILE = "tokenizer.json"
"""The path of the tokenizer in a package, relative to its root."""

OFFSETS = "offsets"
"""The ragged array of a batch with each token's character offsets: [tokens, 2], int64, start and end."""

SPECIAL_TOKENS = "special_tokens_mask"
"""The ragged array of a batch that marks the tokens added by the tokenizer, such as ``[CLS]``: [tokens], bool."""

_MEND = "the vocabulary may lack its unknown token, or the file may be damaged; fix it and pack the model again"

_FEW_CHARACTERS = 256
"""The most characters in total up to which texts are tokenised one by one: waking other threads takes longer."""

_MOST_AT_ONCE = 128
"""The most texts that are tokenised at once. The library's encoding of a text takes about ten times the memory of the
text's row, and the allocator keeps that memory for the thread that had it."""

T = TypeVar("T", bound=Text)

_GIVEN = ("input_ids", "attention_mask", "token_type_ids")


class TextTokenizer:
    """A model's tokenizer.

    Padding and truncation in ``tokenizer.json`` are ignored: rows are padded when a batch is laid out, and the limit
    comes from the model's own files. Longer texts are cut as in transformers: in a pair, the longer text first, and
    special tokens are kept.

    Args:
        tokenizer: The tokenizer. It is modified and must not be used by others.
        inputs: The inputs of the model.
        max_length: The most tokens of a row, including special tokens; ``None`` for no limit.
        truncation_side: The side on which a longer text is cut: ``right`` or ``left``.
        pad_id: The token that pads rows; ``None`` for the one in ``tokenizer.json``, or 0.
        token_types: Whether the tokenizer tells the texts of a pair apart. If not, every type is 0, as in transformers
            for a model whose tokenizer gives no types.
        model_limit: The most tokens that the model itself can take; ``None`` if that is not known.

    Raises:
        ManifestError: If the model needs an input that no tokenizer gives, or its limit leaves no room for a text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        inputs: Sequence[TensorSpec],
        *,
        max_length: int | None,
        truncation_side: str = "right",
        pad_id: int | None = None,
        token_types: bool = True,
        model_limit: int | None = None,
    ) -> None:
        unknown = [spec.name for spec in inputs if spec.name not in _GIVEN]
        if unknown or not inputs:
            raise ManifestError(
                f"a text becomes {', '.join(_GIVEN)}, but the model takes {[spec.name for spec in inputs]}",
                hint="use the task raw, which passes tensors on as they are",
            )
        self._pad_values = choose_pad_values(tokenizer, inputs, pad_id)
        self._inputs = tuple(inputs)
        self._tokenizer = tokenizer
        self._max_length = shortest(max_length, inputs)
        self._model_limit = shortest(model_limit, inputs)
        self._token_types = token_types
        self._truncation_side = truncation_side
        self._file: TokenizerFile | None = None
        self._cut_rule = read_cut_rule(tokenizer, truncation_side)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if self._max_length is not None:
            special = tokenizer.num_special_tokens_to_add(is_pair=False)
            if self._max_length <= special:
                raise ManifestError(
                    f"a limit of {counted(self._max_length, 'token')} leaves no room for a text beside "
                    f"{counted(special, 'special token')}"
                )

    @classmethod
    def open(cls, root: Path, options: Mapping[str, Any], signature: Signature) -> TextTokenizer:
        """Opens the tokenizer of a package.

        Args:
            root: The folder of the package.
            options: ``max_length``, ``truncation_side``, ``lowercase``, ``pad_token``, ``pad_token_id``,
                ``token_types`` and ``split_special_tokens``, as ``read_text_options`` returns them.
            signature: The model's inputs, and the limit on the length of rows.

        Raises:
            PackageError: If there is no tokenizer, or it cannot be read.
            ManifestError: If an option is of the wrong type or value.
        """
        tokenizer, file = open_tokenizer(root / TOKENIZER_FILE)
        tokenizer.encode_special_tokens = optional(options, "split_special_tokens", bool) is True
        if optional(options, "lowercase", bool) and not _lowercases(tokenizer.normalizer):
            before = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
            tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
        pad_token = optional(options, "pad_token", str)
        pad_id = None if pad_token is None else tokenizer.token_to_id(pad_token)
        # Classes that find the last token of a row by its padding use the model's own id, whatever the tokenizer
        # calls it.
        model_pad_id = optional_count(options, "pad_token_id")
        if model_pad_id is not None and is_token(model_pad_id, signature):
            pad_id = model_pad_id
        side = optional(options, "truncation_side", str) or "right"
        if side not in {"left", "right"}:
            raise ManifestError(f"'truncation_side' must be left or right, but is {side!r}")
        made = cls(
            tokenizer,
            signature.inputs,
            max_length=shorter(optional_count(options, "max_length", least=1), signature.limits.get(SEQUENCE)),
            truncation_side=side,
            pad_id=pad_id,
            token_types=optional(options, "token_types", bool) is not False,
            model_limit=signature.limits.get(SEQUENCE),
        )
        made._file = file
        return made

    def with_max_length(self, max_length: int) -> TextTokenizer:
        """Returns the same tokenizer with another limit.

        Args:
            max_length: The most tokens of a row, including special tokens.

        Raises:
            ConfigError: If that leaves no room for a text, or the model cannot take that many.
        """
        special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        most = self._model_limit
        if type(max_length) is not int or max_length <= special or (most is not None and max_length > most):
            upper = "" if most is None else f" to {most}, as many as the model takes"
            raise ConfigError(
                f"the limit of tokens must be a whole number from {special + 1}{upper}, not {max_length!r}"
            )
        other = copy(self)
        other._max_length = max_length  # noqa: SLF001 - a copy of this one
        return other

    @property
    def library(self) -> Tokenizer:
        """The library's own object, without padding and truncation."""
        return self._tokenizer

    @property
    def pad_values(self) -> Mapping[str, int]:
        """The number that pads each input; empty for a model without a mask, which never gets padding."""
        return self._pad_values

    @property
    def max_length(self) -> int | None:
        """The most tokens of a row, including special tokens; ``None`` if there is no limit."""
        return self._max_length

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The texts that are one token each wherever they occur, such as ``[MASK]``, and that have an embedding.

        Those with which the model marks the parts of a row come first.
        """
        upper_bound = next((spec.upper_bound for spec in self._inputs if spec.name == "input_ids"), None)
        added = sorted(self._tokenizer.get_added_tokens_decoder().items())
        known = [(token.special, token.content) for index, token in added if upper_bound is None or index < upper_bound]
        return tuple(content for _, content in sorted(known, key=lambda item: not item[0]))

    def encode(
        self,
        texts: Sequence[Text],
        *,
        check: Callable[[Sequence[Any]], None] = check_texts_or_pairs,
        prompt: str = "",
        offsets: bool = False,
    ) -> Batch:
        """Encodes each text or pair as a row.

        Args:
            texts: The texts. An empty one is allowed if the tokenizer adds special tokens, which then make up its row.
            check: Refuses items that are not of the kind that the task takes.
            prompt: The prompt put before each text, or before the first text of each pair.
            offsets: Whether the batch also carries ``offsets`` and ``special_tokens_mask``.

        Returns:
            One row per text, with the inputs of the model except its mask; and for each row ``cut_tokens``, the number
            of tokens that it lost, and ``more_cut``, whether it lost more than those because a long text was not
            tokenised completely.

        Raises:
            RequestError: If an item is of another kind, is longer than ``MAX_TEXT_CHARACTERS`` with its prompt, holds a
                lone surrogate, or has no tokens.
            PackageError: If the tokenizer fails.
        """
        check(texts)
        given: list[Text] = [text if isinstance(text, str) else (text[0], text[1]) for text in texts]
        if prompt:
            given = [prompt + text if isinstance(text, str) else (prompt + text[0], text[1]) for text in given]
            check(given)
        if len(given) <= _MOST_AT_ONCE:
            return self._encode_some(given, 0, offsets=offsets)
        starts = range(0, len(given), _MOST_AT_ONCE)
        return Batch.concatenate(
            [self._encode_some(given[start : start + _MOST_AT_ONCE], start, offsets=offsets) for start in starts]
        )

    def _encode_some(self, given: Sequence[Text], start: int, *, offsets: bool) -> Batch:
        characters = sum(len(text) if isinstance(text, str) else len(text[0]) + len(text[1]) for text in given)
        try:
            is_few = characters <= _FEW_CHARACTERS and not offsets
            encodings = self._encode_few(given) if is_few else self._encode_many(given, offsets=offsets)
        except BaseException as error:  # noqa: BLE001 - always raises
            translate_tokenizer(error, "tokenizing the texts with the package's tokenizer.json", hint=_MEND)
        return self._to_batch(encodings, start, offsets=offsets)

    def encode_token_ids(self, rows: Sequence[Sequence[int]]) -> Batch:
        """Makes rows of token ids; see ``make_token_id_rows``."""
        return make_token_id_rows(
            self._tokenizer,
            self._inputs,
            rows,
            max_length=self._max_length,
            side=self._truncation_side,
            pad_values=self._pad_values,
        )

    def cutting(self, side: str) -> TextTokenizer:
        """Returns the same tokenizer with another side on which longer texts are cut.

        Args:
            side: ``right`` or ``left``.
        """
        other = copy(self)
        other._truncation_side = side  # noqa: SLF001 - a copy of this one, as below
        other._cut_rule = read_cut_rule(self._tokenizer, side)  # noqa: SLF001
        return other

    def readable(self, batches: Sequence[Sequence[T]]) -> list[list[T]]:
        """Keeps the texts or pairs that have tokens: the empty text has none unless the tokenizer adds some."""
        kept = []
        for batch in batches:
            given = [text if isinstance(text, str) else tuple(text) for text in batch]
            with translated_tokenizer("tokenizing the samples with the package's tokenizer.json", hint=_MEND):
                encodings = self._tokenizer.encode_batch(given)
            kept.append([text for text, encoding in zip(batch, encodings, strict=True) if len(encoding)])
        return [batch for batch in kept if batch]

    def count_prompt(self, prompt: str) -> int:
        """Counts the tokens that a prompt takes up at the front of a row, including special tokens before it.

        Like sentence-transformers, cuts it as a text, and does not count a special token at its end.
        """
        with translated_tokenizer("tokenizing the prompt with the package's tokenizer.json", hint=_MEND):
            encoding = self._tokenizer.encode(prompt)
        kept = self._select(CutEncoding(encoding), self._max_length or len(encoding))
        ids = [token for token, is_kept in zip(encoding.ids, kept, strict=True) if is_kept]
        added = self._tokenizer.get_added_tokens_decoder()
        return len(ids) - int(bool(ids) and ids[-1] in added and added[ids[-1]].special)

    def _encode_many(self, texts: Sequence[Text], *, offsets: bool) -> Sequence[CutEncoding]:
        with_words = self._tokenizer.encode_batch
        encode = with_words if offsets else self._tokenizer.encode_batch_fast  # which computes no offsets
        if self._max_length is not None and self._cut_rule is not None and may_be_cut(texts):
            return encode_cut(encode, with_words, texts, self._max_length, self._cut_rule)
        return [CutEncoding(encoding) for encoding in encode(texts)]

    def _encode_few(self, texts: Sequence[Text]) -> Sequence[CutEncoding]:
        encode = self._tokenizer.encode
        return [CutEncoding(encode(text) if isinstance(text, str) else encode(*text)) for text in texts]

    def _to_batch(self, items: Sequence[CutEncoding], start: int, *, offsets: bool) -> Batch:
        encodings = [item.encoding for item in items]
        counts = [len(encoding) for encoding in encodings]
        if 0 in counts:
            index = start + counts.index(0)
            raise RequestError(
                f"text {index} has no tokens, but the model needs at least one",
                hint="its tokenizer adds none of its own: leave the text out",
            ).naming_item(index, "text {}")
        lengths = np.array(counts, dtype=np.int64)
        ragged = {spec.name: self._column(spec, encodings, sum(counts)) for spec in self._inputs if spec.name != MASK}
        if offsets:
            ragged[OFFSETS] = _join(encodings, lambda item: chain.from_iterable(item.offsets), np.int64).reshape(-1, 2)
            ragged[SPECIAL_TOKENS] = _join(encodings, lambda item: item.special_tokens_mask, np.bool_)
            shift_offsets(ragged[OFFSETS], items, lengths)
        whole = lengths - np.array([item.surplus for item in items], dtype=np.int64)
        if self._max_length is not None and max(counts, default=0) > self._max_length:
            kept = [self._select(item, self._max_length) for item in items]
            lengths = np.array([int(each.sum()) for each in kept], dtype=np.int64)
            ragged = {name: array[np.concatenate(kept)] for name, array in ragged.items()}
        more = np.array([not item.is_whole for item in items], dtype=np.bool_)
        cut = {CUT_TOKENS: whole - lengths, MORE_CUT: more}
        return Batch(ragged, cut, to_cu_seqlens(lengths), self._pad_values)

    def _column(self, spec: TensorSpec, encodings: Sequence[Encoding], count: int) -> npt.NDArray[Any]:
        dtype = spec.dtype.numpy_dtype
        if spec.name == "input_ids":
            return _join(encodings, lambda item: item.ids, dtype)
        return _join(encodings, lambda item: item.type_ids, dtype) if self._token_types else np.zeros(count, dtype)

    def _select(self, item: CutEncoding, most: int) -> npt.NDArray[np.bool_]:
        """Returns the mask of the tokens of a text that stay; shape ``[tokens]``, bool."""
        if len(item.encoding) <= most:
            return np.ones(len(item.encoding), dtype=np.bool_)
        return select_tokens(item.encoding.sequence_ids, most, self._truncation_side)


def _join(
    encodings: Sequence[Encoding], read: Callable[[Encoding], Iterable[int]], dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Concatenates the numbers of all tokens."""
    return np.fromiter(chain.from_iterable(map(read, encodings)), dtype)


def _lowercases(normalizer: Any) -> bool:
    """Returns whether texts are lower-cased anyway. Like sentence-transformers, looks at the outermost steps only."""
    steps: Any = normalizer if isinstance(normalizer, normalizers.Sequence) else [normalizer]
    return any(isinstance(step, normalizers.Lowercase) for step in steps)
