"""Model directories as Hugging Face's libraries write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from inferox.backends.torch.architecture import instantiate
from inferox.core import BATCH, SEQUENCE, DataType, PackageError, SourceFacts, TensorSpec, read_json_object
from inferox.sources.architecture import (
    NO_PADDING,
    architecture_family,
    check_config,
    choose_architecture,
    lacks_padding,
    takes_images,
    text_inputs,
)
from inferox.sources.auto_tokenizer import gives_token_types
from inferox.sources.checkpoint import read_checkpoint
from inferox.sources.image_size import read_image_size
from inferox.sources.model_card import read_license
from inferox.sources.model_files import complete_files
from inferox.sources.position_tables import measure_position_limit
from inferox.sources.sentence_layout import lay_out
from inferox.sources.sentence_modules import pools_tokens
from inferox.sources.torch_source import Examples, TorchSource

_EXAMPLE_EXTENTS = {BATCH: 2, SEQUENCE: 4}
"""The shape of the inputs on which a model is tried: two short rows."""


def open_huggingface(
    directory: Path,
    *,
    task: str | None,
    name: str | None = None,
    repo_id: str | None = None,
    revision: str | None = None,
) -> TorchSource:
    """Opens a model directory.

    Args:
        directory: A folder with ``config.json`` and the weights. It is not changed.
        task: The task to load it for; ``None`` if the checkpoint decides.
        name: A name for the package; ``None`` for the folder's.
        repo_id: The repository on the hub that it came from.
        revision: The commit of that repository.

    Raises:
        PackageError: If it is not a model directory, or is of a kind that cannot be packed. Its subclasses, if the
            config or the weights are malformed, damaged or missing.
        ConfigError: If the task needs a head that the model lacks.
        LoadError: If the weights are not those that the architecture needs.
    """
    origin = directory
    laid_out = lay_out(directory, task=task)
    title = name or directory.resolve().name
    directory = directory if laid_out is None else Path(laid_out.name)
    config = _read_config(directory)
    chosen = choose_architecture(config, task, pools=pools_tokens(directory))
    architecture = chosen.name
    reads_images = takes_images(architecture)
    # Checked before anything else reads the config, such as the tokenizer, which would not terminate for some.
    check_config(config)
    converted = None if reads_images or task == "raw" else complete_files(directory, config)
    gives_types = converted is not None and gives_token_types(Path(converted.name))
    if not reads_images and lacks_padding(config, architecture):
        config = {**config, "pad_token_id": NO_PADDING}
    inputs = (
        _image_inputs(directory, config)
        if reads_images
        else _text_inputs(config, architecture, gives_types=gives_types)
    )
    loaded = instantiate(config, read_checkpoint(directory), architecture)
    examples = {spec.name: _example(spec) for spec in inputs}
    return TorchSource(
        SourceFacts(
            kind="huggingface",
            name=title,
            model_type=config["model_type"],
            architecture=architecture,
            architecture_family=architecture_family(config, architecture),
            repo_id=repo_id,
            revision=revision,
            license=read_license(directory),
            config=config,
            directory=directory if converted is None else Path(converted.name),
            left_out=loaded.left_out,
            notes=chosen.notes,
            origin=origin,
        ),
        loaded.module,
        Examples(
            examples,
            tuple(replace(spec, upper_bound=_table_size(loaded.module, spec.name)) for spec in inputs),
            came_with_model=False,
        ),
        call=lambda module, tensors: module(**tensors),
        has_weights=True,
        outputs=("last_hidden_state", "pooler_output") if reads_images else ("last_hidden_state",),
        limits={} if reads_images else _limits(loaded.module, examples, config),
        holds=(laid_out, converted),
    )


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / "config.json"
    if not path.is_file():
        raise PackageError(
            f"not a model directory: {directory} has no config.json",
            hint="transformers' save_pretrained writes a model directory",
        )
    return read_json_object(path, hint="fetch the model again", allow_non_finite=True)


def _text_inputs(config: Mapping[str, Any], architecture: str, *, gives_types: bool) -> tuple[TensorSpec, ...]:
    names = text_inputs(config, architecture, gives_types=gives_types)
    return tuple(TensorSpec(name, DataType.I64, (BATCH, SEQUENCE)) for name in names)


def _table_size(module: Any, name: str) -> int | None:
    """Returns the number of entries of the table in which a model looks up an input; ``None`` without such a table."""
    if name == "input_ids":
        try:
            return int(module.get_input_embeddings().num_embeddings)
        except NotImplementedError:  # raised by transformers for a two-tower model without such a table
            return None
    table = _find_table(module, "token_type_embeddings") if name == "token_type_ids" else None
    return None if table is None else table.num_embeddings


def _limits(module: torch.nn.Module, examples: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> dict[str, int]:
    """Returns the limit on the length of rows: the number of positions in the model's own tables."""
    special = {value for name, value in config.items() if name.endswith("_token_id")}
    limit = measure_position_limit(module, examples, next(token for token in range(3, 100) if token not in special))
    return {} if limit is None else {SEQUENCE: limit}


def _find_table(module: torch.nn.Module, name: str) -> torch.nn.Embedding | None:
    tables = [
        part for path, part in module.named_modules() if isinstance(part, torch.nn.Embedding) and path.endswith(name)
    ]
    return tables[0] if len(tables) == 1 else None


def _image_inputs(directory: Path, config: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    channels = config.get("num_channels", 3)
    return (TensorSpec("pixel_values", DataType.F32, (BATCH, channels, *read_image_size(directory, config))),)


def _example(spec: TensorSpec) -> torch.Tensor:
    """Makes an example: token 1 everywhere with nothing masked, or grey images."""
    shape = [_EXAMPLE_EXTENTS[dim] if isinstance(dim, str) else dim for dim in spec.dims]
    if spec.dtype.is_floating:
        return torch.zeros(shape)
    return torch.full(shape, int(spec.name != "token_type_ids"), dtype=torch.int64)
