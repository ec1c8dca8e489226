"""The interface to a library that defines a model."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy.typing as npt

from inferox.parity import ProofInput

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Definition:
    """The results of a library for one input, stage by stage.

    Attributes:
        tokens: The model's inputs by name, without the batch dim and without padding; for an image, its pixels.
        outputs: The model's outputs by name, without the batch dim; empty if it was not computed.
        answer: A vector, a number, or labels with scores as JSON values; ``None`` if it was not computed.
    """

    tokens: Arrays
    outputs: Arrays = field(default_factory=dict)
    answer: Any = None


class DefiningLibrary(ABC):
    """A model as loaded by the library that defines it: in fp32, on the CPU, without any code of Inferox."""

    name: ClassVar[str]
    """The library's distribution, such as ``sentence-transformers``."""

    distributions: ClassVar[tuple[str, ...]]
    """The distributions whose versions determine its answers."""

    def versions(self) -> dict[str, str]:
        """Returns the versions of the distributions that take part."""
        return {name: find_version(name) for name in self.distributions}

    @property
    def takes_own_limit(self) -> bool:
        """True if it cuts texts at the package's limit, because the model's files state none."""
        return False

    def settings(self) -> dict[str, str]:
        """Returns the choices made where the library can prepare an input in several ways, by name; usually empty."""
        return {}

    @abstractmethod
    def define(self, proof_input: ProofInput) -> Definition:
        """Computes one input by itself, through the library's public interface.

        Args:
            proof_input: The input.

        Raises:
            Exception: Whatever the library raises for an input that it does not take.
        """


_MODULES = {"pillow": "PIL"}
"""The modules of distributions that other distributions provide as well, such as pillow-simd."""


def find_version(distribution: str) -> str:
    """Finds the version of a distribution, or of its module if another distribution or none installed that.

    Args:
        distribution: The distribution, whose module is installed.

    Returns:
        The version; ``unknown`` if the module does not state it.
    """
    try:
        return version(distribution)
    except PackageNotFoundError:
        module = import_module(_MODULES.get(distribution, distribution.replace("-", "_")))
        return str(getattr(module, "__version__", "unknown"))


@contextmanager
def captured(module: Any) -> Iterator[list[Any]]:
    """Captures a module's outputs while a library computes, so that they need not be computed twice.

    Args:
        module: A ``torch.nn.Module``.
    """
    outputs: list[Any] = []
    # A copy, because later modules may write into the same mapping.
    handle = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(copy(output)))
    try:
        yield outputs
    finally:
        handle.remove()


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the libraries' messages about loading a model: packing itself reports what matters."""
    from transformers.utils import logging as hf_logging

    verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    logger = logging.getLogger("sentence_transformers")
    level = logger.level
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        logger.setLevel(level)
        if bars:
            hf_logging.enable_progress_bar()
