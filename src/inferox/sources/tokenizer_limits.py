"""The limits of a ``tokenizer.json``: how far its steps may lengthen a text, and how long they may take."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from inferox.core import PackageError, counted, first_line, shown
from inferox.sources.tokenizer_names import TOKENIZER_FILE
from inferox.sources.tokenizer_patterns import check_pattern

MAX_FILE_BYTES = 256 * 2**20
"""The largest ``tokenizer.json`` that is read: several times the size of those with the largest vocabularies."""

MAX_STEPS = 32
"""The most steps of each kind: normalizers, pre-tokenizers, decoders, post-processors; known ones have up to 9."""

MAX_GROWTH = 16
"""The most that normalisation may lengthen a text, as a factor; known tokenizers reach 2."""

MAX_ADDED_CHARACTERS = 256
"""The most characters that a step prepends to or inserts into a text."""

MAX_TEMPLATE_TOKENS = 256
"""The most tokens that a template adds to a text or pair."""

MAX_WORD_CHARACTERS = 500
"""The longest word that WordPiece may try to split, in time that grows with the cube of its length; known: 100."""

MAX_PIECE_CHARACTERS = 128
"""The longest piece of a Unigram vocabulary, which is searched for pieces from each character; known: 16 to 48."""

MAX_PIECE_PREFIXES = 32
"""The most pieces of a Unigram vocabulary that may be prefixes of one piece."""

MAX_TOKEN_CHARACTERS = 1024
"""The longest added token, and the longest text that a step searches for."""

MAX_ADDED_TOKENS_CHARACTERS = 4_000_000
"""The most characters of all added tokens together."""

_SECTIONS = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}

_GROWTH_WHEN_REPEATED = {
    # The most that Unicode's own tables do; the first of them depends on the text, not on the package.
    **dict.fromkeys(("NFKC", "NFKD"), 18),
    **dict.fromkeys(("NFC", "NFD", "BertNormalizer"), 4),
    # Each byte beyond ASCII is written as a character of two bytes, which a second pass treats as two.
    **dict.fromkeys(("ByteLevel", "Metaspace", "Lowercase"), 2),
}

_FORMS = {"NFC": "form", "NFD": "form", "NFKC": "form", "NFKD": "form", "BertNormalizer": "form"}
"""Steps of which the first one is not counted, whichever it is."""

_PRECOMPILED_GROWTH = 18
"""The most characters that SentencePiece's own maps make of one, as Unicode's NFKC does."""

_STEADY = frozenset(
    # Normalizers, pre-tokenizers, post-processors and decoders that give at most one character per character.
    (
        *("Strip", "StripAccents", "Nmt"),
        *("BertPreTokenizer", "CharDelimiterSplit", "Whitespace", "Punctuation", "WhitespaceSplit", "Digits"),
        *("UnicodeScripts", "FixedLength", "Split"),
        *("BertProcessing", "RobertaProcessing"),
        *("BPEDecoder", "WordPiece", "CTC", "Fuse", "ByteFallback", "ByteFallbackDecoder"),
    )
)


def read_tokenizer(content: bytes) -> Any:
    """Reads and checks the content of ``tokenizer.json``.

    Args:
        content: The bytes of the file.

    Returns:
        The JSON document.

    Raises:
        PackageError: If it is too large, is not JSON, has a field twice, or ``check_tokenizer`` refuses it.
    """
    if len(content) > MAX_FILE_BYTES:
        raise PackageError(
            f"{TOKENIZER_FILE} has {counted(len(content), 'byte')}, but at most {MAX_FILE_BYTES} are read"
        )
    try:
        # Not the strict reader of settings, which would check each number of a vocabulary and take seconds.
        document = json.loads(content, object_pairs_hook=_make_object)
        check_tokenizer(document)  # formatting a deeply nested value takes as many frames as reading it
    except (ValueError, RecursionError) as error:
        raise PackageError(
            f"{TOKENIZER_FILE} is not JSON: {first_line(error)}", hint="fetch the model again"
        ) from error
    return document


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        # Of two values, the library might use the one that is not checked here.
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the field {shown(twice)} appears twice")
    return made


def check_tokenizer(document: Any) -> None:
    """Checks that a tokenizer is deterministic, with time and memory in proportion to the text.

    Args:
        document: The content of ``tokenizer.json``.

    Raises:
        PackageError: If it is not an object with a model, the model drops merges at random, a step is unknown, or
            something goes beyond a limit; it names the place in the file.
    """
    if not isinstance(document, Mapping):
        raise PackageError(f"{TOKENIZER_FILE} must be a JSON object, but is {shown(document)}")
    _check_model(document.get("model"))
    _check_added_tokens(document.get("added_tokens"))
    growths = {section: _Steps(section).measure(document.get(section)) for section in _SECTIONS}
    # Inferox never decodes with it, so a decoder adds nothing.
    growth = growths["normalizer"] * growths["pre_tokenizer"] * growths["post_processor"]
    if growth > MAX_GROWTH:
        raise PackageError(
            f"the steps of {TOKENIZER_FILE} may make a text {growth} times as long, but at most {MAX_GROWTH} times is "
            "accepted",
            hint="remove replacements by longer texts, and repeated steps",
        )


class _Steps:
    """The steps of one section, and how far they lengthen a text."""

    def __init__(self, section: str) -> None:
        self._section = section
        self._growth = 1
        self._count = 0
        self._seen: Counter[str] = Counter()
        self._template_tokens = 0

    def measure(self, step: Any) -> int:
        if step is not None:
            self._take(step, self._section)
        return self._growth

    def _take(self, step: Any, place: str) -> None:
        kind = step.get("type") if isinstance(step, Mapping) else None
        if not isinstance(kind, str):
            raise PackageError(
                f"{place} of {TOKENIZER_FILE} must be an object with a type, but is {shown(step)}",
                hint="write it anew with AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY)",
            )
        # Sequences count too, so that they cannot be nested endlessly.
        self._count += 1
        if self._count > MAX_STEPS:
            raise PackageError(
                f"{self._section} of {TOKENIZER_FILE} has more than {MAX_STEPS} steps, the most that are accepted"
            )
        if kind == "Sequence":
            self._take_sequence(step, place)
            return
        # The product is capped so that hostile numbers stay small; beyond the limit the value does not matter.
        self._growth = min(self._growth * self._measure_step(kind, step, place), 10**9)

    def _take_sequence(self, step: Mapping[str, Any], place: str) -> None:
        key = _SECTIONS[self._section]
        inner = step.get(key)
        if not isinstance(inner, list):
            raise PackageError(f"{place}.{key} of {TOKENIZER_FILE} must be a list, but is {shown(inner)}")
        for index, item in enumerate(inner):
            self._take(item, f"{place}.{key}[{index}]")

    def _measure_step(self, kind: str, step: Mapping[str, Any], place: str) -> int:
        subject = f"{place} ({kind}) of {TOKENIZER_FILE}"
        for key in ("content", "prepend", "replacement"):
            if len(str(step.get(key) or "")) > MAX_ADDED_CHARACTERS:
                raise PackageError(f"{subject} adds a text of more than {MAX_ADDED_CHARACTERS} characters")
        if kind in {"Replace", "Split"}:
            return self._measure_pattern(kind, step, subject)
        if kind == "Prepend":
            # It is prepended to each part of a text between added tokens, and such a part may be a single character.
            return 1 + len(str(step.get("prepend") or ""))
        if kind == "TemplateProcessing":
            return self._measure_template(step, subject)
        if kind == "Precompiled":
            return self._measure_precompiled(step, subject)
        if kind in _GROWTH_WHEN_REPEATED:
            name = _FORMS.get(kind, kind)
            self._seen[name] += 1
            return 1 if self._seen[name] == 1 else _GROWTH_WHEN_REPEATED[kind]
        if kind not in _STEADY:
            raise PackageError(
                f"{subject} is a step that this version of Inferox does not know", hint="upgrade Inferox"
            )
        return 1

    def _measure_pattern(self, kind: str, step: Mapping[str, Any], subject: str) -> int:
        pattern = step.get("pattern")
        forms = pattern if isinstance(pattern, Mapping) else {}
        form, text = next(iter(forms.items()), (None, None))
        if len(forms) != 1 or form not in {"String", "Regex"} or not isinstance(text, str):
            raise PackageError(f"{subject} must have the pattern of a String or a Regex, but has {shown(pattern)}")
        if len(text) > MAX_TOKEN_CHARACTERS and form == "String":
            raise PackageError(f"{subject} looks for a text of more than {MAX_TOKEN_CHARACTERS} characters")
        may_be_empty = check_pattern(text, subject) if form == "Regex" else not text
        if kind == "Split":
            return 1
        added = len(str(step.get("content") or ""))
        if may_be_empty:
            # The content is then inserted between any two characters.
            return 1 + added
        return max(1, added if form == "Regex" else -(-added // len(text)))

    def _measure_precompiled(self, step: Mapping[str, Any], subject: str) -> int:
        """Returns the most characters a map makes of one; 1 for the first map if it is within SentencePiece's own."""
        try:
            table = base64.b64decode(step["precompiled_charsmap"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise PackageError(f"{subject} has no precompiled_charsmap in base64") from error
        # A trie whose size the first four bytes give, then the replacement texts, each terminated by 0.
        texts = table[4 + int.from_bytes(table[:4], "little") :].split(b"\0")
        longest = max(len(text.decode("utf-8", errors="ignore")) for text in texts)
        self._seen["Precompiled"] += 1
        if self._seen["Precompiled"] == 1 and longest <= _PRECOMPILED_GROWTH:
            return 1
        return max(1, longest)

    def _measure_template(self, step: Mapping[str, Any], subject: str) -> int:
        tokens = step.get("special_tokens")
        sizes = (
            {
                name: len(_as_list(token.get("ids"), subject, f"special_tokens.{shown(name)}.ids"))
                for name, token in tokens.items()
                if isinstance(token, Mapping)
            }
            if isinstance(tokens, Mapping)
            else {}
        )
        growth, most = 1, 0
        for key in ("single", "pair"):
            pieces = [piece for piece in _as_list(step.get(key), subject, key) if isinstance(piece, Mapping)]
            special = [piece["SpecialToken"] for piece in pieces if isinstance(piece.get("SpecialToken"), Mapping)]
            texts = Counter(str(piece["Sequence"].get("id")) for piece in pieces if _is_sequence(piece))
            most = max(most, sum(sizes.get(str(token.get("id")), 1) for token in special))
            growth = max([growth, *texts.values()])
        self._template_tokens += most
        if self._template_tokens > MAX_TEMPLATE_TOKENS:
            raise PackageError(
                f"{subject} adds {counted(self._template_tokens, 'token')}, more than {MAX_TEMPLATE_TOKENS}"
            )
        return growth


def _as_list(value: Any, subject: str, key: str) -> list[Any]:
    """Returns a value that must be a list, or an empty one if it is missing."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise PackageError(f"{key} of {subject} must be a list, but is {shown(value)}")
    return value


def _is_sequence(piece: Mapping[str, Any]) -> bool:
    return isinstance(piece.get("Sequence"), Mapping)


def _check_model(model: Any) -> None:
    """Checks the settings of a model that affect its run time; the library checks the others."""
    if not isinstance(model, Mapping):
        raise PackageError(f"'model' of {TOKENIZER_FILE} must be a JSON object, but is {shown(model)}")
    dropout = model.get("dropout")
    if dropout is not None and dropout != 0:
        raise PackageError(
            f"'model.dropout' of {TOKENIZER_FILE} is {shown(dropout)}, which makes the tokens of a text random",
            hint="dropout is meant for training: set it to null, and pack the model again",
        )
    most = model.get("max_input_chars_per_word")
    if isinstance(most, int | float) and most > MAX_WORD_CHARACTERS:
        raise PackageError(
            f"'model.max_input_chars_per_word' of {TOKENIZER_FILE} is {shown(most)}, but at most "
            f"{MAX_WORD_CHARACTERS} is accepted"
        )
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if len(str(model.get(key) or "")) > MAX_ADDED_CHARACTERS:
            raise PackageError(f"{key} of {TOKENIZER_FILE} has more than {MAX_ADDED_CHARACTERS} characters")
    if isinstance(model.get("vocab"), list):
        _check_pieces([item[0] for item in model["vocab"] if _is_piece(item)])


def _check_pieces(pieces: Sequence[str]) -> None:
    """Checks the pieces of a Unigram vocabulary, as all those that match at a character are found and copied there."""
    known = set(pieces)
    for piece in pieces:
        if len(piece) > MAX_PIECE_CHARACTERS:
            raise PackageError(
                f"'model.vocab' of {TOKENIZER_FILE} has a piece of {counted(len(piece), 'character')}, but at most "
                f"{MAX_PIECE_CHARACTERS} are accepted"
            )
        if len(piece) > MAX_PIECE_PREFIXES:
            prefixes = sum(piece[:length] in known for length in range(1, len(piece)))
            if prefixes > MAX_PIECE_PREFIXES:
                raise PackageError(
                    f"'model.vocab' of {TOKENIZER_FILE} has {prefixes} pieces with which the piece {shown(piece)} "
                    f"begins, but at most {MAX_PIECE_PREFIXES} are accepted"
                )


def _is_piece(item: Any) -> bool:
    return isinstance(item, list) and bool(item) and isinstance(item[0], str)


def _check_added_tokens(added: Any) -> None:
    given = added if isinstance(added, list) else []
    lengths = [len(str(token.get("content") or "")) for token in given if isinstance(token, Mapping)]
    longest, together = max(lengths, default=0), sum(lengths)
    if longest > MAX_TOKEN_CHARACTERS or together > MAX_ADDED_TOKENS_CHARACTERS:
        raise PackageError(
            f"'added_tokens' of {TOKENIZER_FILE} have up to {longest:,} characters and {together} together, but "
            f"at most {MAX_TOKEN_CHARACTERS} and {MAX_ADDED_TOKENS_CHARACTERS} are accepted"
        )
