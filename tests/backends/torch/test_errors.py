from __future__ import annotations

import pytest
import torch

from inferox.backends.torch.errors import listed, translated
from inferox.core import ExecutionError, InferoxError, LoadError, OutOfMemoryError, ShapeMismatchError

CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.18 GiB of which 512.50 MiB is "
    "free. Process 1 has 77.00 GiB memory in use. Of the allocated memory 76.00 GiB is allocated by PyTorch."
)
METAL = (
    "MPS backend out of memory (MPS allocated: 6.00 GiB, other allocations: 1.00 GiB, max allowed: 8.00 GiB). "
    "Tried to allocate 2.00 GiB on private pool."
)


def translate(error: BaseException, default: type[ExecutionError | LoadError] = ExecutionError) -> InferoxError:
    with pytest.raises(InferoxError) as caught, translated("computing minilm", default=default):
        raise error
    assert caught.value.__cause__ is error or caught.value is error
    return caught.value


def test_a_cpu_that_lacks_memory_says_how_much_was_asked_and_how_much_is_free() -> None:
    with pytest.raises(OutOfMemoryError) as caught, translated("computing minilm", default=ExecutionError):
        torch.empty(2**52, dtype=torch.float64)
    assert caught.value.requested_bytes == 2**55
    assert caught.value.free_bytes is not None
    assert 0 < caught.value.free_bytes < 2**55
    expected = f"torch does not have enough memory for computing minilm: {2**55:,} bytes requested, "
    assert str(caught.value).startswith(expected)


def test_a_size_that_overflows_is_a_lack_of_memory() -> None:
    with pytest.raises(OutOfMemoryError), translated("computing minilm", default=ExecutionError):
        torch.empty(2**62, dtype=torch.float64)


@pytest.mark.parametrize(
    ("error", "requested", "free"),
    [
        (torch.OutOfMemoryError(CUDA), 2 << 30, int(512.5 * 2**20)),
        (RuntimeError(METAL), 2 << 30, 1 << 30),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), None, None),
        (MemoryError(), None, None),
    ],
)
def test_every_device_that_lacks_memory(error: Exception, requested: int | None, free: int | None) -> None:
    found = translate(error, LoadError)
    assert isinstance(found, OutOfMemoryError)
    assert (found.requested_bytes, found.free_bytes) == (requested, free)
    assert found.hint is not None


def test_any_other_exception_becomes_the_default_with_its_first_line() -> None:
    error = translate(RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)\nException raised from: …"))
    assert type(error) is ExecutionError
    assert str(error) == "torch failed while computing minilm: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"
    assert type(translate(RuntimeError("x"), LoadError)) is LoadError
    assert str(translate(KeyError("a"))) == "torch failed while computing minilm: KeyError: 'a'"
    assert str(translate(ValueError())) == "torch failed while computing minilm: ValueError"


def test_torchscript_puts_the_reason_last() -> None:
    script = torch.jit.script(_double_first)
    with (
        pytest.raises(ExecutionError, match=r"computing minilm: select\(\): index 0 out of range") as caught,
        translated("computing minilm", default=ExecutionError),
    ):
        script(torch.zeros(0))
    assert "\n" not in str(caught.value)


def _double_first(values: torch.Tensor) -> torch.Tensor:
    return values[0] * 2


def test_a_missing_module_is_to_be_installed() -> None:
    assert (
        translate(ModuleNotFoundError("No module named 'timm'", name="timm")).hint
        == "install the package that has timm"
    )


def test_a_gpu_that_failed_needs_a_new_process() -> None:
    error = translate(torch.AcceleratorError("CUDA error: device-side assert triggered"))
    assert isinstance(error, ExecutionError)
    assert "restart" in str(error)


def test_our_own_errors_pass_as_they_are() -> None:
    error = ShapeMismatchError("input 'x'", "[2]", [3])
    assert translate(error) is error


@pytest.mark.parametrize("request_to_stop", [KeyboardInterrupt, SystemExit])
def test_requests_to_stop_pass(request_to_stop: type[BaseException]) -> None:
    with pytest.raises(request_to_stop), translated("computing minilm", default=ExecutionError):
        raise request_to_stop


def test_long_lists_are_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(number) for number in range(8)]) == "0, 1, 2, 3, 4, and 3 more"


def test_a_reason_that_stands_on_the_next_line_is_kept() -> None:
    with (
        pytest.raises(LoadError, match="field 'hidden_size': expected int"),
        translated("loading x", default=LoadError),
    ):
        raise ValueError("Validation error for field 'hidden_size':\n    expected int, got 'x'")


def test_an_operator_in_python_that_fails_in_torchscript_gives_its_reason() -> None:
    error = RuntimeError(
        "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent call "
        "last):\n/site/torch/_ops.py(1279): __call__\nRuntimeError: ValueError: the sum is too large\nfor this\n\nAt:\n"
        "  /site/shrink.py(4): soft\n  /lib/python3.11/threading.py(1002): _bootstrap\n\n"
    )
    assert str(translate(error)) == "torch failed while computing minilm: ValueError: the sum is too large"
