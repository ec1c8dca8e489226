"""Backends of third parties that break the contract: loading goes on to the next artifact, and names the fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import inferox
from inferox.backends import registry
from inferox.backends.host import HostDevice
from inferox.core import Artifact, DeviceId, LoadError, LoadOptions, Model, NoUsableBackendError
from inferox.loading import explain
from inferox.loading.planned_load import FAST, plan_load
from inferox.package import PackageWriter
from inferox.parity import TOLERANCES, ArtifactEvidence, ParityClass, ParityReport
from inferox.parity.tolerance import DISAGREEMENT
from tests.cli.conftest import Run, run
from tests.loading.backends import EchoBackend, EchoModel, make_artifact
from tests.package.packages import make_info, make_metadata, make_samples

__all__ = ["run"]

Methods = Mapping[str, Any]


class PanicException(BaseException):
    """Has the name that Rust's panics get in Python."""


class MuteError(Exception):
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class OwnError(LoadError):
    """An error of Inferox that was never initialised."""

    def __init__(self) -> None:
        pass


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def giving(value: object) -> Callable[..., Any]:
    return lambda *_, **__: value


def raising_later(error: BaseException, answer: object) -> Callable[..., Any]:
    """Answers once, and raises at every later call."""
    calls = iter([answer])

    def respond(*_: object) -> Any:
        for found in calls:
            return found
        raise error

    return respond


def opening(**members: Any) -> Methods:
    """A backend whose models have other members."""

    def open_(_: EchoBackend, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        model = EchoModel(artifact, device, options)
        model.__class__ = type("Broken", (EchoModel,), {name: item for name, item in members.items() if callable(item)})
        model.__dict__.update({name: item for name, item in members.items() if not callable(item)})
        return model

    return {"_open": open_}


KEY, PANIC = KeyError("driver"), PanicException("index")

FAULTS: dict[str, tuple[Callable[[], Methods], str]] = {
    "probe raises": (lambda: {"probe": raising(KEY)}, "cannot run here: asking it failed: KeyError: 'driver'"),
    "probe exits": (lambda: {"probe": raising(SystemExit("no driver"))}, "SystemExit: no driver"),
    "probe gives nothing": (lambda: {"probe": giving(None)}, "a value of the type NoneType"),
    "can_load raises": (lambda: {"can_load": raising(KEY)}, "being asked whether it reads this format: KeyError"),
    "can_load panics": (lambda: {"can_load": raising(PANIC)}, "PanicException: index"),
    "can_load raises later": (lambda: {"can_load": raising_later(KEY, True)}, "while loading broken/.*: KeyError"),
    "lacks raises": (lambda: {"lacks": raising(KEY)}, "KeyError: 'driver'"),
    "extra_code raises": (lambda: {"extra_code": raising(KEY)}, "asking what loading .* runs: KeyError"),
    "default_device raises": (lambda: {"default_device": raising(KEY)}, "while loading broken/.*: KeyError"),
    "_open raises": (lambda: {"_open": raising(KEY)}, "while loading broken/.*: KeyError"),
    "_open panics": (lambda: {"_open": raising(PANIC)}, "PanicException: index"),
    "_open raises what has no text": (lambda: {"_open": raising(MuteError())}, "MuteError: MuteError"),
    "_open raises what was not initialised": (lambda: {"_open": raising(OwnError())}, "OwnError"),
    "_open gives nothing": (lambda: {"_open": giving(None)}, "a value of the type NoneType in place of a model"),
    "load raises": (lambda: {"load": raising(KEY)}, "while loading broken/.*: KeyError"),
    "load gives a text": (lambda: {"load": giving("a model")}, "a value of the type str in place of a model"),
    "no metadata": (lambda: opening(metadata=None), "while loading broken/.*: TypeError"),
    "no signature": (lambda: opening(signature=None), "broken"),
    "note_invariance raises": (lambda: opening(note_invariance=raising(KEY)), "while loading broken/.*: KeyError"),
    "close raises": (lambda: opening(close=raising(KEY)), "computes something else here"),
    "close panics": (lambda: opening(close=raising(PanicException("poisoned"))), "computes something else here"),
    "_compute raises": (lambda: opening(_compute=raising(KEY)), "while computing 'small': KeyError"),
    "_compute panics": (lambda: opening(_compute=raising(PANIC)), "PanicException: index"),
    "_compute gives nothing": (lambda: opening(_compute=giving(None)), "NoneType in place of outputs by name"),
    "_compute gives texts": (lambda: opening(_compute=giving({"x": "text"})), "the type str as the output 'x'"),
    "_compute gives lists": (lambda: opening(_compute=giving({"x": [[1.0]]})), "the type list as the output 'x'"),
    "_compute forgets an output": (lambda: opening(_compute=giving({})), "returned no 'x'"),
    "forward raises": (lambda: opening(forward=raising(KEY)), "while checking broken/.*: KeyError"),
}


class Registered(EntryPoint):
    """Registers a backend that exists already, or whatever its import raises."""

    def load(self) -> Any:
        found = BACKENDS[self.name]
        if isinstance(found, BaseException):
            raise found
        return lambda: found


BACKENDS: dict[str, EchoBackend | BaseException] = {}


@pytest.fixture(autouse=True)
def _only_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registers the backends of this module in place of all others, as a distribution does."""
    registered = {name: Registered(name, f"{name}:Backend", registry.ENTRY_POINT_GROUP) for name in ("broken", "echo")}
    monkeypatch.setattr(registry, "_registered", lambda: registered)
    registry.get_backend.cache_clear()
    yield
    registry.get_backend.cache_clear()
    BACKENDS.clear()


def use(broken: EchoBackend | BaseException) -> None:
    BACKENDS.update(broken=broken, echo=EchoBackend("echo"))


def make_broken(methods: Methods) -> EchoBackend:
    made: EchoBackend = type("BrokenBackend", (EchoBackend,), dict(methods))("broken")
    return made


def write(folder: Path, *backends: str) -> Path:
    """Writes a package whose samples the backend ``broken`` computes wrongly, if it computes anything."""
    with PackageWriter(folder) as writer:
        artifacts = tuple(make_artifact(name) for name in backends)
        info = make_info(writer.root)
        info = type(info)(**{**info.__dict__, "artifacts": artifacts, "supported_backends": backends})
        evidence = [
            ArtifactEvidence(item.name, DISAGREEMENT, TOLERANCES[ParityClass.CLOSE], ParityClass.CLOSE, {}, "a machine")
            for item in artifacts
            if item.backend == "broken"
        ]
        return writer.commit(make_metadata(), info, ParityReport(tuple(evidence)), make_samples())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("both") / "package", "broken", "echo")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("alone") / "package", "broken")


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_backend_does_the_next_artifact_is_tried(package: Path, alone: Path, fault: str) -> None:
    make, reason = FAULTS[fault]
    for load in (inferox.load, lambda path: plan_load(path, all_samples=True, start=FAST).load()):
        use(make_broken(make()))
        registry.get_backend.cache_clear()
        with load(package) as model:
            assert model.metadata.backend == "echo"
            if load is inferox.load:
                assert re.search(reason, model.metadata.rejected["broken/safetensors/fp32/padded"])
    use(make_broken(make()))
    registry.get_backend.cache_clear()
    with pytest.raises(NoUsableBackendError, match=reason):
        inferox.load(alone)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SystemExit("no license"), "cannot be made: SystemExit: no license"),
        (PANIC, "cannot be made: PanicException: index"),
        (MuteError(), "cannot be made: MuteError: MuteError"),
        (ImportError("libdriver.so"), "cannot be made: ImportError: libdriver.so"),
    ],
)
def test_a_backend_that_cannot_be_imported_is_named(package: Path, error: BaseException, reason: str) -> None:
    use(error)
    with inferox.load(package) as model:
        assert reason in model.metadata.rejected["broken/safetensors/fp32/padded"]
    verdicts = {item.artifact.partition("/")[0]: item for item in explain(package).verdicts}
    assert verdicts["echo"].taken
    assert reason in verdicts["broken"].reason


@pytest.mark.parametrize("method", ["probe", "can_load", "extra_code", "_open", "load"])
def test_a_request_to_stop_stops(package: Path, method: str) -> None:
    use(make_broken({method: raising(KeyboardInterrupt())}))
    with pytest.raises(KeyboardInterrupt):
        inferox.load(package)


@pytest.mark.parametrize(
    ("method", "error"),
    [
        *(
            (method, error)
            for method in ("probe", "can_load", "lacks", "devices")
            for error in (KEY, PANIC, MuteError())
        ),
        ("probe", SystemExit("no driver")),
    ],
)
def test_explain_and_the_commands_go_on_and_name_the_fault(
    package: Path, run: Run, method: str, error: BaseException
) -> None:
    use(make_broken({method: raising(error)}))
    verdicts = {item.artifact.partition("/")[0]: item for item in explain(package, device="cpu").verdicts}
    assert verdicts["echo"].taken
    assert type(error).__name__ in verdicts["broken"].reason
    assert run("explain", package, "--device", "cpu", "--json").code == run("inspect", package, "--json").code == 0
    done = run("doctor", "--json")
    found = {item["backend"]: item for item in json.loads(done.out)}
    assert done.code == 0
    assert found["echo"]["passed"]
    if method in {"probe", "devices"}:
        assert type(error).__name__ in found["broken"]["reason"]


@pytest.mark.parametrize("error", [KEY, PANIC, MuteError()])
def test_doctor_goes_on_after_a_device_that_fails(run: Run, error: BaseException) -> None:
    class BrokenDevice(HostDevice):
        memory_info = raising(error)

    use(make_broken({"devices": giving((BrokenDevice(), HostDevice()))}))
    found = [item for item in json.loads(run("doctor", "--json").out) if item["backend"] == "broken"]
    assert [item["passed"] for item in found] == [False, True]
    assert type(error).__name__ in found[0]["reason"]
