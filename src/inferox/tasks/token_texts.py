"""Splitting of texts into tokens and joining of tokens to texts, for inspecting a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Encoding, Tokenizer

from inferox.tasks.texts import check_texts
from inferox.tasks.token import Token
from inferox.tasks.token_id_rows import refuse_unknown_ids
from inferox.tasks.tokenizer_border import translated_tokenizer

_MEND = "the vocabulary may lack its unknown token, or the file may be damaged; fix it and pack the model again"


def divide_texts(
    tokenizer: Tokenizer, texts: Sequence[str], *, prompt: str, add_special_tokens: bool
) -> list[list[Token]]:
    """Splits texts into tokens, without truncation.

    Args:
        tokenizer: The tokenizer.
        texts: The texts.
        prompt: The prompt put before each text.
        add_special_tokens: Whether to include the tokens that the tokenizer adds.

    Returns:
        The tokens of each text, with offsets counted from the start of the prompt.

    Raises:
        RequestError: If an item is not a text that can be tokenised.
        PackageError: If the tokenizer fails.
    """
    check_texts(texts)
    whole = [prompt + text for text in texts]
    with translated_tokenizer("tokenizing the texts with the package's tokenizer.json", hint=_MEND):
        encodings = tokenizer.encode_batch(whole, add_special_tokens=add_special_tokens)
    return [_read(encoding, text) for encoding, text in zip(encodings, whole, strict=True)]


def join_tokens(tokenizer: Tokenizer, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> list[str]:
    """Decodes tokens to texts.

    Args:
        tokenizer: The tokenizer.
        ids: The tokens of each text.
        skip_special_tokens: Whether to leave out the tokens that the tokenizer adds.

    Raises:
        RequestError: If the vocabulary lacks a token.
        PackageError: If the tokenizer fails.
    """
    refuse_unknown_ids(tokenizer, ids)
    with translated_tokenizer("decoding the tokens with the package's tokenizer.json", hint=_MEND):
        return tokenizer.decode_batch([list(some) for some in ids], skip_special_tokens=skip_special_tokens)


def _read(encoding: Encoding, text: str) -> list[Token]:
    of_each = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
    return [
        Token(number, name, True, None, None) if special else Token(number, text[start:stop], False, start, stop)
        for number, name, special, (start, stop) in of_each
    ]
