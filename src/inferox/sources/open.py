"""The opening of sources of any kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from inferox.core import BackendUnavailableError, ConfigError, Dim, PackageError, SourceModel

_HUB, _PYTHON = "hf://", "python:"


def open_source(
    source: str | Path | Callable[..., Any],
    *,
    task: str | None = None,
    samples: Path | None = None,
    example_inputs: Any = None,
    dims: Mapping[str, Sequence[Dim]] | None = None,
    dynamic_shapes: Any = None,
    trust_code: bool = False,
    progress: Callable[[str], None] | None = None,
) -> SourceModel:
    """Opens a model in fp32, on the CPU, as the reference of a package.

    Args:
        source: A Hugging Face model directory; ``hf://org/name[@revision]``; a TorchScript file; an exported program
            (``.pt2``); an ONNX file (``.onnx``) or OpenVINO IR (``.xml``), whose own runtime then computes the
            reference; ``python:module:factory`` or ``python:path/to/file.py:factory``; a function like that factory; or
            a ``torch.nn.Module``. A factory returns a ``torch.nn.Module``, or a pair of one and example inputs, or
            those and ``dynamic_shapes``.
        task: The task, which decides the head of a Hugging Face model; ``None`` if the model decides.
        samples: A file of example inputs by name (``.npz`` or ``.safetensors``), for sources without their own.
        example_inputs: The example inputs of a ``torch.nn.Module``: by name, a tuple in the order of its parameters, or
            a single one.
        dims: The dims of inputs by name, if the default (the first axis is ``batch``, the others are fixed) does not
            fit.
        dynamic_shapes: The same for a module or factory, in the form that ``torch.export.export`` takes.
        trust_code: Whether a file that is code (TorchScript, an exported program), or a library of operators that an
            ONNX file calls, may be loaded. A factory needs no such permission: naming it is a request to run it.
        progress: Called with the current step, as a phrase.

    Raises:
        PackageError: If the source is not a model or is damaged. Its subclass ``UntrustedCodeError``, if it is code and
            ``trust_code`` is not set.
        ConfigError: If the task needs a head that the model lacks, or samples or dims are given to a source that has
            its own.
        LoadError: If PyTorch or transformers refuses the model.
        BackendUnavailableError: If PyTorch or transformers is not installed.
    """
    text = "" if callable(source) else str(source)
    _check_given(source, text, example_inputs, dynamic_shapes)
    if not text and not callable(source):
        raise ConfigError("no source is named", hint="name a model directory, or a file")
    is_path = not callable(source) and not text.startswith((_HUB, _PYTHON))
    graph = _GRAPHS.get(Path(text).suffix) if is_path and not Path(text).is_dir() else None
    if graph is not None:
        if not Path(text).is_file():
            raise PackageError(f"there is no file {text}")
        return graph(Path(text), samples, dims, trust_code)
    _require_torch()
    report = progress or (lambda _: None)
    if callable(source) or text.startswith(_PYTHON):
        from torch.nn import Module

        from inferox.sources.python import open_factory, open_module

        if isinstance(source, Module):
            return open_module(source, example_inputs, samples=samples, dims=dims, dynamic_shapes=dynamic_shapes)
        factory = source if callable(source) else text.removeprefix(_PYTHON)
        return open_factory(factory, samples=samples, dims=dims, dynamic_shapes=dynamic_shapes)
    if text.startswith(_HUB) or Path(text).is_dir():
        if samples is not None or dims:
            raise ConfigError(
                "a Hugging Face model states what it takes itself", hint="leave out the samples and the dims"
            )
        return _open_huggingface(text, task, report)
    path = Path(text)
    if not path.exists():
        raise PackageError(f"there is no {text}", hint=f"a model on the hub is named {_HUB}org/name")
    from inferox.sources.program import open_program

    return open_program(path, samples=samples, dims=dims, trust_code=trust_code)


def _check_given(source: Any, text: str, example_inputs: Any, dynamic_shapes: Any) -> None:
    """Refuses arguments that only apply to modules and the functions that make them."""
    if example_inputs is not None and isinstance(source, type):
        raise ConfigError(f"{source.__name__} is a class, but must be a module", hint="make an instance of it")
    if example_inputs is not None and not hasattr(source, "forward"):
        raise ConfigError(
            "example inputs are only for a torch.nn.Module", hint="name a file of them as samples instead"
        )
    if dynamic_shapes is not None and not callable(source) and not text.startswith(_PYTHON):
        raise ConfigError(
            "dynamic_shapes are only for a torch.nn.Module or a function that makes one", hint="state dims instead"
        )


def _open_onnx(
    path: Path, samples: Path | None, dims: Mapping[str, Sequence[Dim]] | None, trust_code: bool
) -> SourceModel:
    _require("onnx", "onnxruntime", hint="pip install 'inferox[onnx]' onnx")
    from inferox.sources.onnx_graph import open_onnx

    return open_onnx(path, samples=samples, dims=dims, trust_code=trust_code)


def _open_openvino_ir(
    path: Path,
    samples: Path | None,
    dims: Mapping[str, Sequence[Dim]] | None,
    trust_code: bool,  # noqa: ARG001 - nothing of it is code
) -> SourceModel:
    _require("openvino", hint="pip install 'inferox[openvino]'")
    from inferox.sources.openvino_ir import open_openvino_ir

    return open_openvino_ir(path, samples=samples, dims=dims)


_GRAPHS: dict[str, Callable[[Path, Path | None, Mapping[str, Sequence[Dim]] | None, bool], SourceModel]] = {
    ".onnx": _open_onnx,
    ".xml": _open_openvino_ir,
}


def _open_huggingface(text: str, task: str | None, report: Callable[[str], None]) -> SourceModel:
    from inferox.sources.huggingface import open_huggingface

    if not text.startswith(_HUB):
        return open_huggingface(Path(text), task=task)
    from inferox.sources.hub import fetch_model

    found = fetch_model(text, report)
    return open_huggingface(found.directory, task=task, name=found.name, repo_id=found.repo_id, revision=found.revision)


def _require_torch() -> None:
    _require("torch", "transformers", hint="pip install 'inferox[torch]'")


def _require(*modules: str, hint: str) -> None:
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise BackendUnavailableError(f"{' and '.join(missing)} must be installed to open a model", hint=hint)
