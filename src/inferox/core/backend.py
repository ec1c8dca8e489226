"""A backend: a runtime behind the contract that the rest of Inferox works with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from inferox.core.artifact import Artifact, TrustTier
from inferox.core.batch import Array
from inferox.core.border import ErrorBorder, closed_on_failure, is_failure
from inferox.core.device import Device, DeviceId
from inferox.core.error_root import first_line
from inferox.core.errors import (
    BackendUnavailableError,
    ConfigError,
    ExecutionError,
    LoadError,
    UntrustedCodeError,
)
from inferox.core.model import Model
from inferox.core.source import Exporter
from inferox.core.tensor import TensorBuilder


@dataclass(frozen=True)
class Availability:
    """The result of probing whether a backend can run on this machine.

    Attributes:
        version: The runtime's version; ``None`` if it is not available.
        reason: Why it is not available; ``None`` if it is.
        hint: What to install or change; ``None`` if it is available.
    """

    version: str | None = None
    reason: str | None = None
    hint: str | None = None

    @property
    def available(self) -> bool:
        """Whether the backend can be used."""
        return self.reason is None


def probe_module(name: str, *, extra: str) -> Availability:
    """Imports the module of a runtime, for a backend's ``probe``. Never raises.

    Args:
        name: The module, such as ``torch``.
        extra: The extra of Inferox that installs it.
    """
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        return Availability(reason=f"{error.name} is not installed", hint=f"pip install 'inferox[{extra}]'")
    except BaseException as error:
        if not is_failure(error, importing=True):
            raise
        return Availability(
            reason=f"{name} is installed but cannot be imported: {first_line(error)}",
            hint=f"pip install --force-reinstall 'inferox[{extra}]'",
        )
    return Availability(version=str(getattr(module, "__version__", "unknown")))


def check_model(loaded: Any, artifact: Artifact) -> Model:
    """Returns what a backend loaded, if it is a model.

    Args:
        loaded: What the backend returned.
        artifact: The artifact that it was asked to load.

    Raises:
        LoadError: If it is not a model.
    """
    if not isinstance(loaded, Model):
        raise LoadError(
            f"the backend {artifact.backend} returned a value of the type {type(loaded).__name__} in place of a model",
            hint="report it to the authors of the backend",
        )
    return loaded


@dataclass(frozen=True)
class LoadOptions:
    """Options for loading an artifact.

    Attributes:
        package: The name of the package, which becomes the model's name.
        threads: The number of CPU threads that the runtime may use; ``None`` for one per core available to this
            process.
        compile: Whether to compile the model just in time, where the backend can.
        trust_code: Whether the operator allows code that comes with the package to run.
        batch_invariant: Whether the artifact was measured to be batch invariant; see ``ModelMetadata``.
        streams: The number of concurrent calls among which the threads are divided, where the runtime can do so;
            ``None`` for one per thread. A call that runs alone gets all threads.

    Raises:
        ConfigError: If ``streams`` is less than 1.
    """

    package: str
    threads: int | None = None
    compile: bool = False
    trust_code: bool = False
    batch_invariant: bool | None = None
    streams: int | None = None

    def __post_init__(self) -> None:
        if self.streams is not None and self.streams < 1:
            raise ConfigError(f"streams must be a positive integer, but is {self.streams}")


class Backend(ABC):
    """A runtime behind the contract. Importing or constructing a backend never imports the runtime itself."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The backend's name, such as ``torch``."""

    @property
    def distributions(self) -> tuple[str, ...]:
        """The names of the distributions that may install the runtime. Their versions are recorded in the evidence.

        By default, the backend's own name.
        """
        return (self.name,)

    @abstractmethod
    def probe(self) -> Availability:
        """Probes whether the backend can run here. Never raises."""

    def find_availability(self) -> Availability:
        """Probes whether the backend can run here. A probe that fails, as it should not, is reported, not raised."""
        try:
            found: Any = self.probe()
        except BackendUnavailableError as error:
            return Availability(reason=error.message, hint=error.hint)
        except BaseException as error:
            if not is_failure(error, importing=True):
                raise
            found = f"{type(error).__name__}: {first_line(error)}"
        else:
            if isinstance(found, Availability):
                return found
            found = f"it returned a value of the type {type(found).__name__}"
        return Availability(reason=f"asking it failed: {found}", hint="report it to the authors of the backend")

    def require(self) -> None:
        """Raises an error unless the backend can run here.

        Raises:
            BackendUnavailableError: If it cannot.
        """
        availability = self.find_availability()
        if not availability.available:
            raise BackendUnavailableError(
                f"the backend {self.name} cannot run here: {availability.reason}", hint=availability.hint
            )

    @abstractmethod
    def devices(self) -> Sequence[Device]:
        """Lists the devices that can be used now.

        Raises:
            BackendUnavailableError: If the backend cannot run here.
        """

    @abstractmethod
    def default_device(self) -> DeviceId:
        """Returns the device that is used if none is named.

        Raises:
            BackendUnavailableError: If the backend cannot run here.
        """

    @abstractmethod
    def tensor_builder(self, device: DeviceId | None = None) -> TensorBuilder:
        """Returns a builder of tensors on a device, or on the default one.

        Raises:
            BackendUnavailableError: If the backend cannot run here, or there is no such device.
        """

    def self_test(self, device: DeviceId) -> None:
        """Multiplies two small integer-valued matrices on a device and compares the product with the exact one.

        Args:
            device: The device to compute on.

        Raises:
            BackendUnavailableError: If the backend cannot run here, or there is no such device.
            ExecutionError: If the runtime fails, or the product is wrong.
        """
        there = [known.id for known in self.devices()]
        if device not in there:
            listed = ", ".join(map(str, there)) or "none"
            raise BackendUnavailableError(f"{self.name} has no device {device} here; it has {listed}")
        # Whole numbers this small are exact even where a GPU rounds the factors of a product to 10 bits (TF32).
        left, right = (np.arange(256, dtype=np.float32).reshape(16, 16) % modulus - 3 for modulus in (7, 5))
        border = ErrorBorder(f"the backend {self.name}")
        with border(f"multiplying two matrices on {device}", default=ExecutionError):
            product = np.asarray(self._multiply(left, right, device))
        if not np.array_equal(product, left @ right):
            raise ExecutionError(
                f"{self.name} multiplies wrongly on {device}: expected a product that begins with "
                f"{(left @ right).ravel()[:4]}, got {product.ravel()[:4]} in {list(product.shape)}",
                hint="install the runtime again, and check that it is built for this machine",
            )

    @abstractmethod
    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:
        """Multiplies two matrices with the runtime, on a device that exists.

        Args:
            left: The first matrix; float32.
            right: The second matrix; float32.
            device: The device to compute on.

        Returns:
            The product, copied to the CPU.
        """

    @abstractmethod
    def can_load(self, artifact: Artifact) -> bool:
        """Returns whether the artifact is one of this backend's, in a format that it reads. Opens no file."""

    def lacks(self, artifact: Artifact, device: DeviceId | None) -> str | None:  # noqa: ARG002 - for backends to answer
        """Describes what this machine lacks to compute an artifact in its precision. Imports no runtime.

        If something is lacking, the artifact is loaded only if its precision is requested by name, and the runtime
        decides.

        Args:
            artifact: An artifact that this backend reads.
            device: Where it is to be loaded; ``None`` for the default device.

        Returns:
            What is lacking, as a sentence; ``None`` if nothing is, or if only the runtime could tell.
        """
        return None

    def extra_code(self, artifact: Artifact) -> str | None:  # noqa: ARG002 - for backends to answer
        """Describes the code that loading a data artifact runs beside the runtime: a plug-in of this machine.

        It runs only if the operator trusts the package, since the package decides what the plug-in computes. Imports
        no runtime and no plug-in.

        Args:
            artifact: An artifact that this backend reads.

        Returns:
            The code, as a phrase; ``None`` if there is none.
        """
        return None

    def list_loaded(self) -> tuple[str, ...]:
        """Lists what this process has loaded that another could load before it forks, so that its forks need not.

        Only what computes on the calling thread qualifies, since only that survives a fork. By default nothing.

        Returns:
            One opaque text per item, for ``load_in_advance`` of the same backend.
        """
        return ()

    def load_in_advance(self, listed: Sequence[str]) -> None:  # noqa: B027 - by default nothing is listed
        """Loads what another process has listed, for the forks of this process to use. It must not start a thread.

        Args:
            listed: The result of ``list_loaded`` in the other process.

        Raises:
            Exception: Whatever loading raises.
        """

    def exporter(self) -> Exporter | None:
        """The exporter that writes artifacts of this backend at pack time; ``None`` if it only reads them."""
        return None

    def load(self, artifact: Artifact, device: DeviceId | None, options: LoadOptions) -> Model:
        """Loads an artifact on a device.

        Args:
            artifact: An artifact of a package that lies on this machine's disk.
            device: Where to load it; ``None`` for the default device.
            options: How to load it.

        Raises:
            UntrustedCodeError: If the artifact is code, or runs a plug-in, and ``options.trust_code`` is not set.
            BackendUnavailableError: If the backend cannot run here, or there is no such device.
            UnsupportedDTypeError: If the device lacks the artifact's precision.
            LoadError: If the runtime refuses the artifact, or it is not one of this backend's.
            OutOfMemoryError: If it does not fit.

        Anything else that the backend raises becomes a ``LoadError`` that names the exception, so that callers go on to
        the next artifact.
        """
        with ErrorBorder(f"the backend {self.name}")(f"loading {artifact.name}", default=LoadError):
            return self._load(artifact, device, options)

    def _load(self, artifact: Artifact, device: DeviceId | None, options: LoadOptions) -> Model:
        if not self.can_load(artifact):
            raise LoadError(f"the backend {self.name} does not read {artifact.name}")
        if artifact.trust_tier is TrustTier.CODE and not options.trust_code:
            raise UntrustedCodeError(
                f"loading {artifact.name} of {options.package!r} runs code that comes with the package",
                hint="if you trust where it comes from, pass trust_code=True, or --trust-code on the command line",
            )
        with ErrorBorder(f"the backend {self.name}")(f"asking what loading {artifact.name} runs", default=LoadError):
            code = None if options.trust_code else self.extra_code(artifact)
        if code is not None:
            raise UntrustedCodeError(
                f"loading {artifact.name} of {options.package!r} runs {code}",
                hint="if you trust both, pass trust_code=True, or --trust-code on the command line",
            )
        self.require()
        model = check_model(self._open(artifact, device or self.default_device(), options), artifact)
        with closed_on_failure(model, f"the backend {self.name}"):
            model.note_invariance(options.batch_invariant)
        return model

    @abstractmethod
    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        """Loads an artifact that this backend reads and that is trusted, on a machine where the backend can run."""
