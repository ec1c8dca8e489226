"""The settings of sentence-transformers: each is honoured, has no effect on the numbers, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inferox.core import ConfigError
from inferox.sources.sentence_modules import MODULES_FILE, RAW_HINT, SETTINGS_FILE
from inferox.sources.tokenizer_names import TOKENIZER_CONFIG_FILE
from inferox.tasks.options import read_json

TRANSFORMER_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""The names under which sentence-transformers has stored the settings of the transformer, newest first."""

_CHAT_TEMPLATES = ("chat_template.jinja", "chat_template.json")

Check = Callable[[Any], bool]

_SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")


def _nothing(value: Any) -> bool:
    return value in (None, {}, [])


def _whole(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


def _switch(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _anything(value: Any) -> bool:  # noqa: ARG001 - it accepts every value
    return True


def _only(*keys: str) -> Check:
    """Makes a check that accepts objects with no keys but these, which have no effect on the numbers."""
    return lambda value: value is None or (isinstance(value, dict) and value.keys() <= set(keys))


def _processing(value: Any) -> bool:
    """Returns whether the processor's arguments are, for texts, those it gets anyway. There are no other inputs."""
    if value is None:
        return True
    known = {"common", "text", "audio", "image", "video", "chat_template"}
    if not isinstance(value, dict) or not value.keys() <= known or not _nothing(value.get("common")):
        return False
    text = value.get("text") or {}
    usual = {"padding": (True, "longest"), "truncation": (True, "longest_first")}
    return isinstance(text, dict) and all(setting in usual.get(name, ()) for name, setting in text.items())


def check_transformer_settings(directory: Path, *, task: str, method_output: str, module_output: str) -> None:
    """Checks the settings of the transformer that reads the texts.

    Args:
        directory: The folder of the model.
        task: sentence-transformers' name for the transformer's task, such as ``feature-extraction``.
        method_output: The output of transformers' class that is read, such as ``last_hidden_state``.
        module_output: sentence-transformers' name for it, such as ``token_embeddings``.

    Raises:
        ConfigError: If a setting is unknown, or requests something that Inferox does not support.
        PackageError: If a file cannot be read.
    """

    def takes_texts_alone(value: Any) -> bool:
        outputs = (method_output, [method_output])
        text = value.get("text") if isinstance(value, dict) and value.keys() == {"text"} else None
        return isinstance(text, dict) and text.get("method") == "forward" and text.get("method_output_name") in outputs

    # sentence-transformers reads the first that is not empty.
    found = ((name, read_json(directory / name)) for name in TRANSFORMER_FILES)
    name, settings = next(((name, values) for name, values in found if values), ("", {}))
    model_arguments = _only("torch_dtype", "dtype", "attn_implementation", "device_map", "trust_remote_code")
    tokenizer_arguments = _only("use_fast", "trust_remote_code", "local_files_only", "padding_side")
    config_arguments = _only("trust_remote_code", "local_files_only")
    _check(
        name,
        settings,
        {
            "max_seq_length": _whole,
            "do_lower_case": _switch,
            "transformer_task": lambda value: value == task,
            "modality_config": takes_texts_alone,
            "module_output_name": lambda value: value == module_output,
            "processing_kwargs": _processing,
            "unpad_inputs": _switch,
            "query_length": _nothing,
            "document_length": _nothing,
            "query_expansion": _nothing,
            "model_args": model_arguments,
            "model_kwargs": model_arguments,
            "tokenizer_args": tokenizer_arguments,
            "processor_kwargs": tokenizer_arguments,
            "config_args": config_arguments,
            "config_kwargs": config_arguments,
            "tokenizer_name_or_path": _nothing,
        },
    )


def read_model_settings(directory: Path) -> dict[str, Any]:
    """Reads and checks the settings of the model as a whole; empty if there are none.

    Args:
        directory: The folder of the model.

    Returns:
        The settings by name; ``prompts`` is an object of texts.

    Raises:
        ConfigError: If a setting is unknown, or requests something that Inferox does not support.
        PackageError: If the file cannot be read.
    """
    settings = read_json(directory / SETTINGS_FILE) or {}

    def prompts(value: Any) -> bool:
        return value is None or (
            isinstance(value, dict) and all(text is None or isinstance(text, str) for text in value.values())
        )

    known: dict[str, Check] = {
        "model_type": lambda value: value in {"SentenceTransformer", "CrossEncoder"},
        "__version__": _anything,
        "prompts": prompts,
        "default_prompt_name": lambda value: value is None or isinstance(value, str),
        "similarity_fn_name": lambda value: value is None or value in _SIMILARITIES,
        "truncate_dim": _whole,
        "activation_fn": lambda value: value is None or isinstance(value, str),
        # Everything is computed in float32 or compared with it.
        "keep_in_fp32_modules": _anything,
        "requirements": _nothing,
    }
    _check(SETTINGS_FILE, settings, known)
    # sentence-transformers treats a null prompt as the empty text.
    texts = {name: text or "" for name, text in (settings.get("prompts") or {}).items()}
    return {**settings, "prompts": texts}


def _check(file: str, settings: Mapping[str, Any], known: Mapping[str, Check]) -> None:
    for key, value in settings.items():
        check = known.get(key)
        if check is None:
            raise ConfigError(
                f"{file} has the key {key!r} ({value!r}), which sentence-transformers does not have, so its effect is "
                "unknown",
                hint=f"remove it if it has no effect; otherwise {RAW_HINT}",
            )
        if not check(value):
            raise ConfigError(
                f"{file} sets {key!r} to {value!r}, which is not supported: {_MEANINGS.get(key, 'it must be valid')}",
                hint=RAW_HINT,
            )


_MEANINGS = {
    "max_seq_length": "it must be a positive number of tokens or null",
    "do_lower_case": "it must be true or false",
    "transformer_task": "the transformer must be loaded for the task that the model is packed for",
    "modality_config": "only texts are read, as they are and by the model's forward method, without a chat template",
    "module_output_name": "the module after it reads another output",
    "processing_kwargs": "texts are padded and cut only in the usual way",
    "unpad_inputs": "it must be true, false or null",
    "query_length": "queries and documents have the same limit",
    "document_length": "queries and documents have the same limit",
    "query_expansion": "no tokens are added to queries",
    "model_args": "arguments that change what the model computes are not passed on",
    "model_kwargs": "arguments that change what the model computes are not passed on",
    "tokenizer_args": "the tokenizer is the one that the model's own files describe, without further arguments",
    "processor_kwargs": "the tokenizer is the one that the model's own files describe, without further arguments",
    "config_args": "the config is config.json alone",
    "config_kwargs": "the config is config.json alone",
    "tokenizer_name_or_path": "the tokenizer must lie beside the model",
    "model_type": "SentenceTransformer (one vector for each text) and CrossEncoder (a score for each pair) are",
    "prompts": "it must give a text for each name",
    "default_prompt_name": "it must be a name or null",
    "similarity_fn_name": f"it must be one of {', '.join(_SIMILARITIES)}",
    "truncate_dim": "it must be a positive number of dimensions or null",
    "activation_fn": "it must be the name of a class or null",
    "requirements": "versions of other packages are not checked",
}


def refuse_chat_template(directory: Path) -> None:
    """Refuses a model without ``modules.json`` whose texts sentence-transformers would put into a chat template.

    Args:
        directory: The folder of the model.

    Raises:
        ConfigError: If it has a chat template.
    """
    template = next((name for name in _CHAT_TEMPLATES if (directory / name).is_file()), None)
    config = read_json(directory / TOKENIZER_CONFIG_FILE, allow_non_finite=True) or {}
    if template is None and config.get("chat_template"):
        template = f"chat_template of {TOKENIZER_CONFIG_FILE}"
    if template is not None:
        raise ConfigError(
            f"there is a chat template ({template}) and no {MODULES_FILE}: sentence-transformers would put each text "
            "into that template, which is not supported",
            hint="state how texts are read: save the model with sentence-transformers, or remove the template",
        )
