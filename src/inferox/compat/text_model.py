"""What both classes have in common: how a model is loaded, its prompts, its limit, and what takes no effect."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from inferox.batching import MAX_TOKENS
from inferox.compat.local_package import ModelChoice
from inferox.compat.unsupported import UnsupportedError, refuse_options, unsupported_member
from inferox.core import Closing, ConfigError, DeviceId, Precision, RequestError, positive_integer
from inferox.loading import TaskModel, plan_load
from inferox.sources.hub_access import HubAccess
from inferox.tasks.text_task import TextTask

TaskType = TypeVar("TaskType", bound=TextTask)

_BACKENDS = {"auto": None, "torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
"""What sentence-transformers calls backends."""

_HARMLESS = frozenset({"attn_implementation", "low_cpu_mem_usage", "use_safetensors"})
"""Arguments of models that change no numbers."""

_HINTS = {
    "modules": "save the model with sentence-transformers, and give its folder",
    "processor_kwargs": "set model.max_seq_length for another limit of tokens",
    "tokenizer_kwargs": "set model.max_seq_length for another limit of tokens",
    "use_auth_token": "use token",
    "config_kwargs": "change the model's own config.json",
}

_logger = logging.getLogger(__name__)


class TextModel(Closing, Generic[TaskType]):
    """A package behind the methods of a class of sentence-transformers.

    Args:
        choice: The model.
        device: Where it is loaded, such as ``cuda:0``; ``None`` for the backend's default.
        precision: The number format in which it computes.
        threads: How many CPU threads it may use; ``None`` for one per core.
        trust_code: Whether code that comes with the package may run.
        prompts: Texts to put before others, by name, besides those of the model or in their place.
        default_prompt_name: The one that is put before texts where a call says nothing; ``None`` for the model's.
        refused: Options that are not supported.

    Attributes:
        package: The package that was loaded.
        prompts: What can be put before texts, by name.
        default_prompt_name: The prompt that is put before texts where a call says nothing; ``None`` for none.
    """

    _KIND: ClassVar[type[TextTask] | tuple[type[TextTask], ...]]
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
        refuse_options(type(self).__name__, _HINTS, refused)
        self.package = choice.find_package()
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
        if not isinstance(task, self._KIND):
            self._loaded.close()
            raise RequestError(
                f"{self._loaded.name!r} is packed for the task {task.name}, not for {type(self).__name__}",
                hint=self._OTHER,
            )
        self._task: TaskType = task  # type: ignore[assignment] # as _KIND says
        self.prompts = {**dict.fromkeys(("query", "document"), ""), **task.prompts, **(prompts or {})}
        self.default_prompt_name = default_prompt_name
        if default_prompt_name is not None:
            self._named_prompt(default_prompt_name)

    @property
    def loaded(self) -> TaskModel:
        """The loaded package, with all that Inferox itself offers."""
        return self._loaded

    @property
    def device(self) -> str:
        """The name of the device on which the model computes."""
        return str(self._loaded.metadata.device)

    @property
    def max_seq_length(self) -> int | None:
        """The most tokens of a text, special tokens included; longer ones are cut. It can be set."""
        return self._task.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self._task = self._task.with_max_length(value)

    def get_max_seq_length(self) -> int | None:
        """The most tokens of a text; see ``max_seq_length``."""
        return self.max_seq_length

    def get_backend(self) -> str:
        """The runtime that computes the model, such as ``openvino``."""
        return self._loaded.metadata.backend

    def start_multi_process_pool(self, target_devices: Sequence[str] | None = None) -> dict[str, Any]:
        """Something to pass as ``pool``. No process is started: the model uses all threads that it may use anyway.

        Args:
            target_devices: Devices, of which there must be no other than the model's own.

        Raises:
            UnsupportedError: If there is another.
        """
        for device in target_devices or ():
            self._check_device(device)
        return {"input": None, "output": None, "processes": []}

    @staticmethod
    def stop_multi_process_pool(pool: Mapping[str, Any]) -> None:
        """Ends what ``start_multi_process_pool`` gave, of which nothing runs.

        Args:
            pool: What that gave.
        """

    def to(self, device: Any) -> Self:
        """Returns the model itself where that is its device already.

        Args:
            device: The device.

        Raises:
            UnsupportedError: If it is another.
        """
        self._check_device(device)
        return self

    def cpu(self) -> Self:
        """Returns the model itself where it is on the CPU; see ``to``."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Self:
        """Returns the model itself where it is on that GPU; see ``to``."""
        return self.to("cuda" if device is None else f"cuda:{device}")

    def eval(self) -> Self:
        """Returns the model itself, which is only ever evaluated."""
        return self

    def close(self) -> None:
        """Frees what the model holds. Closing twice does nothing."""
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
        """Checks options of a call that change no numbers."""
        for name, value in (("batch_size", batch_size), ("chunk_size", chunk_size)):
            if value is not None:
                positive_integer(name, value)
        if pool is not None and "processes" not in pool:
            raise ConfigError("pool must be what start_multi_process_pool gave")
        for each in device if isinstance(device, list | tuple) else [device]:
            if each is not None:
                self._check_device(each)
        unknown = sorted(set(further) - {"task"})
        if unknown:
            raise UnsupportedError(
                f"inferox.compat.{type(self).__name__} does not support the option {unknown[0]!r}", hint="leave it out"
            )

    def _max_tokens(self, batch_size: int) -> int:
        """How many tokens a batch may have, so that it is no larger than the caller allowed."""
        return min(MAX_TOKENS, batch_size * (self._task.max_length or MAX_TOKENS))

    def _prompt_text(self, prompt: str | None, prompt_name: str | None) -> str | None:
        """The text to put before others; ``None`` for what the package says itself."""
        if prompt is not None:
            return prompt
        if prompt_name is not None:
            return self._named_prompt(prompt_name)
        return None if self.default_prompt_name is None else self._named_prompt(self.default_prompt_name)

    def _named_prompt(self, name: str) -> str:
        if name not in self.prompts:
            raise ConfigError(f"there is no prompt {name!r}; there are {', '.join(self.prompts)}")
        return self.prompts[name]

    def _check_device(self, device: Any) -> None:
        own = self._loaded.metadata.device
        named = DeviceId.parse(str(device))
        if named != own:
            raise UnsupportedError(
                f"the model is on {own} and stays there; {named} was asked for",
                hint=f"load it with {type(self).__name__}(…, device={str(device)!r})",
            )


def choose_model(
    name: str | Path | None,
    organization: str,
    task: str | None,
    backend: str,
    precision: str,
    *,
    cache_folder: str | Path | None,
    token: str | bool | None,
    local_files_only: bool,
    revision: str | None,
) -> ModelChoice:
    """Reads the options that say which model is meant.

    Args:
        name: A package, a model's folder, or a name on the hub.
        organization: Whose models are named without an owner.
        task: What the model is packed for; ``None`` where its own files say so.
        backend: ``auto``, ``torch``, ``onnx`` or ``openvino``.
        precision: The number format in which it is to be computed.
        cache_folder: Where the hub's files are kept.
        token: The hub's token, or whether the stored one is sent.
        local_files_only: Whether only what was fetched before is looked at.
        revision: The branch, tag or commit on the hub.

    Raises:
        ConfigError: If no model is named, or there is no such backend or precision.
    """
    if not name:
        raise ConfigError("no model is named", hint="give a package, a model's folder, or a name on the hub")
    if backend not in _BACKENDS:
        raise ConfigError(f"backend must be one of {', '.join(_BACKENDS)}, but is {backend!r}")
    folder = None if cache_folder is None else Path(cache_folder)
    return ModelChoice(
        str(name),
        organization,
        task,
        _BACKENDS[backend],
        Precision.parse(precision),
        HubAccess(folder, token, local_files_only=local_files_only, revision=revision),
    )


def read_precision(precision: str, model_kwargs: Mapping[str, Any] | None) -> str:
    """The number format that ``model_kwargs`` asks for, as far as it asks for anything else.

    Args:
        precision: What is taken otherwise.
        model_kwargs: Arguments of the model; ``dtype`` and those that change no numbers are supported.

    Raises:
        UnsupportedError: If there is another.
    """
    given = dict(model_kwargs or {})
    dtypes = [str(given.pop(name)).removeprefix("torch.") for name in ("dtype", "torch_dtype") if given.get(name)]
    refuse_options("model_kwargs", {}, {name: value for name, value in given.items() if name not in _HARMLESS})
    formats = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "auto": precision}
    for dtype in dtypes:
        if dtype not in formats:
            raise UnsupportedError(f"the dtype {dtype} is not supported; there are {', '.join(formats)}")
        precision = formats[dtype]
    return precision
