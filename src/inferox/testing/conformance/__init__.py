"""The conformance suite for backends: subclass ``BackendConformance`` and run pytest.

    class TestMyBackend(BackendConformance):
        dtypes = frozenset({DataType.F32, DataType.I64})

        @classmethod
        def make_backend(cls) -> Backend:
            return MyBackend()

        @classmethod
        def make_artifact(cls, root: Path) -> Artifact:
            return write_my_artifact(root)

The backend itself (its probe, devices, builders and tensors) is tested once. A backend that reads more than one format
or precision subclasses ``ArtifactConformance`` for each further one, which tests loading and computing:

    class OfMyBackend(Subject): ...  # what both state: dtypes, make_backend
    class TestMyFormat(OfMyBackend, BackendConformance): ...
    class TestMyOtherFormat(OfMyBackend, ArtifactConformance): ...

It needs pytest, which Inferox itself does not.
"""

try:
    import pytest
except ModuleNotFoundError as error:
    raise ImportError("the conformance suite runs in pytest, which is not installed: pip install pytest") from error

# A failed assert should show its values here too, as in a test file.
pytest.register_assert_rewrite(
    *(f"{__name__}.{part}" for part in ("backends", "builders", "dlpack", "loading", "models", "subject", "tensors"))
)

from inferox.testing.conformance.backends import BackendTests  # noqa: E402 - after the line above
from inferox.testing.conformance.builders import BuilderTests  # noqa: E402
from inferox.testing.conformance.dlpack import DLPackTests  # noqa: E402
from inferox.testing.conformance.loading import LoadingTests  # noqa: E402
from inferox.testing.conformance.models import ModelTests  # noqa: E402
from inferox.testing.conformance.subject import Subject  # noqa: E402
from inferox.testing.conformance.tensors import TensorTests  # noqa: E402

__all__ = ["ArtifactConformance", "BackendConformance", "Subject"]


class ArtifactConformance(LoadingTests, ModelTests):
    """Tests of loading and computing, which Inferox relies on in each format and precision that a backend reads."""


class BackendConformance(BackendTests, BuilderTests, TensorTests, DLPackTests, ArtifactConformance):
    """Tests of everything that Inferox relies on in a backend. See ``subject.Subject`` for what a subclass states."""
