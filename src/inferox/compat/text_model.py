"""The common base of both classes: loading, prompts, the token limit, and options without effect."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from inferox.batching import MAX_TOKENS
from inferox.compat.local_package import ModelChoice
from inferox.compat.tensors import to_torch_if_installed
from inferox.compat.token_outputs import pad_tokens
from inferox.compat.unsupported import RefusedOperators, UnsupportedError, refuse_options, unsupported_member
from inferox.core import (
    Closing,
    ConfigError,
    DeviceId,
    Precision,
    RequestError,
    positive_integer,
)
from inferox.core.prompt_names import USUAL_PROMPTS, describe_prompts
from inferox.loading import TaskModel, plan_load
from inferox.sources.hub_access import HubAccess
from inferox.tasks.given_items import as_list, refuse_single
from inferox.tasks.text_task import TextTask

TaskType = TypeVar("TaskType", bound=TextTask)

_BACKENDS = {"auto": None, "torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
"""Backends by their names in sentence-transformers."""

_HINTS = {
    "modules": "save the model with sentence-transformers, and give its folder",
    "processor_kwargs": "set model.max_seq_length for another limit of tokens",
    "tokenizer_kwargs": "set model.max_seq_length for another limit of tokens",
    "use_auth_token": "use token",
    "processing_kwargs": "set model.max_seq_length for another limit of tokens",
    "max_length": "set model.max_seq_length for another limit of tokens",
    "config_kwargs": "change the model's own config.json",
}

_TEXT = "text"

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

    @property
    def modalities(self) -> list[str]:
        """The kinds of input that the model takes: ``["text"]``."""
        return [_TEXT]

    def supports(self, modality: Any) -> bool:
        """Returns whether the model takes a kind of input.

        Args:
            modality: The kind, such as ``text`` or ``image``; or a tuple of kinds.
        """
        return modality in self.modalities

    def preprocess(self, inputs: Iterable[Any], prompt: str | None = None, **further: Any) -> dict[str, Any]:
        """Tokenizes texts, padded to the longest.

        Args:
            inputs: The texts; for a model that scores pairs, the pairs. Those that are too long for the model are cut.
            prompt: The text to put before each; ``None`` for nothing.
            further: ``task``, which has no effect.

        Returns:
            ``input_ids``, ``attention_mask`` and the model's other inputs: tensors of shape ``[n, longest]``, int64;
            arrays if PyTorch is not installed. Also ``modality``, which is ``text``, and, with a prompt,
            ``prompt_length``, the number of its tokens. Empty if there are no texts.

        Raises:
            UnsupportedError: If an option is not supported; the error names it.
            RequestError: If there is a single text instead of several, or an input is not a text, but an image, for
                instance.
        """
        refuse_options(f"inferox.compat.{type(self).__name__}", _HINTS, {**further, "task": None})
        refuse_single(inputs, "a list of texts")
        items = [tuple(item) if isinstance(item, list) else item for item in as_list(inputs)]
        if not items:
            return {}
        task = self._prompted(prompt)
        padded = pad_tokens(task, items)
        length = {"prompt_length": task.count_prompt(prompt)} if prompt else {}
        return {**{name: to_torch_if_installed(array) for name, array in padded.items()}, "modality": _TEXT, **length}

    def tokenize(self, texts: Iterable[Any], **further: Any) -> dict[str, Any]:
        """Tokenizes texts; the older name of ``preprocess``.

        Args:
            texts: The texts.
            further: Other arguments of ``preprocess``.
        """
        return self.preprocess(texts, **further)

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

    @abstractmethod
    def _prompted(self, prompt: str | None) -> TaskType:
        """Returns the task with a prompt before each text; ``None`` for none."""

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
