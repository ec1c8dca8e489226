"""The border at which every backend's exceptions are translated."""

from __future__ import annotations

import pytest

from inferox.core import (
    Closing,
    ConfigError,
    ErrorBorder,
    ExecutionError,
    Fault,
    LoadError,
    OutOfMemoryError,
    closed_on_failure,
)


def read_fault(error: BaseException) -> Fault:
    if isinstance(error, MemoryError):
        return Fault("", is_out_of_memory=True, requested_bytes=10, free_bytes=3)
    return Fault(f"it said {error}", hint="ask it again")


class PanicException(BaseException):
    pass


@pytest.mark.parametrize("default", [LoadError, ExecutionError])
def test_what_a_runtime_raises_becomes_the_error_asked_for(default: type[LoadError | ExecutionError]) -> None:
    original = ValueError("no")
    with (
        pytest.raises(default, match=r"^rt failed while loading m: it said no \(ask it again\)$") as caught,
        ErrorBorder("rt", read_fault)("loading m", default=default),
    ):
        raise original
    assert caught.value.__cause__ is original


def test_a_lack_of_memory_states_what_is_known() -> None:
    border = ErrorBorder("rt", read_fault)
    with (
        pytest.raises(
            OutOfMemoryError, match="rt does not have enough memory for computing m: 10 bytes requested, 3 free"
        ) as caught,
        border("computing m", default=ExecutionError),
    ):
        raise MemoryError
    assert (caught.value.requested_bytes, caught.value.free_bytes) == (10, 3)


class MuteError(Exception):
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_panics_of_rust_code_are_failures() -> None:
    with (
        pytest.raises(ExecutionError, match="it said index"),
        ErrorBorder("rt", read_fault)("computing m", default=ExecutionError),
    ):
        raise PanicException("index")


@pytest.mark.parametrize("border", [ErrorBorder("rt"), ErrorBorder("rt", read_fault)])
def test_an_exception_without_text_is_told_by_its_type(border: ErrorBorder) -> None:
    with (
        pytest.raises(LoadError, match="rt failed while loading m: MuteError: MuteError"),
        border("loading m", default=LoadError),
    ):
        raise MuteError


class Resource(Closing):
    """Fails in its own way when it is closed."""

    def __init__(self, error: BaseException | None) -> None:
        self.error, self.closed = error, 0

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, KeyError("handle"), PanicException("poisoned"), MuteError()])
def test_a_failure_to_close_never_replaces_the_failure_before(
    error: BaseException | None, caplog: pytest.LogCaptureFixture
) -> None:
    resource = Resource(error)
    with pytest.raises(ZeroDivisionError), closed_on_failure(resource, "rt"):
        raise ZeroDivisionError
    assert resource.closed == 1
    assert ("rt failed while closing what could not be used" in caplog.text) is (error is not None)


def test_an_interrupt_while_closing_stops() -> None:
    with pytest.raises(KeyboardInterrupt), closed_on_failure(Resource(KeyboardInterrupt()), "rt"):
        raise ZeroDivisionError


def test_what_succeeds_stays_open() -> None:
    resource = Resource(None)
    with closed_on_failure(resource, "rt"):
        pass
    assert not resource.closed


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2), GeneratorExit(), ConfigError("ours")])
def test_requests_to_stop_and_our_own_errors_pass(error: BaseException) -> None:
    with (
        pytest.raises(type(error)) as caught,
        ErrorBorder("rt", read_fault)("computing m", default=ExecutionError),
    ):
        raise error
    assert caught.value is error
    assert caught.value.__cause__ is None


def test_of_an_unknown_runtime_the_type_is_told_and_its_authors_are_named() -> None:
    border = ErrorBorder("the backend x")
    with pytest.raises(LoadError, match="the backend x failed while loading m: KeyError: 'w'") as caught:
        border.translate(KeyError("w"), "loading m", default=LoadError)
    assert caught.value.hint == "report it to the authors of the backend"
    with pytest.raises(OutOfMemoryError):
        border.translate(MemoryError(), "loading m", default=LoadError)
