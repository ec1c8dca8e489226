"""The messages between the supervisor and its workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from inferox.engine.phases import Phases
from inferox.tasks.labels import LabelScore, Span


class Load(Struct, tag="load", array_like=True, frozen=True):
    """Load a model.

    Attributes:
        call: The number of the call, which the reply repeats.
        source: A package, or ``python:module:function`` for a function that makes a ``TaskModel``.
        name: Its name in requests; ``None`` for its own name.
        version: Its version.
        options: The other arguments of ``Engine.load``, by name.
        module_paths: The import path for Python modules; ``None`` for the worker's own.
        probe: An item that was answered before, from which the worker learns how long an item takes; ``None`` if there
            is none.
    """

    call: int
    source: str
    name: str | None
    version: str
    options: dict[str, Any]
    module_paths: list[str] | None = None
    probe: Any = None


class _OfModel(Struct, array_like=True, frozen=True):
    """A message about a loaded model.

    Attributes:
        call: The number of the call.
        name: The name of the model.
        version: Its version.
    """

    call: int
    name: str
    version: str


class Unload(_OfModel, tag="unload", array_like=True, frozen=True):
    """Unload a model, once its requests are answered."""


class Ask(_OfModel, tag="ask", array_like=True, frozen=True):
    """Compute items; see ``RequestOptions``.

    Attributes:
        items: The items.
        deadline_s: The seconds from now within which the answer is needed; ``None`` for no limit.
        priority: Lower numbers go first.
        owner: The owner of the request.
        prompt: The name of the prompt.
        truncate: The treatment of texts that are too long.
        truncation_side: The side on which they are cut.
        unscaled: Whether to return numbers as they are before the last step.
        of_tokens: Whether to return the vectors of single tokens.
        token_ids: Whether the items are token ids.
    """

    items: Any
    deadline_s: float | None
    priority: int
    owner: str | None
    prompt: str | None
    truncate: str
    truncation_side: str | None = None
    unscaled: bool = False
    of_tokens: bool = False
    token_ids: bool = False


class Tokenize(_OfModel, tag="tokenize", array_like=True, frozen=True):
    """Split texts into tokens; see ``divide_texts``.

    Attributes:
        texts: The texts.
        prompt: The name of the prompt.
        add_special_tokens: Whether to include the tokens that the tokenizer adds.
    """

    texts: list[str]
    prompt: str | None
    add_special_tokens: bool


class Detokenize(_OfModel, tag="detokenize", array_like=True, frozen=True):
    """Decode tokens to texts; see ``join_tokens``.

    Attributes:
        ids: The tokens of each text.
        skip_special_tokens: Whether to leave out the tokens that the tokenizer adds.
    """

    ids: list[list[int]]
    skip_special_tokens: bool


class Cancel(Struct, tag="cancel", array_like=True, frozen=True):
    """Drop the part of a call that is not computed yet. It has no reply of its own.

    Attributes:
        call: The number of the call.
    """

    call: int


class Count(_OfModel, tag="count", array_like=True, frozen=True):
    """Report a model's statistics and description."""


class ReadTrace(Struct, tag="trace", array_like=True, frozen=True):
    """Report the recorded trace.

    Attributes:
        call: The number of the call.
    """

    call: int


class ListPrerequisites(Struct, tag="prerequisites", array_like=True, frozen=True):
    """List what was imported and read to compute the models.

    Attributes:
        call: The number of the call.
    """

    call: int


class Stop(Struct, tag="stop", array_like=True, frozen=True):
    """Answer the outstanding calls, and end."""


class Answered(Struct, tag="answered", array_like=True, frozen=True):
    """The answer to ``Ask``.

    Attributes:
        call: The number of the call.
        results: Numbers, texts, arrays, and lists and dicts of them.
        artifact: The artifact that computed them.
        embedding_space: The id of their embedding space.
        texts: The number of texts; 0 if items are not texts.
        cut: For each text that was cut, the number of tokens that it lost, and whether there were more.
        tokens: The number of tokens computed.
        parity_class: The artifact's parity class.
        queue_s: The seconds that it waited.
        compute_s: The seconds that it took from then on.
        phases: The times of its phases, on the clock of ``time.monotonic``; ``None`` if they are not known.
    """

    call: int
    results: Any
    artifact: str
    embedding_space: str | None
    texts: int
    cut: dict[int, tuple[int, bool]]
    tokens: int
    parity_class: str | None
    queue_s: float = 0.0
    compute_s: float = 0.0
    phases: Phases | None = None


class AnsweredLabels(Answered, tag="labels", array_like=True, frozen=True):
    """The answer of a task that labels items; see ``Answered``."""

    results: list[tuple[LabelScore, ...]]


class AnsweredSpans(Answered, tag="spans", array_like=True, frozen=True):
    """The answer of a task that labels spans of texts; see ``Answered``."""

    results: list[tuple[Span, ...]]


class Done(Struct, tag="done", array_like=True, frozen=True):
    """The reply to every other call.

    Attributes:
        call: The number of the call.
        value: The result.
    """

    call: int
    value: Any = None


class Failed(Struct, tag="failed", array_like=True, frozen=True):
    """The error with which a call failed.

    Attributes:
        call: The number of the call.
        kind: The name of the error's type, in ``inferox.core.errors``.
        message: Its message.
        facts: Its other attributes.
        causes: The errors from which it was raised, as texts.
    """

    call: int
    kind: str
    message: str
    facts: dict[str, Any]
    causes: Sequence[str] = ()


Message = (
    Load
    | Unload
    | Ask
    | Tokenize
    | Detokenize
    | Cancel
    | Count
    | ReadTrace
    | ListPrerequisites
    | Stop
    | Answered
    | AnsweredLabels
    | AnsweredSpans
    | Done
    | Failed
)
"""Any message."""
