"""The self-test that every backend has, and the required product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from inferox.backends.registry import backend_names, get_backend
from inferox.core import Array, Backend, BackendUnavailableError, DeviceId, ExecutionError
from inferox.testing.numpy_backend import NumpyBackend

CPU = DeviceId.cpu()


def off_by_the_least(product: Array) -> Array:
    """Replaces one of many numbers by its neighbour."""
    changed = product.copy()
    changed[7, 5] = np.nextafter(changed[7, 5], np.float32(np.inf))
    return changed


WRONG: dict[str, Callable[[Array], Array]] = {
    "one number is its neighbour": off_by_the_least,
    "transposed": lambda product: product.T,
    "nan": lambda product: np.full_like(product, np.nan),
    "a row": lambda product: product[:1],
    "nothing": lambda product: product[:0],
}


@pytest.mark.parametrize("name", ["numpy", *backend_names()])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_product_is_found(name: str, wrong: Callable[[Array], Array], monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Backend = NumpyBackend() if name == "numpy" else get_backend(name)
    backend.self_test(CPU)
    multiply = backend._multiply
    monkeypatch.setattr(type(backend), "_multiply", lambda _, *given: wrong(multiply(*given)))
    with pytest.raises(ExecutionError, match=rf"{name} multiplies wrongly on cpu: expected .*, got "):
        backend.self_test(CPU)


def test_whatever_it_raises_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Array:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(NumpyBackend, "_multiply", fail)
    with pytest.raises(ExecutionError, match="the backend numpy failed while multiplying two matrices on cpu: ZeroDiv"):
        NumpyBackend().self_test(CPU)


def test_a_device_that_is_not_there_is_never_asked() -> None:
    with pytest.raises(BackendUnavailableError, match="numpy has no device cuda:3 here; it has cpu"):
        NumpyBackend().self_test(DeviceId.cuda(3))
