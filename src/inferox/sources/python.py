"""Any ``torch.nn.Module`` as a source, given directly or by a Python function that makes it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from inferox.core import ConfigError, Dim, PackageError, SourceFacts
from inferox.sources.dynamic_shapes import StatedShapes, read_dynamic_shapes
from inferox.sources.examples import make_examples, read_samples, to_tensors
from inferox.sources.torch_source import TorchSource

_FORM = "python:module:function or python:path/to/file.py:function"


def open_factory(
    factory: str | Callable[[], Any],
    *,
    samples: Path | None,
    dims: Mapping[str, Sequence[Dim]] | None,
    dynamic_shapes: Any = None,
) -> TorchSource:
    """Opens the module that a function returns. The function is the caller's own code, and is trusted as such.

    Args:
        factory: The function, or its location: ``module:function`` or ``path/to/file.py:function``. It takes no
            arguments, and returns a ``torch.nn.Module``; or one with its example inputs: by name, a tuple of them in
            the order of ``forward``'s parameters (as ``torch.export`` takes them), or a single one; or those with its
            ``dynamic_shapes``.
        samples: Example inputs by name, which replace the function's own.
        dims: The dims of inputs by name, which replace the function's ``dynamic_shapes``.
        dynamic_shapes: The extents that vary, as ``torch.export.export`` takes them; they replace the function's own.

    Raises:
        PackageError: If there is no such function, or it fails or returns something else; or if there are no example
            inputs, they do not fit the module's parameters, or the module fails on them.
        ConfigError: If dims are given that do not fit the example inputs.
    """
    with _importable(factory) if isinstance(factory, str) else nullcontext():
        function, label = (_find(factory), factory) if isinstance(factory, str) else (factory, _label(factory))
        module, inputs, own_shapes = _make(function, label)
    if dims is None and dynamic_shapes is None:
        dynamic_shapes = own_shapes
    return _open(module, inputs, label, _name(function), samples=samples, dims=dims, dynamic_shapes=dynamic_shapes)


def open_module(
    module: torch.nn.Module,
    inputs: Any,
    *,
    samples: Path | None,
    dims: Mapping[str, Sequence[Dim]] | None,
    dynamic_shapes: Any = None,
) -> TorchSource:
    """Opens a caller's module.

    Args:
        module: The module, which is put into evaluation mode.
        inputs: Its example inputs: by name, a tuple of them in the order of ``forward``'s parameters, or a single one;
            ``None`` if there are samples.
        samples: Example inputs by name, which replace those.
        dims: The dims of inputs by name.
        dynamic_shapes: The same in the form that ``torch.export.export`` takes.

    Raises:
        PackageError: As for ``open_factory``.
        ConfigError: As for ``open_factory``.
    """
    label = f"the module {type(module).__name__}"
    module, inputs, _ = _make(lambda: (module, {} if inputs is None else inputs), label)
    return _open(
        module, inputs, label, type(module).__name__, samples=samples, dims=dims, dynamic_shapes=dynamic_shapes
    )


def _open(
    module: torch.nn.Module,
    inputs: Any,
    label: str,
    name: str,
    *,
    samples: Path | None,
    dims: Mapping[str, Sequence[Dim]] | None,
    dynamic_shapes: Any,
) -> TorchSource:
    if dims is not None and dynamic_shapes is not None:
        raise ConfigError("dims and dynamic_shapes say the same thing", hint="give one of them")
    by_name = _name_inputs(module, inputs, label) if samples is None else read_samples(samples)
    examples = to_tensors(by_name)
    if not examples:
        raise PackageError(
            f"{label} gives no example inputs, which show what the module takes",
            hint="give example_inputs= to inferox.pack, or return (module, inputs) from a function, where they are "
            "{'name': array, ...}, a tuple in the order of forward's parameters or a single one; or give a file of "
            "them with --samples",
        )
    ordered = {name: examples[name] for name in _parameters(module, examples)}
    shapes = StatedShapes()
    tried = make_examples(ordered, dims)
    if dynamic_shapes is not None:
        order = _places(module)[: len(inputs)] if isinstance(inputs, tuple) else None
        shapes = read_dynamic_shapes(dynamic_shapes, ordered, order)
        tried = replace(make_examples(ordered, shapes.dims), assumed=frozenset(shapes.hinted))
    source = TorchSource(
        SourceFacts(kind="python", name=name, model_type="python"),
        module,
        tried,
        call=lambda called, tensors: called(**tensors),
        has_weights=True,
        limits=shapes.limits,
    )
    shapes.check(source.signature.inputs)
    return source


def _label(function: Callable[[], Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _name(function: Callable[[], Any]) -> str:
    """Derives a name for the package. Lambdas and partial functions have no usable name."""
    name = str(getattr(function, "__name__", ""))
    return name if name.isidentifier() else "model"


def _find(text: str) -> Callable[[], Any]:
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise PackageError(f"{text!r} is not the location of a function", hint=f"write {_FORM}")
    module = _import(place)
    function = getattr(module, name, None)
    if not callable(function):
        raise PackageError(f"{place} has no function {name!r}", hint=f"write {_FORM}")
    return function  # type: ignore[no-any-return]  # whatever is callable may be called


def _import(place: str) -> ModuleType:
    try:
        if place.endswith(".py"):
            return _import_file(Path(place))
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise PackageError(
            f"{place} cannot be imported: there is no module {error.name}",
            hint="start in the folder of the module, or name its file: python:path/to/file.py:function",
        ) from error
    except PackageError:
        raise
    except (Exception, SystemExit) as error:  # a script may call sys.exit(main())
        raise PackageError(f"{place} failed while it was imported: {type(error).__name__}: {error}") from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PackageError(f"there is no file {path}")
    # A unique name: a file such as json.py must not replace another module.
    name = f"inferox_source_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PackageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Classes that are defined there, such as dataclasses, look up their module by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _importable(text: str) -> Iterator[None]:
    """Lets a function and its module import modules beside the file, or in the current folder.

    Python allows this for its main file and for ``-m``, but not for installed commands.
    """
    place = Path(text.rpartition(":")[0])
    folder = str(place.parent.resolve() if place.suffix == ".py" else Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        # The user's code may have removed it already.
        with suppress(ValueError):
            sys.path.remove(folder)


def _make(function: Callable[[], Any], label: str) -> tuple[torch.nn.Module, Any, Any]:
    """Calls a function, and returns its module, the example inputs, and the extents of them that vary."""
    try:
        made = function()
    except (Exception, SystemExit) as error:
        raise PackageError(f"{label} failed: {type(error).__name__}: {error}") from error
    parts = made if isinstance(made, tuple) and len(made) in {2, 3} else (made, {})
    module, inputs, shapes = parts if len(parts) == 3 else (*parts, None)  # noqa: PLR2004 - with the shapes
    if not isinstance(module, torch.nn.Module):
        raise PackageError(
            f"{label} must return a torch.nn.Module, a pair of one and its example inputs, or those and its "
            f"dynamic_shapes, but returned {_describe(made)}",
            hint="return (module, {'name': array, ...}), with the names of its forward's parameters",
        )
    _check_precision(module, label)
    return module.eval(), inputs, shapes


def _name_inputs(module: torch.nn.Module, inputs: Any, label: str) -> Mapping[str, Any]:
    """Names the example inputs: those without names are ``forward``'s parameters in order."""
    if isinstance(inputs, Mapping):
        return inputs
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    names = _places(module)
    if len(given) > len(names):
        raise PackageError(
            f"{label} gives {len(given)} example inputs without names, but forward's parameters are "
            f"{', '.join(names) or 'all named'}",
            hint="give them by name: {'name': array, ...}",
        )
    # An input that is None is left out, as when the module is called without it.
    return {name: value for name, value in zip(names, given, strict=False) if value is not None}


def _places(module: torch.nn.Module) -> list[str]:
    """Returns the names of ``forward``'s positional parameters."""
    parameters = inspect.signature(module.forward).parameters.values()
    return [item.name for item in parameters if item.kind in {item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD}]


def _check_precision(module: torch.nn.Module, label: str) -> None:
    others = {str(value.dtype) for value in module.parameters() if value.is_floating_point()} - {"torch.float32"}
    if others:
        raise PackageError(
            f"{label} makes a module with weights in {', '.join(sorted(others))}, but the reference has torch.float32",
            hint="call .float() on the module and give example inputs of that type",
        )


def _parameters(module: torch.nn.Module, examples: Mapping[str, torch.Tensor]) -> list[str]:
    """Returns the names of the examples, in the order in which ``forward`` takes them."""
    parameters = inspect.signature(module.forward).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return list(examples)
    known = [item.name for item in parameters if item.kind in {item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY}]
    needed = [item.name for item in parameters if item.name in known and item.default is item.empty]
    unknown, missing = sorted(set(examples) - set(known)), [name for name in needed if name not in examples]
    if unknown or missing:
        faults = [f"unknown {', '.join(unknown)}"] * bool(unknown) + [f"missing {', '.join(missing)}"] * bool(missing)
        raise PackageError(
            f"the example inputs must be named as forward's parameters ({', '.join(known)}): {'; '.join(faults)}"
        )
    return [name for name in known if name in examples]


def _describe(made: Any) -> str:
    """Describes the type of a function's return value, with the types of a tuple's parts."""
    if isinstance(made, tuple):
        return f"a tuple of {', '.join(type(part).__name__ for part in made) or 'nothing'}"
    return f"a {type(made).__name__}"
