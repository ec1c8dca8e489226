"""The comparison of a task's results for a proof's inputs with those of the defining library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import MASK, Batch, Model
from inferox.parity import ProofCase, ProofInput
from inferox.tasks.results import to_json
from inferox.tasks.task import Task

Arrays = Mapping[str, npt.NDArray[Any]]

_STAGES = {
    "input_ids": "token ids",
    "token_type_ids": "token types",
    "attention_mask": "attention mask",
    "offsets": "token offsets",
    "pixel_shape": "pixels (shape)",
    "pixel_values": "pixels",
}
"""The names of the stages of a proof, by the array in which they differ."""

_ON_BOTH_SIDES = frozenset({"input_ids", "offsets", "pixel_shape", "pixel_values"})
"""The inputs that the library and the task must have in common. A model may do without the others."""

_PIXEL_TOLERANCE = 1e-5
"""The largest difference of two pixels, as a share of the largest: the effect of summation order in fp32."""

_KEPT_PIXELS = 2048
"""The number of pixels of an image kept in a package: enough to detect another size, resampling or orientation."""

_AROUND = 5
"""The number of values shown on either side of a difference."""


@dataclass(frozen=True)
class StageDifference:
    """The first difference between a task and the defining library.

    Attributes:
        stage: The stage, such as ``token ids``, ``pixels``, ``outputs`` or ``answer``.
        expected: The library's value, shortened for display.
        actual: The task's value, shortened for display.
    """

    stage: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.stage}: expected {self.expected}, got {self.actual}"


def encode_input(task: Task, proof_input: ProofInput) -> Batch:
    """Encodes an input of a proof as a batch of one row.

    Args:
        task: The task.
        proof_input: The input.

    Raises:
        RequestError: If the task does not take it.
    """
    return with_prompt(task, proof_input).encode([proof_input.item])


def answer_cases(
    task: Task, model: Model, cases: Sequence[ProofCase], *, at_once: int | None = None
) -> Iterator[tuple[ProofCase, Any]]:
    """Answers the inputs of a proof, those with the same prompt together.

    Args:
        task: The task.
        model: The model, of the signature that the task was opened for.
        cases: The inputs.
        at_once: The most inputs per call; ``None`` for all with the same prompt.

    Yields:
        Each input with its answer in the form of a proof, grouped by prompt.

    Raises:
        RequestError: If the task does not take an input.
        BackendError: If the runtime fails.
    """
    by_prompt: dict[str | None, list[ProofCase]] = {}
    for case in cases:
        by_prompt.setdefault(case.input.prompt, []).append(case)
    for alike in by_prompt.values():
        step = at_once or len(alike)
        for window in (alike[first : first + step] for first in range(0, len(alike), step)):
            answers = with_prompt(task, window[0].input).run(model, [case.input.item for case in window])
            yield from zip(window, map(to_proof_answer, answers), strict=True)


def to_proof_answer(answer: Any) -> Any:
    """Converts the answer of a task to the form of a proof: a vector, or a JSON value.

    Args:
        answer: The answer.
    """
    return answer if isinstance(answer, np.ndarray) else to_json(answer)


def with_prompt(task: Task, proof_input: ProofInput) -> Task:
    """Returns the task with the prompt of an input; unchanged if the input names none.

    Raises:
        RequestError: If the task has no such prompt.
    """
    return task if proof_input.prompt is None else task.with_prompt(proof_input.prompt)


def compare_row(expected: Arrays, row: Arrays) -> StageDifference | None:
    """Compares the row of a task with the tokens or pixels of the defining library.

    Args:
        expected: The inputs that the library gives to the model, by name. Token types that it omits are 0 for the
            model, and the attention mask is 1.
        row: The inputs that the task gives to the model.

    Returns:
        The first stage that differs; ``None`` if all are the same.
    """
    for name, stage in _STAGES.items():
        if name in _ON_BOTH_SIDES and (name in expected) != (name in row):
            there, absent = f"an array {name!r}", f"no {name!r}"
            return StageDifference(stage, *((there, absent) if name in expected else (absent, there)))
        if name not in row and (name != MASK or name not in expected):
            # An input that the model does not take cannot be wrong.
            continue
        wanted = expected[name] if name in expected else _default(name, expected["input_ids"])
        # All tokens of a row are attended: the mask is made when rows are padded.
        difference = _compare_arrays(stage, wanted, row[name] if name in row else np.ones_like(row["input_ids"]))
        if difference is not None:
            return difference
    return None


def _default(name: str, ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns the default of a token input that a model is not given."""
    return np.ones_like(ids) if name == "attention_mask" else np.zeros_like(ids)


def thin_tokens(tokens: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Reduces an input's tokens to what a package keeps: integers as int32, and some of an image's pixels.

    Args:
        tokens: The model's inputs, by name.

    Returns:
        The tokens, by name. For an image, ``pixel_values`` are evenly spaced pixels, shape ``[kept]``, float32, and
        ``pixel_shape`` is the shape of the whole image, ``[channels, height, width]``, int32.
    """
    kept: dict[str, npt.NDArray[Any]] = {}
    for name, array in tokens.items():
        if name == "pixel_values":
            # Kept apart from the pixels: numbers that large would set the scale of their differences.
            kept |= {"pixel_shape": np.array(array.shape, np.int32), name: _thin_pixels(array)}
        elif name in _STAGES:
            kept[name] = array.astype(np.int32)
    return kept


def _thin_pixels(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Returns evenly spaced pixels; shape ``[kept]``, float32.

    Args:
        pixels: A prepared image; shape ``[channels, height, width]``.
    """
    flat = pixels.reshape(-1)
    places = np.linspace(0, flat.size - 1, min(_KEPT_PIXELS, flat.size)).astype(np.int64)
    return flat[places].astype(np.float32)


def _compare_arrays(stage: str, expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> StageDifference | None:
    # Rows of tokens may differ in length, but the first token that differs says more than the lengths.
    free = 0 if stage == "pixels" else 1
    if not expected.ndim == actual.ndim > 0 or expected.shape[free:] != actual.shape[free:]:
        return StageDifference(stage, f"shape {list(expected.shape)}", f"shape {list(actual.shape)}")
    common = min(len(expected), len(actual))
    if stage == "pixels":
        scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
        with np.errstate(invalid="ignore"):
            # Not "greater": a pixel that is NaN is a difference too.
            different = ~(np.abs(expected.astype(np.float64) - actual) <= _PIXEL_TOLERANCE * scale)
    else:
        different = expected[:common] != actual[:common]
    places = np.argwhere(different)
    if not len(places) and expected.shape == actual.shape:
        return None
    place = tuple(int(index) for index in places[0]) if len(places) else (common,)
    if stage == "pixels":
        return StageDifference(f"{stage} at {list(place)}", f"{expected[place]:.6g}", f"{actual[place]:.6g}")
    return StageDifference(f"{stage} at {place[0]}", _around(expected, place[0]), _around(actual, place[0]))


def _around(values: npt.NDArray[Any], place: int) -> str:
    first, after = max(0, place - _AROUND), min(len(values), place + _AROUND + 1)
    listed = " ".join(str(value) for value in values[first:after].tolist())
    return f"{'… ' if first else ''}{listed}{' …' if after < len(values) else ''} ({len(values)} in all)"
