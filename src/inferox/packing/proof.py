"""The proof of a package from a user's text or image to the answer, against the library that defines the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from traceback import walk_tb
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import (
    SEQUENCE,
    Batch,
    DisagreementError,
    Outputs,
    PackageError,
    RequestError,
    SourceModel,
    first_line,
    pad_batch,
)
from inferox.packing.defining.choice import INSTALL_HINT, NoDefinition, open_defining_library
from inferox.packing.defining.library import DefiningLibrary, Definition, quiet
from inferox.packing.proof_in_batches import find_difference_in_batches
from inferox.parity import OWN_LIMIT, TOLERANCES, InputProof, ParityClass, ProofCase, ProofInput, ProofStatus
from inferox.tasks import (
    AnswerDifference,
    StageDifference,
    Task,
    compare_answers,
    compare_row,
    encode_input,
    find_answer_scale,
    is_finite_answer,
    thin_tokens,
    to_proof_answer,
    translated_panics,
    with_prompt,
)

Arrays = Mapping[str, npt.NDArray[Any]]

_EXACT = TOLERANCES[ParityClass.EXACT]

_LEAST_SHARE = 0.5
"""The share of the inputs of each kind that the library must answer for a package to be proven."""

_ADAPTERS = "inferox.packing.defining."
"""The prefix of the modules that call the libraries."""

_SHOWN = 120
"""The most characters of an answer that an error shows."""

_HINTS = {
    "input": "the library takes what the package refuses: the package's limits or settings are not the model's",
    "batch": "each input alone is answered correctly, so rows of a batch are exchanged, or padding is attended",
    "token": "the package's tokenizer or its settings (case, accents, prompt, limit, cut) are not the model's",
    "attention": "the package's tokenizer or its settings are not the model's",
    "pixels": "the images are read, turned, resized or scaled differently from what the model's own files say",
    "outputs": "the tokens are the same, so the architecture or the weights differ from those that the library loads",
    "answer": "the tokens and outputs are the same, so pooling, a layer after it, or the activation differs",
}


@dataclass(frozen=True)
class Proven:
    """The result of proving a package.

    Attributes:
        proof: The extent of the proof.
        cases: The inputs with the library's answers, which the package keeps; empty if there are none.
    """

    proof: InputProof
    cases: tuple[ProofCase, ...] = ()


@dataclass(frozen=True)
class _Compared:
    case: ProofCase
    actual: Any
    outputs: tuple[Arrays, Arrays]


@dataclass(frozen=True)
class _Refusal:
    input: ProofInput
    reason: str


class _OwnFault(Exception):  # noqa: N818 - it never leaves this file
    """A fault in how Inferox calls a library, as with a version that has other functions."""


def prove(source: SourceModel, task: Task, progress: Callable[[str], None] = lambda _step: None) -> Proven:
    """Compares a task on the reference runtime with the library that defines the model, stage by stage.

    The token ids, token types and offsets must be equal, pixels equal except for the order of summation, and outputs
    and answers within the tolerance of the class ``exact``. No option lowers that.

    Args:
        source: The model.
        task: The task, opened from the files of the package.
        progress: Called with the current step, if there is anything to prove.

    Raises:
        DisagreementError: If a stage differs; it names the first input that does.
        PackageError: If native code of the library panics.
    """
    inputs = task.proof_inputs()
    if not inputs:
        return Proven(InputProof(ProofStatus.NOT_APPLICABLE, "tensors"))
    progress(f"proving {task.name} against the library that defines the model")
    kind = "image" if isinstance(inputs[0].item, bytes) else "text"
    library = open_defining_library(source, task.name, task.max_length)
    if isinstance(library, NoDefinition):
        return Proven(InputProof(ProofStatus.NOT_PROVEN, kind, reason=library.reason))
    unknown = InputProof(ProofStatus.NOT_PROVEN, kind, library.name, library.versions(), library.settings())
    try:
        with quiet():
            compared, refusals = _compare_all(source, task, library, inputs)
    except _OwnFault as fault:
        return Proven(replace(unknown, reason=str(fault)))
    _check_outputs(library, compared)
    differences = _check_answers(library, compared)
    _check_batches(source, task, library, compared)
    cosines = [item.cosine for item in differences if item.cosine is not None]
    gap = _find_gap(task, library, inputs, refusals)
    proof = replace(
        unknown,
        status=ProofStatus.PROVEN if gap is None else ProofStatus.NOT_PROVEN,
        inputs=len(compared),
        answered=sum(item.case.input.answered for item in compared),
        refused=len(refusals),
        max_rel=max((item.max_rel for item in differences), default=None),
        cosine_min=min(cosines, default=None),
        reason=gap,
        refused_inputs=tuple(str(refusal.input) for refusal in refusals),
        refusal=refusals[0].reason if refusals else None,
        limit=OWN_LIMIT if library.takes_own_limit else None,
    )
    return Proven(proof, tuple(item.case for item in compared))


def _find_gap(
    task: Task, library: DefiningLibrary, inputs: Sequence[ProofInput], refusals: Sequence[_Refusal]
) -> str | None:
    """Explains for which kind of input the library takes too few to prove anything; ``None`` if there is none."""
    if not refusals:
        return None
    reasons = {id(refusal.input): refusal.reason for refusal in refusals}
    asked: dict[str, list[ProofInput]] = {}
    for item in inputs:
        for kind in _kinds(task, item):
            asked.setdefault(kind, []).append(item)
    for kind, items in asked.items():
        refused = [reasons[id(item)] for item in items if id(item) in reasons]
        answered = len(items) - len(refused)
        if answered < _LEAST_SHARE * len(items):
            return f"{library.name} answers {answered} of {len(items)} {kind}; of the others it says: {refused[0]}"
    return None


def _kinds(task: Task, proof_input: ProofInput) -> list[str]:
    """Returns the kinds of an input. A package is proven only if it is proven for each kind."""
    kinds = ["inputs", _form(proof_input)]
    if isinstance(proof_input.item, bytes):
        return kinds
    texts = [proof_input.item] if isinstance(proof_input.item, str) else proof_input.item
    if any(token in text for token in task.special_tokens for text in texts):
        kinds.append("texts with special tokens")
    return kinds


def _form(proof_input: ProofInput) -> str:
    if proof_input.prompt is not None:
        return "texts with a prompt"
    if isinstance(proof_input.item, bytes):
        return "images"
    return "texts" if isinstance(proof_input.item, str) else "pairs of texts"


def _compare_all(
    source: SourceModel, task: Task, library: DefiningLibrary, inputs: Sequence[ProofInput]
) -> tuple[list[_Compared], list[_Refusal]]:
    """Compares the tokens of each input at once, and computes what is left to compare.

    Returns:
        The compared inputs, and those that the library does not take, with its reasons.

    Raises:
        _OwnFault: If Inferox does not know how to call the library.
    """
    compared, refusals = [], []
    for proof_input in inputs:
        try:
            definition = _define(library, proof_input)
            _require_answer(source, library, proof_input, definition)
        except PackageError:
            raise
        except Exception as error:
            if _is_own(error):
                raise _OwnFault(_describe_fault(library, error)) from error
            # An input that the library does not take has no defined answer.
            refusals.append(_Refusal(proof_input, first_line(error)))
            continue
        compared.append(_compare(source, task, library, proof_input, definition))
    return compared, refusals


def _require_answer(
    source: SourceModel, library: DefiningLibrary, proof_input: ProofInput, definition: Definition
) -> None:
    """Requires an answer of finite numbers. That of an input too long to be compared is computed only in doubt.

    A library may truncate at its files' limit rather than at the end of the model's position table, and then fail.

    Raises:
        ValueError: If a number is not finite.
        Exception: Whatever the library raises for an input that it does not take.
    """
    limit = source.signature.limits.get(SEQUENCE)
    if proof_input.answered:
        answer = definition.answer
    elif limit is not None and len(definition.tokens.get("input_ids", ())) > limit:
        answer = _define(library, replace(proof_input, answered=True)).answer
    else:
        return
    if not is_finite_answer(answer):
        raise ValueError(f"{answer}, which is not an answer of finite numbers"[:_SHOWN])


def _is_own(error: Exception) -> bool:
    """Returns whether an error was caused by how Inferox calls a library, rather than by the library itself."""
    if not isinstance(error, AttributeError | KeyError | NameError | TypeError):
        return False
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    # Objects report a missing attribute or key from their own frames; the caller that asked for it is at fault.
    asking = [frame for frame in frames if frame.f_code.co_name not in {"__getattr__", "__getitem__"}]
    return bool(asking) and str(asking[-1].f_globals.get("__name__")).startswith(_ADAPTERS)


def _describe_fault(library: DefiningLibrary, error: Exception) -> str:
    return (
        f"Inferox does not know how to call {library.name} {library.versions()[library.name]} "
        f"({type(error).__name__}: {first_line(error)}); install a supported version: {INSTALL_HINT}"
    )


def _define(library: DefiningLibrary, proof_input: ProofInput) -> Definition:
    """Calls the library. A panic of its tokenizer is a fault of the model's files, not a refusal of one input."""
    with translated_panics(
        f"asking {library.name} for {proof_input}",
        hint="native code of the library panicked, most likely in the model's tokenizer: fix its files",
    ):
        return library.define(proof_input)


def _compare(
    source: SourceModel, task: Task, library: DefiningLibrary, proof_input: ProofInput, definition: Definition
) -> _Compared:
    try:
        batch = encode_input(task, proof_input)
    except RequestError as error:
        difference = StageDifference("input", f"what {library.name} makes of it", f"a refusal: {error.message}")
        raise _disagreement(library, proof_input, difference) from error
    found = compare_row(definition.tokens, batch[0])
    if found is not None:
        raise _disagreement(library, proof_input, found)
    case = ProofCase(proof_input, thin_tokens(definition.tokens), definition.answer)
    if not proof_input.answered:
        return _Compared(case, None, ({}, {}))
    outputs, answer = _compute(source, task, proof_input, batch)
    return _Compared(case, answer, (definition.outputs, outputs))


def _compute(source: SourceModel, task: Task, proof_input: ProofInput, batch: Batch) -> tuple[Arrays, Any]:
    """Computes the outputs and the answer of one row on the reference runtime."""
    outputs = Outputs(source.compute(pad_batch(batch, source.signature)), source.signature, batch)
    answer = with_prompt(task, proof_input).decode([proof_input.item], batch, outputs)[0]
    return outputs[0], to_proof_answer(answer)


def _check_outputs(library: DefiningLibrary, compared: Sequence[_Compared]) -> None:
    for name in dict.fromkeys(name for item in compared for name in item.outputs[0]):
        # Values that a package does not return, such as token vectors before a head, show in those that it does.
        pairs = [
            (item, item.outputs[0][name], item.outputs[1][name])
            for item in compared
            if name in item.outputs[0] and name in item.outputs[1]
        ]
        finite = [np.abs(expected[np.isfinite(expected)]).max(initial=0.0) for _, expected, _ in pairs]
        scale = max([float(np.finfo(np.float32).tiny), *(float(number) for number in finite)])
        for item, expected, actual in pairs:
            difference = _output_difference(name, expected, actual, scale)
            if difference is not None:
                raise _disagreement(library, item.case.input, difference)


def _output_difference(
    name: str, expected: npt.NDArray[Any], actual: npt.NDArray[Any], scale: float
) -> StageDifference | None:
    if expected.shape != actual.shape:
        return StageDifference(f"outputs ({name})", f"shape {list(expected.shape)}", f"shape {list(actual.shape)}")
    with np.errstate(invalid="ignore"):
        distance = np.abs(expected.astype(np.float64) - actual.astype(np.float64))
    # Equal infinities are not a difference, and neither is NaN if the library has it too.
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    distance = np.where(same, 0.0, np.nan_to_num(distance, nan=np.inf))
    if distance.size == 0 or distance.max() <= (_EXACT.max_rel or 0.0) * scale:
        return None
    place = np.unravel_index(int(distance.argmax()), distance.shape)
    where = ", ".join(str(int(index)) for index in place)
    return StageDifference(f"outputs ({name} at {where})", f"{expected[place]:.7g}", f"{actual[place]:.7g}")


def _check_answers(library: DefiningLibrary, compared: Sequence[_Compared]) -> list[AnswerDifference]:
    answered = [item for item in compared if item.case.input.answered]
    scale = find_answer_scale([item.case.answer for item in answered])
    differences = []
    for item in answered:
        found = compare_answers(item.case.answer, item.actual, scale=scale, tie=_EXACT.tie)
        limit = _EXACT.max_rel or 0.0
        cosine = 1.0 if found.cosine is None else found.cosine
        # Not "greater": NaN is neither.
        if not (found.max_rel <= limit and found.decisions and cosine >= _EXACT.cosine_min):
            raise _disagreement(library, item.case.input, StageDifference("answer", found.expected, found.actual))
        differences.append(found)
    return differences


def _check_batches(source: SourceModel, task: Task, library: DefiningLibrary, compared: Sequence[_Compared]) -> None:
    found = find_difference_in_batches(source, task, [item.case for item in compared])
    if found is not None:
        raise _disagreement(library, found[0].input, StageDifference("batch", "its answer alone", found[1]))


def _disagreement(library: DefiningLibrary, proof_input: ProofInput, difference: StageDifference) -> DisagreementError:
    versions = library.versions()
    hint = next((text for stage, text in _HINTS.items() if difference.stage.startswith(stage)), None)
    return DisagreementError(
        f"the package would not answer as {library.name} {versions[library.name]} does: "
        f"for {proof_input} they differ in the stage {difference}",
        stage=difference.stage,
        hint=hint,
    )
