"""The proof from input: texts or images, the defining library's results for them, and the extent of the proof."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from inferox.core import IntegrityError, ManifestError, counted, read_json_file, shown, to_json_bytes
from inferox.core.fields import Fields
from inferox.parity.array_file import read_arrays
from inferox.parity.tolerance import COSINE_LIMIT

_HINT = "pack the model again, or fetch it again"

PROOF_FILE = "proof.json"
"""The path in a package of the proof's inputs and of the answers that are not arrays, relative to its root."""

PROOF_TENSORS = "proof.safetensors"
"""The path in a package of the proof's tokens, images and vectors, relative to its root."""

_KEY = re.compile(r"(?P<index>\d{1,6})\.(?P<part>image|answer|tokens\.(?P<name>[A-Za-z_]{1,64}))")


OWN_LIMIT = "package"
"""The limit that an ``InputProof`` states if the library was given the package's own."""

_LISTED = 4
"""The number of refused inputs that are named."""

_TYPES = {"image": ("uint8",), "answer": ("float32",)}
_TOKEN_TYPES = ("int32", "int64", "float32")


class ProofStatus(StrEnum):
    """The extent to which a package is proven to answer an input as the library that defines its model does."""

    PROVEN = "proven"
    NOT_PROVEN = "not proven"
    NOT_APPLICABLE = "takes tensors"


@dataclass(frozen=True)
class InputProof:
    """The extent to which a package is proven from a user's text or image to the answer, as ``parity.json`` records it.

    Attributes:
        status: Whether it is proven.
        source: The start of the proof: ``text`` or ``image``; ``tensors`` if the task takes nothing else.
        library: The library that defines the model, such as ``sentence-transformers``; ``None`` if none was run.
        versions: The versions of the libraries that were run, by distribution.
        settings: The choices made where the library can prepare an input in several ways, such as ``image_processor``:
            the class that prepared the images.
        inputs: The number of inputs compared.
        answered: The number of those whose answers were compared, and not only the tokens.
        refused: The number of inputs that the library itself does not take, and so does not define.
        refused_inputs: Those inputs, shortened for display.
        refusal: The library's error for the first of them; ``None`` if it takes all.
        limit: ``package`` if the model's files state no limit on the tokens of a row, so that the library was given the
            package's own, and the cut of longer texts is not proven; ``None`` otherwise.
        max_rel: The largest difference of an answer, as a share of the largest number of all answers.
        cosine_min: The smallest cosine between vectors; ``None`` if the answers are not vectors.
        reason: Why it is not proven; ``None`` if it is.
    """

    status: ProofStatus
    source: str
    library: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    inputs: int = 0
    refused: int = 0
    max_rel: float | None = None
    cosine_min: float | None = None
    reason: str | None = None
    refused_inputs: tuple[str, ...] = ()
    refusal: str | None = None
    limit: str | None = None
    answered: int = 0

    def __str__(self) -> str:
        if self.status is ProofStatus.PROVEN:
            version = self.versions.get(self.library or "", "")
            figures = f", max rel {self.max_rel:.1e}" if self.max_rel is not None else ""
            cosine = f", min cosine {self.cosine_min:.6f}" if self.cosine_min is not None else ""
            refused = f" ({self.refused} not taken by it)" if self.refused else ""
            return (
                f"proven from {self.source}: matches {self.library} {version} on {self.inputs} of "
                f"{self.inputs + self.refused} {self.source}s{refused}{figures}{cosine}"
            )
        if self.status is ProofStatus.NOT_PROVEN:
            return f"not proven from {self.source}: {self.reason}"
        return "takes tensors: proven from tensors alone"

    def notes(self) -> tuple[str, ...]:
        """Sentences about the parts that are not proven, for the maker of the package; empty if all are proven."""
        notes = [str(self)] if self.status is ProofStatus.NOT_PROVEN else []
        if self.refused_inputs:
            listed = ", ".join(self.refused_inputs[:_LISTED]) + (", …" if self.refused > _LISTED else "")
            notes.append(
                f"not proven for {self.refused} {self.source}s that {self.library} does not take: {listed}; "
                f"of the first it says: {self.refusal}"
            )
        if self.limit == OWN_LIMIT:
            notes.append(
                "the model's files state no limit on the tokens of a text, so the place at which the package cuts "
                "longer ones is not proven"
            )
        return tuple(notes)

    def to_json(self) -> dict[str, Any]:
        """Returns the proof as ``parity.json`` stores it."""
        return {
            "status": self.status.value,
            "source": self.source,
            "library": self.library,
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "inputs": self.inputs,
            "answered": self.answered,
            "refused": self.refused,
            "max_rel": self.max_rel,
            "cosine_min": self.cosine_min,
            "reason": self.reason,
            "refused_inputs": list(self.refused_inputs),
            "refusal": self.refusal,
            "limit": self.limit,
        }

    @classmethod
    def from_json(cls, data: Any) -> InputProof:
        """Reads a proof.

        Raises:
            ManifestError: If a field is missing or malformed.
        """
        fields = Fields(data, "'from_input' of parity.json")
        status = fields.required("status", str)
        known = [item.value for item in ProofStatus]
        if status not in known:
            raise ManifestError(f"'status' of 'from_input' of parity.json must be one of {known}: {shown(status)}")
        limit = fields.optional("limit", str)
        if limit not in {None, OWN_LIMIT}:
            raise ManifestError(f"'limit' of 'from_input' of parity.json must be {OWN_LIMIT!r} or null: {shown(limit)}")
        return cls(
            status=ProofStatus(status),
            source=fields.required("source", str),
            library=fields.optional("library", str),
            versions=fields.text_by_name("versions"),
            settings=fields.text_by_name("settings"),
            inputs=fields.optional_count("inputs") or 0,
            refused=fields.optional_count("refused") or 0,
            max_rel=fields.optional_number("max_rel", least=0),
            cosine_min=fields.optional_number("cosine_min", least=-COSINE_LIMIT, most=COSINE_LIMIT),
            reason=fields.optional("reason", str),
            refused_inputs=fields.texts("refused_inputs") if "refused_inputs" in data else (),
            refusal=fields.optional("refusal", str),
            limit=limit,
            answered=fields.optional_count("answered") or 0,
        )


@dataclass(frozen=True)
class ProofInput:
    """One input of a proof.

    Attributes:
        item: A text, a pair of texts, or the bytes of an encoded image.
        prompt: The name of the prompt put before the text; ``None`` for the model's default.
        answered: Whether the model computes it; otherwise only its tokens are compared, because computing such a long
            input is not worth the time.
    """

    item: str | tuple[str, str] | bytes
    prompt: str | None = None
    answered: bool = True

    def __str__(self) -> str:
        described = (
            f"an image of {counted(len(self.item), 'byte')}" if isinstance(self.item, bytes) else repr(self.item)
        )
        shown = (
            described if len(described) <= _SHOWN else f"{described[:_SHOWN]}… ({counted(len(described), 'character')})"
        )
        return shown if self.prompt is None else f"{shown} with the prompt {self.prompt!r}"


_SHOWN = 120
"""The number of characters of an input that an error shows."""


@dataclass(frozen=True)
class ProofCase:
    """An input and the defining library's results for it.

    Attributes:
        input: The input.
        tokens: The model's inputs, by name: the token ids and types, shape ``[seq]``, and the characters of each token,
            shape ``[seq, 2]``, int32; for an image, some of its pixels, float32, and their full shape, int32.
        answer: A vector, float32, or JSON values; ``None`` if it was not computed.
    """

    input: ProofInput
    tokens: Mapping[str, npt.NDArray[Any]]
    answer: Any = None


def save_proof(cases: Sequence[ProofCase], root: Path) -> None:
    """Writes the cases of a proof into a package that is being made.

    Args:
        cases: The cases.
        root: The folder of the package.

    Raises:
        OSError: If a file cannot be written, as when the disk is full.
    """
    records: list[dict[str, Any]] = []
    tensors: dict[str, npt.NDArray[Any]] = {}
    for index, case in enumerate(cases):
        record: dict[str, Any] = {"answered": case.input.answered}
        if isinstance(case.input.item, bytes):
            tensors[f"{index}.image"] = np.frombuffer(case.input.item, np.uint8)
        elif isinstance(case.input.item, str):
            record["text"] = case.input.item
        else:
            record["text"], record["text_pair"] = case.input.item
        if case.input.prompt is not None:
            record["prompt"] = case.input.prompt
        if isinstance(case.answer, np.ndarray):
            tensors[f"{index}.answer"] = case.answer
        elif case.answer is not None:
            record["answer"] = case.answer
        tensors |= {f"{index}.tokens.{name}": array for name, array in case.tokens.items()}
        records.append(record)
    (root / PROOF_FILE).write_bytes(to_json_bytes({"cases": records}))
    (root / PROOF_TENSORS).write_bytes(save({name: np.ascontiguousarray(array) for name, array in tensors.items()}))


def load_proof(root: Path) -> tuple[ProofCase, ...] | None:
    """Reads the cases of a package's proof; ``None`` if it has none.

    Args:
        root: The folder of the package.

    Raises:
        ManifestError: If a field is missing or malformed.
        IntegrityError: If the tensors cannot be read, or belong to no case.
    """
    if not (root / PROOF_FILE).is_file():
        return None
    try:
        content = read_json_file(root / PROOF_FILE, hint=_HINT)
    except FileNotFoundError as error:
        raise ManifestError(f"{PROOF_FILE} is missing", hint=_HINT) from error
    records = Fields(content, PROOF_FILE).map("cases", _read_record)
    arrays = read_arrays(root / PROOF_TENSORS)
    images: dict[int, bytes] = {}
    answers: dict[int, npt.NDArray[Any]] = {}
    tokens: dict[int, dict[str, npt.NDArray[Any]]] = {}
    for key, array in arrays.items():
        match = _KEY.fullmatch(key)
        if match is None or int(match["index"]) >= len(records):
            raise IntegrityError(f"{PROOF_TENSORS} holds {shown(key)}, which belongs to no case of {PROOF_FILE}")
        index = int(match["index"])
        _check_array(key, match, array)
        if match["name"]:
            tokens.setdefault(index, {})[match["name"]] = array
        elif match["part"] == "image":
            images[index] = array.tobytes()
        else:
            answers[index] = array
    return tuple(
        _join(index, record, images.get(index), answers.get(index), tokens.get(index, {}))
        for index, record in enumerate(records)
    )


def _check_array(key: str, match: re.Match[str], array: npt.NDArray[Any]) -> None:
    """Checks that an array has the type and axes that its name implies.

    Raises:
        IntegrityError: If it is not.
    """
    axes = 2 if match["name"] == "offsets" else 1
    types = _TYPES.get(match["part"], _TOKEN_TYPES)
    if array.ndim != axes or not array.size or array.dtype.name not in types:
        raise IntegrityError(
            f"{key!r} of {PROOF_TENSORS} must have {counted(axes, 'axis', 'axes')} of {' or '.join(types)}, but has "
            f"{array.dtype} {list(array.shape)}",
            hint="pack the model again",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise IntegrityError(f"{key!r} of {PROOF_TENSORS} must hold only finite numbers", hint="pack the model again")


@dataclass(frozen=True)
class _Record:
    item: str | tuple[str, str] | None
    prompt: str | None
    answered: bool
    answer: Any


def _read_record(data: Any) -> _Record:
    fields = Fields(data, f"a case of {PROOF_FILE}")
    text, pair = fields.optional("text", str), fields.optional("text_pair", str)
    item = text if pair is None or text is None else (text, pair)
    answered, answer = fields.required("answered", bool), data.get("answer")
    return _Record(item, fields.optional("prompt", str), answered, None if answer is None else _read_answer(answer))


def _read_answer(data: Any) -> float | list[dict[str, Any]]:
    """Reads an answer that is not a vector: a score, or labels with scores and, for spans, their offsets."""
    if isinstance(data, list):
        return [_read_part(part) for part in data]
    return Fields({"answer": data}, f"a case of {PROOF_FILE}").number("answer")


def _read_part(data: Any) -> dict[str, Any]:
    fields = Fields(data, f"a label of an answer of {PROOF_FILE}")
    part: dict[str, Any] = {"label": fields.required("label", str), "score": fields.number("score")}
    if "start" in data or "end" in data:
        part |= {"start": fields.count("start"), "end": fields.count("end")}
    return part


def _join(
    index: int,
    record: _Record,
    image: bytes | None,
    vector: npt.NDArray[Any] | None,
    tokens: Mapping[str, npt.NDArray[Any]],
) -> ProofCase:
    item = image if record.item is None else record.item
    answer = record.answer if vector is None else vector
    if (image is not None and record.item is not None) or (vector is not None and record.answer is not None):
        raise ManifestError(f"case {index} of {PROOF_FILE} has two inputs or two answers", hint="pack the model again")
    if item is None or (record.answered and answer is None):
        raise ManifestError(
            f"case {index} of {PROOF_FILE} has no {'input' if item is None else 'answer'}", hint="pack the model again"
        )
    return ProofCase(ProofInput(item, record.prompt, record.answered), tokens, answer)
