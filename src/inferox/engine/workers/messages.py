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
        name: What requests call it; ``None`` for its own name.
        version: Its version.
        options: What else ``Engine.load`` was given, by name.
        module_paths: Where modules of Python are looked for; ``None`` for where the worker looks in any case.
        probe: An item that was answered before, by which the worker learns how long an item takes; ``None`` if there
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
    """A message about a model that is loaded.

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
        deadline_s: Within how many seconds from now the answer is needed; ``None`` for no limit.
        priority: Lower numbers go first.
        owner: On whose behalf it is made.
        prompt: The name of the prompt.
        truncate: What is done about texts that are too long.
        truncation_side: On which side they are cut.
        unscaled: Whether numbers are given as they are before the last step.
        of_tokens: Whether the vectors of single tokens are given.
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
    """Divide texts into tokens; see ``TextTokenizer.divide``.

    Attributes:
        texts: The texts.
        prompt: The name of the prompt.
        add_special_tokens: Whether the tokens that the tokenizer adds are among them.
    """

    texts: list[str]
    prompt: str | None
    add_special_tokens: bool


class Detokenize(_OfModel, tag="detokenize", array_like=True, frozen=True):
    """Make texts of tokens; see ``TextTokenizer.join``.

    Attributes:
        ids: The tokens of each text.
        skip_special_tokens: Whether the tokens that the tokenizer adds are left out.
    """

    ids: list[list[int]]
    skip_special_tokens: bool


class Cancel(Struct, tag="cancel", array_like=True, frozen=True):
    """Drop what is not computed yet of a call. It has no reply of its own.

    Attributes:
        call: The number of the call.
    """

    call: int


class Count(_OfModel, tag="count", array_like=True, frozen=True):
    """Say what a model is doing and has done, and what it is."""


class ReadTrace(Struct, tag="trace", array_like=True, frozen=True):
    """Say what was noted of what takes how long.

    Attributes:
        call: The number of the call.
    """

    call: int


class ListPrerequisites(Struct, tag="prerequisites", array_like=True, frozen=True):
    """Say what was imported and read to compute the models.

    Attributes:
        call: The number of the call.
    """

    call: int


class Stop(Struct, tag="stop", array_like=True, frozen=True):
    """Answer what was asked, and end."""


class Answered(Struct, tag="answered", array_like=True, frozen=True):
    """The answer to ``Ask``.

    Attributes:
        call: The number of the call.
        results: Numbers, texts, arrays, and lists and dicts of them.
        artifact: The artifact that computed them.
        embedding_space: The space in which they lie.
        texts: How many texts there were; 0 if items are not texts.
        cut: For each text that was cut, how many tokens it lost, and whether there were more.
        tokens: The tokens that were computed.
        parity_class: How well the artifact agreed with the original.
        queue_s: How long it waited.
        compute_s: How long it took from then on.
        phases: When it was done, on the clock of ``time.monotonic``; ``None`` if that is not known.
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
    """The answer of a task that labels parts of texts; see ``Answered``."""

    results: list[tuple[Span, ...]]


class Done(Struct, tag="done", array_like=True, frozen=True):
    """The reply to every other call.

    Attributes:
        call: The number of the call.
        value: What it gave.
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
        causes: What it was raised from, as texts.
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
"""Everything that is said."""
