"""Models in one file with their code: TorchScript, or a program captured by ``torch.export``."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import is_concrete_int

from inferox.backends.torch.errors import translated
from inferox.backends.torch.loaders.calling import caller
from inferox.backends.torch.operators import load_operators
from inferox.core import BATCH, Dim, LoadError, PackageError, SourceFacts, UntrustedCodeError
from inferox.sources.examples import make_examples, read_samples, to_tensors
from inferox.sources.torch_source import TorchSource


def open_program(
    path: Path, *, samples: Path | None, dims: Mapping[str, Sequence[Dim]] | None, trust_code: bool
) -> TorchSource:
    """Opens a program. Its kind is detected from the file's content, not from its name.

    Args:
        path: The file.
        samples: Example inputs by name; an exported program may have its own.
        dims: The dims of inputs by name.
        trust_code: Whether the program may be loaded.

    Raises:
        PackageError: If the file is not one of these programs, is damaged, or needs example inputs.
        UntrustedCodeError: If ``trust_code`` is not set.
        LoadError: If PyTorch refuses the program.
        ConfigError: If dims are given that do not fit the example inputs.
    """
    kind = _kind(path)
    if not trust_code:
        raise UntrustedCodeError(
            f"loading {path.name} runs code that is in it ({kind})",
            hint="if you trust where it comes from, pass trust_code=True, or --trust-code on the command line",
        )
    with translated(f"loading {path.name}", default=LoadError):
        load_operators(path)
        if kind == "torchscript":
            return _open_torchscript(path, samples, dims)
        return _open_exported(path, samples, dims)


def _kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as bundle:
            names = [f"/{name}" for name in bundle.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise PackageError(
            f"{path} is not a TorchScript file, an exported program or a model directory",
            hint="a file of weights does not hold a model: give its folder, or python:module:function, a function that "
            "makes the module and loads them; a program that ends too early must be fetched again",
        ) from error
    if any("/aotinductor/" in name for name in names):
        raise PackageError(
            f"{path} is an AOTInductor package, which fits one kind of machine and one version of PyTorch",
            hint="pack the program that it was compiled from",
        )
    if any("/models/" in name and name.endswith(".json") for name in names):
        return "torch-export"
    if any("/code/" in name for name in names) and any(name.endswith("/constants.pkl") for name in names):
        return "torchscript"
    if any(name.endswith("/data.pkl") for name in names):
        raise PackageError(
            f"{path} holds weights without a model",
            hint="pack it with python:module:function, a function that makes the module and loads them",
        )
    raise PackageError(f"{path} is an archive, but neither TorchScript nor an exported program")


def _facts(path: Path, kind: str) -> SourceFacts:
    return SourceFacts(kind=kind, name=path.stem, model_type=kind, program=path)


def _open_torchscript(path: Path, samples: Path | None, dims: Mapping[str, Sequence[Dim]] | None) -> TorchSource:
    module = torch.jit.load(path, map_location="cpu").eval()
    arguments = module.forward.schema.arguments[1:]
    names = [argument.name for argument in arguments]
    if samples is None:
        raise PackageError(
            f"TorchScript does not say what its inputs look like, but {path.name} takes {', '.join(names)}",
            hint="give example inputs by these names with --samples inputs.npz",
        )
    given = to_tensors(read_samples(samples))
    # Inputs are passed by position, so those with a default can only be omitted from the end.
    needed = sum(not argument.has_default_value() for argument in arguments)
    names = names[: max(needed, len(given))]
    tensors = _in_order(given, names, path)
    return TorchSource(
        _facts(path, "torchscript"),
        module,
        make_examples(tensors, dims),
        call=lambda run, inputs: run(*(inputs[name] for name in names)),
        has_weights=False,
    )


def _open_exported(path: Path, samples: Path | None, dims: Mapping[str, Sequence[Dim]] | None) -> TorchSource:
    program = torch.export.load(path)
    names = list(program.graph_signature.user_inputs)
    if not all(isinstance(name, str) for name in names):
        raise PackageError(f"{path.name} takes other inputs than tensors", hint="export it with only tensors")
    texts = [str(name) for name in names]
    given = _own_examples(program, texts, path) if samples is None else to_tensors(read_samples(samples))
    call = caller(program.call_spec.in_spec, texts)
    return TorchSource(
        _facts(path, "torch-export"),
        program.module(),
        make_examples(_in_order(given, texts, path), dims, default=_stated_dims(program, texts)),
        call=call,
        has_weights=True,
    )


def _own_examples(program: ExportedProgram, names: Sequence[str], path: Path) -> dict[str, torch.Tensor]:
    arguments, keywords = program.example_inputs or ((), {})
    values = [*arguments, *keywords.values()]
    if len(values) != len(names) or not all(isinstance(value, torch.Tensor) for value in values):
        raise PackageError(
            f"{path.name} has no example inputs, but takes {', '.join(names)}",
            hint="give them by these names with --samples inputs.npz",
        )
    return dict(zip(names, values, strict=True))


def _stated_dims(program: ExportedProgram, names: Sequence[str]) -> dict[str, list[Dim]]:
    """Returns the dims of the program's inputs: numbers for fixed ones, and one name per symbol."""
    shapes = {node.name: node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder"}
    symbols: dict[str, str] = {}
    return {
        name: [
            int(extent)
            if is_concrete_int(extent)
            else symbols.setdefault(
                str(extent), BATCH if axis == 0 and BATCH not in symbols.values() else f"{name}_{axis}"
            )
            for axis, extent in enumerate(shapes[name])
        ]
        for name in names
    }


def _in_order(tensors: Mapping[str, torch.Tensor], names: Sequence[str], path: Path) -> dict[str, torch.Tensor]:
    if set(tensors) != set(names):
        raise PackageError(
            f"{path.name} takes {', '.join(names)}, but the samples are of {', '.join(tensors) or 'none'}"
        )
    return {name: tensors[name] for name in names}
