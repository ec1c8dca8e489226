"""The base of backends that compute only on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

from inferox.backends.host.device import HostDevice
from inferox.backends.host.tensor import HostTensorBuilder
from inferox.core import Backend, Device, DeviceId, TensorBuilder


class HostBackend(Backend):
    """A backend whose tensors lie in the machine's memory, and which computes on the CPU unless it lists more devices.

    A runtime that uses NumPy's memory directly needs nothing more; others override ``_make_builder``, and those with
    accelerators that read the machine's memory also override ``devices``.
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
        """Returns the builder of tensors on the CPU.

        Raises:
            BackendUnavailableError: If the backend cannot run here, or for any other device.
        """
        self.require()
        return self._make_builder().with_device(device or DeviceId.cpu())

    def _make_builder(self) -> TensorBuilder:
        """Makes the builder of the runtime's tensors, once it is known to be available; by default of NumPy arrays."""
        return HostTensorBuilder(self.name)
