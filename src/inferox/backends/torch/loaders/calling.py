"""The calling convention of exported programs: some inputs by position, some by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._pytree import TreeSpec, tree_unflatten

from inferox.core import LoadError


def caller(spec: TreeSpec, names: Sequence[str]) -> Callable[[Callable[..., Any], Mapping[str, torch.Tensor]], Any]:
    """Makes a function that calls a program with named tensors, according to its calling convention.

    Args:
        spec: The program's input tree: a tuple of arguments, and a dict of those that are passed by name.
        names: The inputs in the order of the signature; those passed by position come first.

    Raises:
        LoadError: If the program takes anything but a flat list of tensors.
    """
    # Numbers in place of tensors reveal the tree's structure, as PyTorch itself reads it.
    arguments, keywords = tree_unflatten(range(spec.num_leaves), spec)
    positional, named = len(arguments), list(keywords)
    if not all(isinstance(place, int) for place in (*arguments, *keywords.values())):
        raise LoadError(
            "the program takes nested structures of tensors, but must take them side by side",
            hint="export it with only tensors as its inputs",
        )
    if positional + len(named) != len(names) or not set(named) <= set(names[positional:]):
        raise LoadError(
            f"the program takes {positional} tensors by position and {', '.join(named) or 'none'} by name, "
            f"but the signature lists {', '.join(names)}",
            hint="pack the model again",
        )

    def call(run: Callable[..., Any], inputs: Mapping[str, torch.Tensor]) -> Any:
        return run(*(inputs[name] for name in names[:positional]), **{name: inputs[name] for name in named})

    return call
