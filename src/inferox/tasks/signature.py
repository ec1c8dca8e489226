"""The search for the output that a task reads."""

from __future__ import annotations

from inferox.core import ManifestError, Signature, TensorSpec


def find_output(signature: Signature, name: str, *, ndim: int, task: str, shape: str) -> TensorSpec:
    """Finds the output that a task reads: the one with the usual name, or else the only one with that many dims.

    Args:
        signature: The model's signature.
        name: The usual name.
        ndim: The number of dims that the output must have, the batch included.
        task: The task, for the message.
        shape: The required shape of the output, for the message.

    Returns:
        The output. Its last dim is a number.

    Raises:
        ManifestError: If there is no such output, or several.
    """
    fitting = [spec for spec in signature.outputs if len(spec.dims) == ndim and isinstance(spec.dims[-1], int)]
    named = [spec for spec in fitting if spec.name == name]
    candidates = named or fitting
    if len(candidates) != 1:
        given = ", ".join(str(spec) for spec in signature.outputs)
        raise ManifestError(
            f"the task {task} reads one output {shape}, but the model gives {given}",
            hint="use the task raw, which passes tensors on as they are",
        )
    return candidates[0]


def last_extent(spec: TensorSpec) -> int:
    """Returns the extent of a tensor's last dim.

    Raises:
        ManifestError: If that dim is not fixed.
    """
    extent = spec.dims[-1]
    if not isinstance(extent, int):
        raise ManifestError(f"the last dim of {spec} must be a number")
    return extent
