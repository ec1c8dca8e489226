"""The check that a graph is the one that its artifact describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferox.core.artifact import Artifact
from inferox.core.dtype import DataType
from inferox.core.errors import LoadError
from inferox.core.shown_text import counted
from inferox.core.spec import TensorSpec


@dataclass(frozen=True)
class GraphPort:
    """An input or output of a graph, as its runtime reports it.

    Attributes:
        names: Its names: a tensor that the graph passes through unchanged may have several.
        dtype: The type of its elements; ``None`` for one that Inferox lacks.
        ndim: The number of its axes; ``None`` if that is not known before it is computed.
    """

    names: frozenset[str]
    dtype: DataType | None
    ndim: int | None

    def fits(self, spec: TensorSpec) -> bool:
        """Returns whether the port matches a tensor of a signature."""
        return spec.name in self.names and self.dtype is spec.dtype and self.ndim in {None, len(spec.dims)}

    def __str__(self) -> str:
        axes = "an unknown number of axes" if self.ndim is None else counted(self.ndim, "axis", "axes")
        return f"{'/'.join(sorted(self.names))} ({self.dtype or 'of a foreign type'}, {axes})"


def check_graph(artifact: Artifact, inputs: Sequence[GraphPort], outputs: Sequence[GraphPort]) -> None:
    """Refuses a graph that differs from its artifact's description.

    Args:
        artifact: The artifact.
        inputs: The inputs of the graph.
        outputs: The outputs of the graph.

    Raises:
        LoadError: If its inputs differ from the artifact's signature, or an output is missing.
    """
    wanted, given = artifact.signature.inputs, artifact.signature.outputs
    found = [
        any(port.fits(spec) for port in ports)
        for specs, ports in ((wanted, inputs), (given, outputs))
        for spec in specs
    ]
    if not all(found) or len(inputs) != len(wanted):
        takes, gives = ("; ".join(map(str, ports)) or "nothing" for ports in (inputs, outputs))
        stated = "; ".join(map(str, (*wanted, *given)))
        raise LoadError(
            f"the graph of {artifact.name} takes {takes} and gives {gives}, but the package says {stated}",
            hint="pack the model again",
        )
