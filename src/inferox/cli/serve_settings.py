"""Settings of ``inferox serve`` besides its command line: a configuration file, and the environment."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import click

PREFIX = "INFEROX_SERVE"
"""The prefix of the variables. Kubernetes itself sets INFEROX_PORT for a service called inferox."""

_MODELS = "models"
_NOT_IN_A_FILE = {"config", "help", "debug"}


def config_option(command: Any) -> Any:
    """Adds ``--config``: a file with options that the command line does not give."""
    return click.option(
        "--config",
        "models",
        type=click.Path(path_type=Path),
        is_eager=True,
        callback=_read_config,
        help="A TOML file with options, by their names without leading dashes, and a table [models] of names and "
        "packages. The command line and the environment take precedence.",
    )(command)


def _read_config(context: click.Context, _parameter: click.Parameter, path: Path | None) -> dict[str, Any]:
    """Makes the options in a file the defaults, and returns the models that it names."""
    _check_variables(context)
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror or error}", context) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} is not TOML: {error}", context) from error
    models = found.pop(_MODELS, {})
    options = _options_of(context)
    for name, value in found.items():
        if name not in options:
            raise click.UsageError(
                f"{path}: there is no option {name!r}; the options are {', '.join(sorted(options))}", context
            )
        _check(path, options[name], name, value)
    context.default_map = {
        str(options[name].name): _resolve(path.parent, options[name], value) for name, value in found.items()
    }
    return _read_models(path, models)


def _options_of(context: click.Context) -> dict[str, click.Option]:
    """Returns the options, by their names in a file."""
    found = {}
    for parameter in context.command.params:
        if isinstance(parameter, click.Option):
            name = max(parameter.opts, key=len).lstrip("-")
            if name not in _NOT_IN_A_FILE:
                found[name] = parameter
    return found


def _check(path: Path, option: click.Option, name: str, value: Any) -> None:
    """Checks the type of a value: "8000" and true are not ports."""
    kinds, expected = _kinds_of(option)
    values = value if option.multiple else [value]
    is_right = isinstance(values, list) and len(values) > 0 and all(type(item) in kinds for item in values)
    if not is_right:
        raise click.UsageError(f"{path}: {name} must be {expected}, but is {value!r}")


def _kinds_of(option: click.Option) -> tuple[set[type], str]:
    if option.is_flag:
        return {bool}, "true or false"
    if isinstance(option.type, click.types.IntParamType):
        return {int}, "an integer"
    if isinstance(option.type, click.types.FloatParamType):
        return {int, float}, "a number"
    return {str}, "a list of one or more strings" if option.multiple else "a string"


def _resolve(folder: Path, option: click.Option, value: Any) -> Any:
    """Resolves a path in a file relative to the file's folder."""
    return str(folder / value) if isinstance(option.type, click.Path) else value


def _read_models(path: Path, models: Any) -> dict[str, Any]:
    """Reads the models in a file: a package for each name."""
    if not isinstance(models, dict):
        raise click.UsageError(f"{path}: models must be a table of names and packages, but is {models!r}")
    for name, package in models.items():
        if not isinstance(package, str):
            raise click.UsageError(f"{path}: models.{name} must be the path of a package, but is {package!r}")
    return {name: str(path.parent / package) for name, package in models.items()}


def name_variables(command: click.Command) -> click.Command:
    """Lets each option also come from the environment: ``--body-limit`` from ``INFEROX_SERVE_BODY_LIMIT``.

    Args:
        command: The command.
    """
    for parameter in command.params:
        name = max(parameter.opts, key=len).lstrip("-")
        parameter.envvar = f"{PREFIX}_{name}".upper().replace("-", "_")
    return command


def _check_variables(context: click.Context) -> None:
    """Refuses unknown variables with the prefix, and empty ones: both would silently have no effect.

    Without its keys, whose secret may be missing where it is deployed, a server would be open to everybody.
    """
    known = {parameter.envvar for parameter in context.command.params}
    for variable in sorted(name for name in os.environ if name.startswith(f"{PREFIX}_")):
        if variable not in known:
            raise click.UsageError(
                f"no option corresponds to the variable {variable}; see 'inferox serve --help'", context
            )
        if not os.environ[variable].strip():
            raise click.UsageError(f"the variable {variable} is empty; set it to a value, or unset it", context)
