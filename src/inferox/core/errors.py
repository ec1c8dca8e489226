"""Every error that Inferox raises on purpose, as one tree.

    InferoxError
    ├── ConfigError               a setting is wrong (an option, an environment variable, a file of settings)
    ├── PackageError              a package or a source model cannot be used
    │   ├── ManifestError         a metadata file is missing, malformed or contradicts itself
    │   │   └── UnknownKindError  it names a kind that this version does not know
    │   ├── IntegrityError        a file differs from what the manifest lists, or is missing
    │   ├── UnsafePathError       a path that leaves the package, a link, or a forged archive
    │   ├── UntrustedCodeError    loading would run code that the operator has not allowed
    │   ├── SignatureError        not signed with the key that the operator requires
    │   ├── DisagreementError     the package does not answer like the library that defines the model
    │   └── FormatVersionError    written by a newer Inferox
    ├── BackendError              a runtime cannot do what was requested
    │   ├── BackendNotFoundError      no backend of that name is registered
    │   ├── BackendUnavailableError   registered, but cannot run on this machine
    │   ├── NoUsableBackendError      no artifact of the package can be loaded here
    │   ├── LoadError                 the runtime refused the artifact
    │   ├── ExecutionError            the runtime failed while computing
    │   │   └── NonFiniteOutputError  it computed NaN or infinities from finite inputs
    │   ├── OutOfMemoryError          the device does not have enough memory
    │   └── UnsupportedDTypeError     the runtime lacks the data type
    ├── RequestError              what the caller sent cannot be computed
    │   ├── ModelNotFoundError
    │   ├── UnknownInputError     an input is missing, or not part of the signature
    │   ├── ShapeMismatchError
    │   ├── DTypeMismatchError
    │   ├── InputTooLongError
    │   └── InputTooLargeError    it takes more memory than it can ever have
    ├── CapacityError             valid, but not now
    │   ├── OverloadedError
    │   ├── DeadlineExceededError
    │   ├── ShuttingDownError
    │   └── UnreachableError      no server answers at an address
    └── ResponseError             what a server answered cannot be used
        └── EmbeddingSpaceError   its vectors lie in another space than those before

An error says what was expected, what was given and what to do about it; the facts are attributes as well, so that a
program need not parse the sentence. Exceptions of a runtime or a library are translated at one border, with
``raise ... from``. Status codes of protocols and exit codes of processes are assigned elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from inferox.core.error_root import InferoxError
from inferox.core.shown_text import counted

if TYPE_CHECKING:
    from inferox.core.dtype import DataType


class ConfigError(InferoxError):
    """A setting is wrong."""


class PackageError(InferoxError):
    """A package, or the model that a package is made from, cannot be used."""


class ManifestError(PackageError):
    """A metadata file is missing, malformed or contradicts itself."""


class UnknownKindError(ManifestError):
    """A metadata file names a kind of something, such as a precision, that this version of Inferox does not know.

    Args:
        kind: What is named, such as ``precision``.
        found: The name.
        known: The names that this version knows.
    """

    def __init__(self, kind: str, found: str, known: Sequence[str]) -> None:
        super().__init__(
            f"this version of Inferox does not know the {kind} {found!r}; it knows {', '.join(known)}",
            hint="upgrade Inferox, or pack the model again",
        )
        self.kind = kind
        self.found = found
        self.known = tuple(known)


class IntegrityError(PackageError):
    """A file of a package is missing, was added, or differs from what the manifest lists."""


class UnsafePathError(PackageError):
    """A package names a path outside itself, contains a link, or is an archive that lies about its members."""


class UntrustedCodeError(PackageError):
    """Loading would run code that comes with the model, and the operator has not allowed that."""


class SignatureError(PackageError):
    """A package is not signed, not signed with the key that the operator requires, or differs from what was signed."""


class DisagreementError(PackageError):
    """A package does not give the answers of the library that defines its model.

    Args:
        message: The first input that differs, the stage, and both values.
        stage: The stage at which they differ, such as ``token ids``, ``pixels``, ``outputs`` or ``answer``.
        hint: Where to look for the cause.
    """

    def __init__(self, message: str, *, stage: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.stage = stage


class FormatVersionError(PackageError):
    """A package was written in a format that this version does not read.

    Args:
        found: The version that the package states.
        supported: The versions that can be read.
    """

    def __init__(self, found: str, supported: Sequence[str]) -> None:
        super().__init__(
            f"the package is in format {found}, and this version of Inferox reads {', '.join(supported)}",
            hint="upgrade Inferox, or pack the model again",
        )
        self.found = found
        self.supported = tuple(supported)


class BackendError(InferoxError):
    """A runtime cannot do what was requested."""


class BackendNotFoundError(BackendError):
    """No backend of that name is registered.

    Args:
        name: The requested name.
        known: The names that are registered.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"there is no backend named {name!r}; registered: {', '.join(sorted(known)) or 'none'}",
            hint="'inferox doctor' lists every backend",
        )
        self.name = name
        self.known = tuple(known)


class BackendUnavailableError(BackendError):
    """A backend is registered but cannot run here, or the requested device is absent."""


class NoUsableBackendError(BackendError):
    """No artifact of a package can be loaded here.

    Args:
        package: The name of the package.
        reasons: For each artifact that was considered, why it was rejected.
        hint: What the reader can do about it.
    """

    def __init__(self, package: str, reasons: Mapping[str, str], *, hint: str | None = None) -> None:
        alike: dict[str, list[str]] = {}
        for artifact, reason in reasons.items():
            alike.setdefault(reason, []).append(artifact)
        listed = "; ".join(f"{', '.join(artifacts)}: {reason}" for reason, artifacts in alike.items())
        super().__init__(f"no backend can run {package!r} here: {listed or 'it has no artifacts'}", hint=hint)
        self.package = package
        self.reasons = dict(reasons)


class LoadError(BackendError):
    """A runtime refused an artifact: the file is damaged, or needs something that the runtime lacks."""


class ExecutionError(BackendError):
    """A runtime failed while computing."""


class NonFiniteOutputError(ExecutionError):
    """A runtime computed NaN or infinities from finite inputs."""


class OutOfMemoryError(BackendError):
    """A device does not have enough memory.

    Args:
        message: What was being done.
        requested_bytes: The bytes requested; ``None`` if the runtime does not say.
        free_bytes: The bytes that were free on the device; ``None`` if the runtime does not say.
        hint: What the reader can do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        requested_bytes: int | None,
        free_bytes: int | None,
        hint: str = "use a smaller batch, a lower precision or another device",
    ) -> None:
        super().__init__(message, hint=hint)
        self.requested_bytes = requested_bytes
        self.free_bytes = free_bytes


class UnsupportedDTypeError(BackendError):
    """A runtime, device or library lacks a data type. Inferox never converts to another one silently.

    Args:
        dtype: The requested data type.
        backend: The runtime, device or library that lacks it.
        supported: The data types that it has.
        hint: What the reader can do about it.
    """

    def __init__(
        self, dtype: DataType | str, backend: str, supported: Sequence[DataType], *, hint: str | None = None
    ) -> None:
        names = ", ".join(str(item) for item in supported)
        super().__init__(f"{backend} does not support the data type {dtype}; it supports {names}", hint=hint)
        self.dtype = dtype
        self.backend = backend
        self.supported = tuple(supported)


class RequestError(InferoxError):
    """The caller's request cannot be computed."""


class ModelNotFoundError(RequestError):
    """No model of that name is loaded."""


class UnknownInputError(RequestError):
    """An input is missing, or is not part of the signature.

    Args:
        missing: Inputs that the signature lists and the caller did not send.
        unexpected: Inputs that the caller sent and the signature does not list.
        expected: Every input of the signature.
        unnamed: The type of a value that was given without a name in place of the missing inputs.
        positions: The number of values given by position, if there are more than inputs.
    """

    def __init__(
        self,
        *,
        missing: Sequence[str],
        unexpected: Sequence[str],
        expected: Sequence[str],
        unnamed: type[object] | None = None,
        positions: int | None = None,
    ) -> None:
        if unnamed is not None:
            example = ", ".join(f"{name!r}: …" for name in missing)
            super().__init__(
                f"the model takes {len(expected)} inputs by their names ({', '.join(expected)}), but got a single "
                f"value of the type {unnamed.__name__} without a name",
                hint=f"give a mapping: {{{example}}}",
            )
        elif positions is not None:
            tensors = counted(len(expected), "tensor")
            super().__init__(f"the model takes {tensors} by position ({', '.join(expected)}), but got {positions}")
        else:
            faults = [f"missing {', '.join(missing)}"] if missing else []
            faults += [f"unknown {', '.join(map(str, unexpected))}"] if unexpected else []
            super().__init__(f"the model takes the inputs {', '.join(expected)}: {'; '.join(faults)}")
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.expected = tuple(expected)


class ShapeMismatchError(RequestError):
    """A tensor's shape is not allowed by the signature or the operation.

    Args:
        subject: What has the wrong shape, such as ``input 'pixel_values'``.
        expected: The shape that is allowed, as text, such as ``[batch, 3, 224, 224]``.
        actual: The shape that was given.
        hint: What the reader can do about it.
    """

    def __init__(self, subject: str, expected: str, actual: Sequence[int], *, hint: str | None = None) -> None:
        super().__init__(f"{subject} must have the shape {expected}, but has {list(actual)}", hint=hint)
        self.subject = subject
        self.expected = expected
        self.actual = tuple(actual)


class DTypeMismatchError(RequestError):
    """A tensor's data type differs from the one in the signature.

    Args:
        subject: What has the wrong data type, such as ``input 'input_ids'``.
        expected: The data type that is allowed.
        actual: The data type that was given.
        hint: What the reader can do about it.
    """

    def __init__(self, subject: str, expected: DataType, actual: DataType | str, *, hint: str | None = None) -> None:
        super().__init__(f"{subject} must have the data type {expected}, but has {actual}", hint=hint)
        self.subject = subject
        self.expected = expected
        self.actual = actual


class InputTooLongError(RequestError):
    """A row is longer than the model can take.

    Args:
        subject: What is too long, such as ``text 3``.
        length: How long it is.
        limit: The longest that the model takes.
        unit: What is counted, such as ``tokens``.
    """

    def __init__(self, subject: str, *, length: int, limit: int, unit: str) -> None:
        super().__init__(f"{subject} has {length} {unit}, but the model takes {limit} at most")
        self.subject = subject
        self.length = length
        self.limit = limit
        self.unit = unit


class InputTooLargeError(RequestError):
    """A row takes more memory than it can ever have.

    Args:
        subject: What is too large, such as ``a row of 8,192 tokens``.
        needed_bytes: The memory that it takes.
        limit_bytes: The most memory that it can have.
    """

    def __init__(self, subject: str, *, needed_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{subject} needs about {needed_bytes:,} bytes of memory beside the weights, but can have "
            f"{limit_bytes:,} at most",
            hint="send less in one item, or raise memory_limit_bytes (--memory-limit) or the container's limit",
        )
        self.needed_bytes = needed_bytes
        self.limit_bytes = limit_bytes


class CapacityError(InferoxError):
    """The request is valid, but cannot be served now."""


class OverloadedError(CapacityError):
    """Too many requests are waiting already.

    Args:
        message: What is waiting, and the limit.
        retry_after_s: The seconds after which a retry is worthwhile; ``None`` if that is not known.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        hint = "try again later" if retry_after_s is None else f"try again in {retry_after_s:.2g} s"
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class DeadlineExceededError(CapacityError):
    """The caller's deadline passed before the result was ready."""


class ShuttingDownError(CapacityError):
    """The engine is stopping and takes no new work."""


class UnreachableError(CapacityError):
    """No server answers at an address, or the connection to it breaks."""


class ResponseError(InferoxError):
    """A server's response cannot be used, because it does not follow the protocol."""


class EmbeddingSpaceError(ResponseError):
    """A server answered with vectors of another embedding space, which must not be mixed with the others.

    Args:
        model: The name of the model.
        expected: The id of the space that was requested, or that the previous vectors belong to.
        actual: The id of the answer's space; ``None`` if the server states none.
    """

    def __init__(self, model: str, expected: str, actual: str | None) -> None:
        super().__init__(
            f"the vectors of {model!r} must lie in the embedding space {expected}, but the server answered in "
            f"{actual or 'one that it does not state'}",
            hint="vectors of both do not belong in one index: embed everything anew with a new client, or pin the "
            "server to the package that was used before",
        )
        self.model = model
        self.expected = expected
        self.actual = actual
