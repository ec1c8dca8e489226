"""The names of the free dims of a graph's inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from inferox.core import BATCH, SEQUENCE, ConfigError, Dim, PackageError, counted

_TOKEN_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})

_UNNAMED = frozenset({"", "?", "-1", "None", "none", "unk"})
"""The placeholders that exporters write for unnamed dims. Each occurrence is a dim of its own."""

_ROWS = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)
"""The names that exporters give to the number of rows."""


_MADE_UP = re.compile(r"unk__\d+|(p2o\.)?DynamicDimension\.\d+|s\d+|dim_?\d+|.*_dynamic_axes_\d+|.*_dim_\d+")
"""The numbered names that exporters generate, which carry no meaning."""


def is_made_up(name: str) -> bool:
    """Returns whether a dim's name is one that an exporter made up, such as ``unk__214``.

    Args:
        name: The name.
    """
    return _MADE_UP.fullmatch(name) is not None


def name_dims(
    shapes: Mapping[str, Sequence[Dim | None]], stated: Mapping[str, Sequence[Dim]] | None
) -> dict[str, tuple[Dim, ...]]:
    """Names the free dims of a graph's inputs.

    Args:
        shapes: The dims of each input: numbers, the graph's own names, or ``None`` for unnamed ones.
        stated: The dims of inputs as the user states them.

    Returns:
        The dims of each input. They keep the graph's own names, except that names such as ``N`` or ``batch_size``
        become ``batch``, and in the usual inputs of text models the first dim is ``batch`` and the second is ``seq``. A
        dim without a name is named after its place, such as ``x_0``.

    Raises:
        PackageError: If there are no inputs.
        ConfigError: If dims are stated for an input that does not exist, or do not fit it.
    """
    if not shapes:
        raise PackageError("the graph takes no inputs, so there is nothing to compute")
    unknown = sorted(set(stated or {}) - set(shapes))
    if unknown:
        raise ConfigError(f"dims are given for {', '.join(unknown)}, but the model takes {', '.join(shapes)}")
    labelled = {
        name: [_label(name, axis, dim) for axis, dim in enumerate(shape)]
        for name, shape in shapes.items()
        if name not in (stated or {})
    }
    usual = _usual_names(labelled)
    named: dict[str, tuple[Dim, ...]] = {}
    for name, shape in shapes.items():
        if stated and name in stated:
            dims = tuple(stated[name])
            if len(dims) != len(shape):
                raise ConfigError(
                    f"the dims of {name} are {list(dims)}, but it has {counted(len(shape), 'axis', 'axes')}"
                )
            named[name] = dims
        else:
            named[name] = tuple(usual.get(dim, dim) for dim in labelled[name])
    return named


def _label(name: str, axis: int, dim: Dim | None) -> Dim:
    return f"{name}_{axis}" if dim is None or dim in _UNNAMED else dim


def _usual_names(shapes: Mapping[str, Sequence[Dim]]) -> dict[Dim, str]:
    """Maps the graph's names to those that Inferox uses."""
    usual: dict[Dim, str] = {}
    for name, dims in shapes.items():
        if name in _TOKEN_INPUTS:
            usual |= {dim: known for dim, known in zip(dims, (BATCH, SEQUENCE), strict=False) if isinstance(dim, str)}
    rows = _row_names(shapes.values())
    if len(rows) == 1 and BATCH not in usual.values():
        usual[rows.pop()] = BATCH
    return usual


def _row_names(shapes: Iterable[Sequence[Dim]]) -> set[str]:
    """Finds the names of rows that come first in an input."""
    return {dims[0] for dims in shapes if dims and isinstance(dims[0], str) and _ROWS.fullmatch(dims[0])}
