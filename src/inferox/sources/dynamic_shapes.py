"""The extents that vary, in the form that ``torch.export.export(dynamic_shapes=…)`` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.export import Dim as TorchDim

from inferox.core import BATCH, ConfigError, Dim, PackageError, TensorSpec, counted

_LEAST = 2
"""The least extent that any module may require: ``torch.export`` specialises on 0 and 1."""

_UNLIMITED = 2**31 - 1
"""The largest extent that counts as a limit: ``torch.export`` has a symbol for no limit."""

_BY_AXIS = "{0: torch.export.Dim('batch')}"


@dataclass
class StatedShapes:
    """The extents that a caller declares as variable.

    Attributes:
        dims: The dims of each input by name.
        limits: The largest extent of a named dim, where one is stated.
        hinted: Dims without a name: they may turn out to equal another dim, or to be fixed.
        dynamic: The inputs and axes that must not turn out to be fixed (``Dim.DYNAMIC``).
    """

    dims: dict[str, tuple[Dim, ...]] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    hinted: set[str] = field(default_factory=set)
    dynamic: list[tuple[str, int]] = field(default_factory=list)

    def check(self, inputs: Sequence[TensorSpec]) -> None:
        """Refuses a module that fixes an extent that was declared as variable.

        Args:
            inputs: The inputs as measured.

        Raises:
            PackageError: If it does.
        """
        found = {spec.name: spec.dims for spec in inputs}
        for name, axis in self.dynamic:
            if isinstance(found[name][axis], int):
                raise PackageError(
                    f"axis {axis} of {name!r} is Dim.DYNAMIC, but the module takes no other extent than "
                    f"{found[name][axis]}",
                    hint="write Dim.AUTO for an axis that may be fixed",
                )


def read_dynamic_shapes(
    shapes: Any, examples: Mapping[str, torch.Tensor], order: Sequence[str] | None = None
) -> StatedShapes:
    """Reads the extents that vary. As in ``torch.export``, every axis that is not named has the extent of its example.

    Args:
        shapes: For each input, by name or in order, a dict by axis or a sequence with one entry per axis, of
            ``torch.export.Dim``, ``Dim.AUTO``, ``Dim.DYNAMIC``, ``Dim.STATIC``, a fixed extent or ``None``.
        examples: The examples, in the order in which the module takes them.
        order: The names of all inputs in order, including omitted ones; ``None`` for those of the examples.

    Raises:
        ConfigError: If it has another form, or states something that a package cannot; it names the input and the axis.
    """
    stated = StatedShapes()
    for name, shape in _by_input(shapes, examples, list(examples) if order is None else order).items():
        extents = tuple(examples[name].shape)
        axes = _by_axis(shape, name, len(extents))
        stated.dims[name] = tuple(
            _read_dim(axes.get(axis), (name, axis), extent, stated) for axis, extent in enumerate(extents)
        )
    named = {dim for dims in stated.dims.values() for dim in dims} - stated.hinted
    stated.hinted -= named
    return stated


def _by_input(shapes: Any, examples: Mapping[str, torch.Tensor], order: Sequence[str]) -> dict[str, Any]:
    names = list(examples)
    if isinstance(shapes, Mapping):
        given = dict(shapes)
    elif isinstance(shapes, tuple | list):
        if len(shapes) != len(order):
            raise ConfigError(
                f"dynamic_shapes has {counted(len(shapes), 'entry', 'entries')}, "
                f"but the module is given {', '.join(order)}",
                hint=_form(examples),
            )
        given = dict(zip(order, shapes, strict=True))
    else:
        raise ConfigError(
            f"dynamic_shapes must be a dict or a tuple, but is a {type(shapes).__name__}", hint=_form(examples)
        )
    given = {name: shape for name, shape in given.items() if name in names or shape is not None}
    unknown, missing = [name for name in given if name not in names], [name for name in names if name not in given]
    if unknown:
        raise ConfigError(f"dynamic_shapes names {unknown[0]!r}, but the module is given {', '.join(names)}")
    if missing:
        raise ConfigError(
            f"dynamic_shapes does not mention {missing[0]!r}", hint=f"write {missing[0]!r}: None if its shape is fixed"
        )
    return given


def _form(examples: Mapping[str, torch.Tensor]) -> str:
    """Returns a hint with the form of ``dynamic_shapes`` for these inputs."""
    inputs = ", ".join(f"{name!r}: {_BY_AXIS if example.ndim else None}" for name, example in examples.items())
    return f"write {{{inputs}}}, as torch.export.export takes them"


def _by_axis(shape: Any, name: str, rank: int) -> dict[int, Any]:
    """Returns what is declared for each axis of an input."""
    if shape is None:
        return {}
    if isinstance(shape, Mapping):
        axes = dict(shape)
    elif isinstance(shape, tuple | list):
        if len(shape) != rank:
            raise ConfigError(
                f"dynamic_shapes of {name!r} has {counted(len(shape), 'entry', 'entries')}, "
                f"but its example has {counted(rank, 'axis', 'axes')}"
            )
        axes = dict(enumerate(shape))
    else:
        raise ConfigError(
            f"dynamic_shapes of {name!r} must be a dict by axis or a sequence, but is a {type(shape).__name__}",
            hint=f"write {_BY_AXIS if rank else None}",
        )
    wrong = next((axis for axis in axes if type(axis) is not int or not 0 <= axis < rank), None)
    if wrong is not None:
        raise ConfigError(
            f"dynamic_shapes of {name!r} names the axis {wrong!r}, but its example has {counted(rank, 'axis', 'axes')}"
        )
    return axes


def _read_dim(stated: Any, where: tuple[str, int], extent: int, shapes: StatedShapes) -> Dim:
    """Reads the dim of one axis.

    Args:
        stated: The entry of ``dynamic_shapes``.
        where: The input and the axis.
        extent: The extent of the example.
        shapes: Receives limits, and dims without a name.
    """
    name, axis = where
    place = f"axis {axis} of {name!r}"
    if stated is None or stated == TorchDim.STATIC:
        return extent
    if type(stated) is int:
        if stated != extent:
            raise ConfigError(f"{place} is stated to be {stated}, but is {extent} in its example")
        return extent
    if isinstance(stated, type(TorchDim.AUTO)):
        if stated.min is not None or stated.max is not None:
            raise ConfigError(f"{place} has a range without a name", hint="write torch.export.Dim('name', max=…)")
        if stated.type == TorchDim.DYNAMIC.type:
            shapes.dynamic.append(where)
        own_name = f"{name}_{axis}" if axis else BATCH
        shapes.hinted.add(own_name)
        return own_name
    if type(stated) is not TorchDim:
        if isinstance(stated, TorchDim):
            raise ConfigError(
                f"{place} is {stated.__name__}, which depends on another dim: a package has no such dims",
                hint="give it a name of its own, or fix both",
            )
        own_name = stated if isinstance(stated, str) and stated.isidentifier() else f"{name}_{axis}"
        raise ConfigError(
            f"{place} is {stated!r}, which is not a torch.export.Dim", hint=f"write torch.export.Dim({own_name!r})"
        )
    _note_range(stated, place, extent, shapes)
    return stated.__name__


def _note_range(stated: Any, place: str, extent: int, shapes: StatedShapes) -> None:
    name, least, most = stated.__name__, stated.min, stated.max
    if least is not None and least > _LEAST:
        raise ConfigError(
            f"{place} is {name}, which must be {least} or more: a package has no least extent of a dim",
            hint=f"leave min out if the module takes fewer; otherwise pad to {least} within the module",
        )
    if not isinstance(most, int) or most > _UNLIMITED:
        return
    if extent > most:
        raise ConfigError(f"{place} is {name}, which is {most} at most, but its example has {extent}")
    if shapes.limits.setdefault(name, most) != most:
        raise ConfigError(f"{name} is {shapes.limits[name]} at most in one place, and {most} in another")
