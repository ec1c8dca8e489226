"""Checks of the inputs that a ``torch.export`` program really takes, as it may silently fit only the examples."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode, is_concrete_int

from inferox.backends.torch.model import name_outputs
from inferox.core import BATCH, LoadError, Signature, counted

Tensors = Mapping[str, torch.Tensor]

Call = Callable[[Tensors], Any]
"""A function of named tensors that returns a tensor, a tuple or list of them, or a mapping by name."""

_ROWS = 2
"""The number of rows with which a program is captured: ``torch.export`` treats 1 as a fixed extent."""

_OTHER_ROWS = (1, 3)

_UNLIMITED = 2**31
"""The extent from which a limit counts as no limit: PyTorch gives larger ones to unlimited extents."""

_ROUGHLY = 1e-3
"""The largest difference between a program and its module before they count as different; parity is measured later."""

_HINT = (
    "its code must treat every row alike, whatever their number, change neither its inputs nor itself, and draw no "
    "random numbers, as dropout does"
)

_PLACE = re.compile(r'File "([^"\n]+)", line (\d+), in [^\n]*\n +([^\n]+)')
"""The place in a module's code that PyTorch's message names."""


@contextmanager
def capturing() -> Iterator[None]:
    """Says to a module's author what to change where ``torch.export`` refuses code that decides by values.

    Raises:
        LoadError: If the code decides by the values of tensors.
    """
    try:
        yield
    except Exception as error:
        reason = root_cause(error)
        if not isinstance(reason, GuardOnDataDependentSymNode):
            raise
        places = [f": line {line} of {file}, {code}" for file, line, code in _PLACE.findall(str(reason))]
        raise LoadError(
            f"the module decides by the values of tensors, which cannot be captured{places[-1] if places else ''}",
            hint="compute both sides and choose with torch.where, or pack TorchScript of the module",
        ) from error


def root_cause(error: BaseException) -> BaseException:
    """Returns the first exception of a chain, as the outermost may only name the step that failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def examples_to_capture(examples: Tensors, signature: Signature) -> dict[str, torch.Tensor]:
    """Repeats or cuts examples to two rows, and repeats other variable extents of 1 to 2.

    Args:
        examples: An example of each input by name.
        signature: The model's signature.
    """
    captured = _with_extent(examples, signature, BATCH, _ROWS)
    for dim, extent in _extents(captured, signature).items():
        if extent == 1:  # which torch.export treats as fixed
            captured = _with_extent(captured, signature, dim, 2)
    return captured


def check_rows(run: Call, reference: Call, examples: Tensors, signature: Signature) -> None:
    """Compares a program with its module for other numbers of rows than it was captured with.

    If the code branches on the number, a program silently contains only the captured branch. One that keeps a state
    fails here too.

    Args:
        run: Calls the program.
        reference: Calls its module.
        examples: The examples with which the program was captured. Both get copies.
        signature: The module's signature.

    Raises:
        LoadError: If the program fails, or computes something else.
    """
    for rows in _OTHER_ROWS:
        inputs = _with_extent(examples, signature, BATCH, rows)
        try:
            found, expected = (name_outputs(call(_copied(inputs)), signature.output_names) for call in (run, reference))
            torch.testing.assert_close(found, expected, rtol=_ROUGHLY, atol=_ROUGHLY, equal_nan=True)
        except Exception as error:
            raise LoadError(f"the model was captured for {_ROWS} rows, and fails for {rows}", hint=_HINT) from error


def check_limit(program: ExportedProgram, signature: Signature) -> None:
    """Refuses a program that only has the branch for few rows.

    Args:
        program: The program.
        signature: The module's signature.

    Raises:
        LoadError: If the number of rows has a limit.
    """
    for dim, _, most in _captured_ranges(program, signature):
        if dim == BATCH and most < _UNLIMITED:
            raise LoadError(f"the model was captured for {_ROWS} rows, and fails for more than {most}", hint=_HINT)


def check_other_limits(program: ExportedProgram, reference: Call, examples: Tensors, signature: Signature) -> None:
    """Refuses a program that only has the branch for small extents of anything but rows.

    PyTorch itself refuses inputs for which a program has no branch; a graph made from the program would compute
    something.

    Args:
        program: The program.
        reference: Calls its module, which may have the same limit of its own: the length of a table of positions.
        examples: The examples with which the program was captured.
        signature: The module's signature.

    Raises:
        LoadError: If the module takes more than the program.
    """
    extents = _extents(examples, signature)
    for dim, least, most in _captured_ranges(program, signature):
        if dim == BATCH or least == most or most >= _UNLIMITED:
            continue
        if _takes(reference, examples, signature, dim, most + 1):
            raise LoadError(
                f"the model was captured for {extents[dim]} {dim}, and fails for more than {most}",
                hint=f"its code must do the same for every extent of {dim}; or state a fixed number for it",
            )


def honest_signature(program: ExportedProgram, signature: Signature) -> Signature:
    """Returns the signature with a number wherever a program turned out to take only one extent.

    Args:
        program: The program.
        signature: The module's signature.

    Raises:
        LoadError: If the number of rows is fixed.
    """
    fixed = {dim: least for dim, least, most in _captured_ranges(program, signature) if least == most}
    if BATCH in fixed:
        raise LoadError(f"the program takes {counted(fixed[BATCH], 'row')}, and no other number", hint=_HINT)
    return signature.fixed(fixed)


def _captured_ranges(program: ExportedProgram, signature: Signature) -> Iterator[tuple[str, int, int]]:
    """Yields the range of each named dim of the inputs in a program."""
    shapes = {node.name: node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder"}
    for spec, node in zip(signature.inputs, program.graph_signature.user_inputs, strict=True):
        for dim, extent in zip(spec.dims, shapes[str(node)], strict=True):
            if isinstance(dim, str):
                yield dim, *_range(program, extent)


def _range(program: ExportedProgram, extent: int | torch.SymInt) -> tuple[int, int]:
    if isinstance(extent, int) or is_concrete_int(extent):
        return int(extent), int(extent)
    # When captured for ONNX, a fixed extent stays a symbol, and only its range tells.
    limits = program.range_constraints.get(extent.node.expr)
    if limits is None:
        return 0, _UNLIMITED
    return int(limits.lower), int(min(limits.upper, _UNLIMITED))


def _takes(call: Call, examples: Tensors, signature: Signature, dim: str, extent: int) -> bool:
    """Returns whether shapes are valid with another extent. Nothing is computed, as memory may not suffice."""
    with FakeTensorMode(allow_non_fake_inputs=True) as shapes_alone:
        inputs = {name: shapes_alone.from_tensor(value) for name, value in examples.items()}
        try:
            call(_with_extent(inputs, signature, dim, extent))
        except Exception:  # noqa: BLE001 - whatever the user's code raises
            return False
    return True


def _copied(inputs: Tensors) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in inputs.items()}


def _extents(inputs: Tensors, signature: Signature) -> dict[str, int]:
    """Returns the extent of each named dim in inputs."""
    return {
        dim: extent
        for spec in signature.inputs
        for dim, extent in zip(spec.dims, inputs[spec.name].shape, strict=True)
        if isinstance(dim, str)
    }


def _with_extent(examples: Tensors, signature: Signature, dim: str, extent: int) -> dict[str, torch.Tensor]:
    """Repeats or cuts the examples along a named dim to an extent."""
    inputs = dict(examples)
    for spec in signature.inputs:
        for axis in [axis for axis, name in enumerate(spec.dims) if name == dim]:
            value = inputs[spec.name]
            inputs[spec.name] = value.index_select(axis, torch.arange(extent) % value.shape[axis])
    return inputs
