"""The common base of both classes: loading, prompts, the token limit, and options without effect."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from inferox.batching import MAX_TOKENS
from inferox.compat.local_package import ModelChoice
from inferox.compat.unsupported import RefusedOperators, UnsupportedError, refuse_options, unsupported_member
from inferox.core import (
    Closing,
    ConfigError,
    DeviceId,
    Precision,
    RequestError,
    dtype_name,
    positive_integer,
)
from inferox.core.prompt_names import USUAL_PROMPTS, describe_prompts
from inferox.loading import TaskModel, plan_load
from inferox.sources.hub_access import HubAccess
from inferox.tasks.text_task import TextTask

TaskType = TypeVar("TaskType", bound=TextTask)

_BACKENDS = {"auto": None, "torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
"""Backends by their names in sentence-transformers."""

_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "attn_implementation": ("eager", "sdpa"),
    "low_cpu_mem_usage": (True, False),
    "use_safetensors": (True,),
}
"""Arguments of models, with the values that only choose how the same weights are read or the same numbers computed."""

_FORMATS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""Precisions by the names of data types in PyTorch."""

_HINTS = {
    "modules": "save the model with sentence-transformers, and give its folder",
    "processor_kwargs": "set model.max_seq_length for another limit of tokens",
    "tokenizer_kwargs": "set model.max_seq_length for another limit of tokens",
    "use_auth_token": "use token",
    "config_kwargs": "change the model's own config.json",
}

_logger = logging.getLogger(__name__)


class TextModel(RefusedOperators, Closing, Generic[TaskType]):
    """A package behind the methods of a class of sentence-transformers.

    Args:
        choice: The model.
        device: The device to load it on, such as ``cuda:0``; ``None`` for the backend's default.
        threads: The number of CPU threads; ``None`` for one per core.
        trust_code: Whether code that comes with the package may run.
        prompts: Texts to put before others, by name; they extend or replace those of the model.
        default_prompt_name: The prompt to use if a call names none; ``None`` for the model's default.
        refused: Options that are not supported.

    Attributes:
        package: The path of the loaded package.
        prompts: The prompts that can be put before texts, by name.
        default_prompt_name: The prompt to use if a call names none; ``None`` for none.

    Raises:
        UnsupportedError: If there is an option that is not supported.
        ConfigError: If there is no prompt of the name ``default_prompt_name``.
        RequestError: If the model is for another task.
        InferoxError: If the package cannot be made or loaded.
    """

    _TASKS: ClassVar[frozenset[str]]
    _OTHER: ClassVar[str]

    def __init__(
        self,
        choice: ModelChoice,
        *,
        device: Any,
        threads: int | None,
        trust_code: bool,
        prompts: Mapping[str, str] | None,
        default_prompt_name: str | None,
        refused: Mapping[str, Any],
    ) -> None:
        refuse_options(f"inferox.compat.{type(self).__name__}", _HINTS, refused)
        self.package = choice.find_package(self._check_task)
        planned = plan_load(
            self.package,
            choice.backend or "auto",
            None if device is None else str(device),
            choice.precision.value,
            threads=threads,
            trust_code=trust_code,
        )
        self._config = planned.loader.context.package.config
        self._loaded = planned.load()
        task = self._loaded.task
        try:
            self._check_task(self._loaded.name, task.name)
        except RequestError:
            self._loaded.close()
            raise
        self._task: TaskType = task  # type: ignore[assignment] # as its name says
        self.prompts = {**USUAL_PROMPTS, **self._task.prompts, **(prompts or {})}
        self.default_prompt_name = default_prompt_name
        if default_prompt_name is not None:
            self._named_prompt(default_prompt_name)

    @classmethod
    def _check_task(cls, name: str, task: str) -> None:
        if task not in cls._TASKS:
            raise RequestError(f"{name!r} is for the task {task}, not for {cls.__name__}", hint=cls._OTHER)

    def __repr__(self) -> str:
        """Returns what is loaded: the package and the artifact on its device."""
        return f"<{type(self).__name__} {self._loaded.name!r}: {self._loaded.metadata.artifact} on {self.device}>"

    @property
    def loaded(self) -> TaskModel:
        """The loaded package, with everything that Inferox itself offers."""
        return self._loaded

    @property
    def device(self) -> str:
        """The name of the device on which the model computes."""
        return str(self._loaded.metadata.device)

    @property
    def max_seq_length(self) -> int | None:
        """The most tokens of a text, including special tokens; longer ones are cut. It can be set."""
        return self._task.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self._task = self._task.with_max_length(value)

    def get_max_seq_length(self) -> int | None:
        """Returns the most tokens of a text; see ``max_seq_length``."""
        return self.max_seq_length

    def get_backend(self) -> str:
        """Returns the name of the backend that computes the model, such as ``openvino``."""
        return self._loaded.metadata.backend

    def start_multi_process_pool(self, target_devices: Sequence[str] | None = None) -> dict[str, Any]:
        """Returns a value to pass as ``pool``. It starts no processes: the model uses all its threads anyway.

        Args:
            target_devices: Devices; only the model's own is allowed.

        Raises:
            UnsupportedError: If there is another device.
        """
        for device in target_devices or ():
            self._check_device(device)
        return {"input": None, "output": None, "processes": []}

    @staticmethod
    def stop_multi_process_pool(pool: Mapping[str, Any]) -> None:
        """Does nothing, as ``start_multi_process_pool`` starts no processes.

        Args:
            pool: The result of ``start_multi_process_pool``.
        """

    def to(self, device: Any) -> Self:
        """Returns the model itself, if it is on the device already.

        Args:
            device: The device.

        Raises:
            UnsupportedError: If it is another device.
        """
        self._check_device(device)
        return self

    def cpu(self) -> Self:
        """Returns the model itself, if it is on the CPU; see ``to``."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Self:
        """Returns the model itself, if it is on that GPU; see ``to``."""
        return self.to("cuda" if device is None else f"cuda:{device}")

    def eval(self) -> Self:
        """Returns the model itself, which is always in evaluation mode."""
        return self

    def close(self) -> None:
        """Frees the model. Closing twice does nothing."""
        self._loaded.close()

    def __getattr__(self, name: str) -> Any:
        raise unsupported_member(type(self).__name__, name)

    def _check_call(
        self,
        batch_size: int,
        device: Any,
        pool: Mapping[str, Any] | None,
        chunk_size: int | None,
        further: Iterable[str],
    ) -> None:
        """Checks options of a call that do not change the numbers."""
        for name, value in (("batch_size", batch_size), ("chunk_size", chunk_size)):
            if value is not None:
                positive_integer(name, value)
        if pool is not None and "processes" not in pool:
            raise ConfigError("pool must be the result of start_multi_process_pool")
        for each in device if isinstance(device, list | tuple) else [device]:
            if each is not None:
                self._check_device(each)
        unknown = sorted(set(further) - {"task"})
        if unknown:
            raise UnsupportedError(
                f"inferox.compat.{type(self).__name__} does not support the option {unknown[0]!r}", hint="leave it out"
            )

    def _max_tokens(self, batch_size: int) -> int:
        """Returns the most tokens of a batch, so that it is no larger than the caller allowed."""
        return min(MAX_TOKENS, batch_size * (self._task.max_length or MAX_TOKENS))

    def _prompt_text(self, prompt: str | None, prompt_name: str | None) -> str | None:
        """Returns the text to put before others; ``None`` for the package's own default."""
        if prompt is not None:
            return prompt
        if prompt_name is not None:
            return self._named_prompt(prompt_name)
        return None if self.default_prompt_name is None else self._named_prompt(self.default_prompt_name)

    def _named_prompt(self, name: str) -> str:
        if name not in self.prompts:
            raise ConfigError(f"there is no prompt {name!r}", hint=describe_prompts(self.prompts))
        return self.prompts[name]

    def _check_device(self, device: Any) -> None:
        own = self._loaded.metadata.device
        named = DeviceId.parse(str(device))
        if named != own:
            raise UnsupportedError(
                f"the model is on {own}, and cannot be moved to {named}",
                hint=f"load it with {type(self).__name__}(…, device={str(device)!r})",
            )


def choose_model(
    name: str | Path | None,
    organization: str,
    task: str | None,
    backend: str,
    precision: Any,
    *,
    cache_folder: str | Path | None,
    token: str | bool | None,
    local_files_only: bool,
    revision: str | None,
) -> ModelChoice:
    """Makes a model choice from the options that identify the model.

    Args:
        name: A package, a model's folder, or a name on the hub.
        organization: The owner of models that are named without one.
        task: The task to pack the model for; ``None`` for the one that its own files state.
        backend: ``auto``, ``torch``, ``onnx`` or ``openvino``.
        precision: The precision to compute it in.
        cache_folder: The folder of the hub's files.
        token: The hub's token, or whether to send the stored one.
        local_files_only: Whether to use only files that were downloaded before.
        revision: The branch, tag or commit on the hub.

    Raises:
        ConfigError: If there is no such backend or precision.
    """
    if backend not in _BACKENDS:
        raise ConfigError(f"backend must be one of {', '.join(_BACKENDS)}, but is {backend!r}")
    folder = None if cache_folder is None else Path(cache_folder)
    return ModelChoice(
        "" if name is None else str(name),
        organization,
        task,
        _BACKENDS[backend],
        Precision.parse(precision),
        HubAccess(folder, token, local_files_only=local_files_only, revision=revision),
    )


def read_precision(owner: str, precision: Any, model_kwargs: Mapping[str, Any] | None) -> Any:
    """Returns the precision that ``model_kwargs`` requests, or else the given one.

    Args:
        owner: The class that is given them.
        precision: The precision to return if ``model_kwargs`` does not request one.
        model_kwargs: Arguments of the model; ``dtype`` and those without effect are supported.

    Raises:
        ConfigError: If they are not a mapping.
        UnsupportedError: If there is another argument, another value of one without effect, or another dtype.
    """
    if not isinstance(model_kwargs, Mapping | None):
        raise ConfigError(f"model_kwargs must map names to values, but is {model_kwargs!r}")
    given = {name: value for name, value in (model_kwargs or {}).items() if value is not None}
    subject = f"model_kwargs of inferox.compat.{owner}"
    for name in given.keys() & _WITHOUT_EFFECT:
        value = given.pop(name)
        if not any(value is known or (isinstance(value, str) and value == known) for known in _WITHOUT_EFFECT[name]):
            raise UnsupportedError(f"{subject} does not support {name}={value!r}", hint=f"leave {name} out")
    dtypes = [given.pop(name) for name in ("dtype", "torch_dtype") if name in given]
    refuse_options(subject, {}, given)
    for dtype in dtypes:
        named = (dtype_name(dtype) or str(dtype)).removeprefix("torch.")
        if named != "auto" and named not in _FORMATS:
            raise UnsupportedError(
                f"{subject} does not support the dtype {named}", hint=f"use one of {', '.join(_FORMATS)} and auto"
            )
        precision = _FORMATS.get(named, precision)
    return precision
