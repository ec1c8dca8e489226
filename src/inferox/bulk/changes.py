"""The differences between the job of an output and the job that is to continue it, in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inferox.core import counted, shown

_MODEL = {"package": "package", "artifact": "artifact", "task": "task", "embedding_space": "embedding space"}

_IN_PYTHON_ONLY = frozenset({"batch_tokens"})
"""The options that the command line does not have."""

_MAX_INPUTS = 3
"""The most changes of inputs that are listed."""

_Job = Mapping[str, Any]


def describe_changes(before: _Job, now: _Job) -> str:
    """Describes what differs between two jobs: the model, the options as typed, and the files.

    Args:
        before: The job of the output.
        now: The job that is to continue it.
    """
    inputs = list(_input_changes(_inputs_of(before), _inputs_of(now)))
    more = len(inputs) - _MAX_INPUTS
    if more > 0:
        inputs[_MAX_INPUTS:] = [f"{counted(more, 'more input')} changed"]
    found = [*_model_changes(before, now), *_option_changes(_options_of(before), _options_of(now)), *inputs]
    return "; ".join(found) or "its manifest describes another run"


def _model_changes(before: _Job, now: _Job) -> Iterator[str]:
    changed = [name for name in _MODEL if before.get(name) != now.get(name)]
    for name in changed:
        # An embedding space follows from the others.
        if name != "embedding_space" or changed == [name]:
            then, later = (_word(job.get(name) or "none") for job in (before, now))
            yield f"its {_MODEL[name]} was {then}, but now is {later}"


def _option_changes(before: _Job, now: _Job) -> Iterator[str]:
    changed = [name for name in dict.fromkeys((*before, *now)) if before.get(name) != now.get(name)]
    if changed:
        then, later = (" and ".join(_option(name, of.get(name)) for name in changed) for of in (before, now))
        yield f"it was begun {then}, but is to be continued {later}"


def _input_changes(before: Sequence[_Job], now: Sequence[_Job]) -> Iterator[str]:
    names_before, names_now = ([str(file.get("name")) for file in files] for files in (before, now))
    gone, new = Counter(names_before) - Counter(names_now), Counter(names_now) - Counter(names_before)
    yield from (f"{_word(name)} is no longer among the inputs" for name in gone.elements())
    yield from (f"{_word(name)} is new among the inputs" for name in new.elements())
    if gone or new:
        return
    if names_before != names_now:
        yield "the inputs are in another order"
        return
    for name, old, file in zip(names_now, before, now, strict=True):
        sizes = old.get("size"), file.get("size")
        if sizes[0] != sizes[1]:
            yield f"the size of {_word(name)} was {_bytes(sizes[0])}, but now is {_bytes(sizes[1])}"
        elif old != file:
            yield f"the content of {_word(name)} has changed, but not its size"


def _options_of(job: _Job) -> dict[str, Any]:
    """Returns the options by their names on the command line, without their dashes."""
    options = job.get("options")
    values = dict(options) if isinstance(options, Mapping) else {}
    form = values.pop("form", None)
    return {"format": job.get("format"), **values, **(form if isinstance(form, Mapping) else {})}


def _inputs_of(job: _Job) -> list[_Job]:
    inputs = job.get("inputs")
    return [file for file in inputs if isinstance(file, Mapping)] if isinstance(inputs, list) else []


def _option(name: str, value: Any) -> str:
    flag = name if name in _IN_PYTHON_ONLY else f"--{name.replace('_', '-')}"
    if value is None or value is False:
        return f"without {flag}"
    if isinstance(value, list):
        value = ("/" if name == "shard" else ",").join(map(str, value))
    return f"with {flag}" if value is True else f"with {flag} {_word(value)}"


def _word(value: Any) -> str:
    """Formats a value as it is if it is one word, as names and digests are, or quoted."""
    text = str(value)
    return text if re.fullmatch(r"[\w.,:/+-]{1,120}", text) else shown(text)


def _bytes(size: Any) -> str:
    return counted(size, "byte") if isinstance(size, int) else "unknown"
