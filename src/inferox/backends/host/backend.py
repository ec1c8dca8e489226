"""The base of backends that compute on the CPU alone."""

from __future__ import annotations

from collections.abc import Sequence

from inferox.backends.host.device import HostDevice
from inferox.backends.host.tensor import HostTensorBuilder
from inferox.core import Backend, Device, DeviceId, TensorBuilder


class HostBackend(Backend):
    """A backend whose tensors lie in the machine's memory, and which computes on the CPU unless it lists more.

    A runtime that takes NumPy's memory as it is needs nothing more; others override ``_make_builder``, and those that
    have accelerators which read the machine's memory also override ``devices``.
    """

    def devices(self) -> Sequence[Device]:
        """The CPU.

        Raises:
            BackendUnavailableError: If the backend cannot run here.
        """
        self.require()
        return (HostDevice(),)

    def default_device(self) -> DeviceId:
        """The CPU.

        Raises:
            BackendUnavailableError: If the backend cannot run here.
        """
        self.require()
        return DeviceId.cpu()

    def tensor_builder(self, device: DeviceId | None = None) -> TensorBuilder:
        """Makes tensors on the CPU.

        Raises:
            BackendUnavailableError: If the backend cannot run here, or for any other device.
        """
        self.require()
        return self._make_builder().with_device(device or DeviceId.cpu())

    def _make_builder(self) -> TensorBuilder:
        """Makes tensors of the runtime, which is there; by default of NumPy's arrays."""
        return HostTensorBuilder(self.name)
