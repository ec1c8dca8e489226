"""What scripts may ask of sentence-transformers' classes, and packages do not do: refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferox.core import ConfigError


class UnsupportedError(ConfigError, AttributeError):
    """A method, property or option of the library in whose place this stands, which is not supported.

    It is an ``AttributeError`` too, so that ``hasattr`` is false.
    """


_TRAINING = "train with sentence-transformers, and pack what it saves"
_MODULE = "a package is not a PyTorch module; load the model with sentence-transformers to change or look into it"
_SAVING = "the model's own folder is what it was; the package that was made of it is at model.package"

_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("fit", "old_fit", "evaluate", "train", "smart_batching_collate", "zero_grad"), _TRAINING),
    **dict.fromkeys(("save", "save_pretrained", "push_to_hub", "save_to_hub"), _SAVING),
    **dict.fromkeys(
        (
            *("half", "bfloat16", "float", "compile", "dtype", "parameters", "named_parameters", "modules", "children"),
            *("state_dict", "load_state_dict", "forward", "requires_grad_", "transformers_model", "model", "config"),
            *("add_adapter", "load_adapter", "merge", "set_pooling_include_prompt", "auto_model", "processor"),
            *("preprocess", "get_sentence_features", "modalities", "supports", "share_memory", "append"),
        ),
        _MODULE,
    ),
    "tokenizer": "model.tokenize(texts) gives tokens; transformers.AutoTokenizer.from_pretrained gives the tokenizer",
}


def unsupported_member(owner: str, name: str) -> Exception:
    """The error for a member that is not there.

    Args:
        owner: The class.
        name: The member.
    """
    if name not in _REASONS:
        return AttributeError(f"{owner!r} object has no attribute {name!r}")
    return UnsupportedError(f"inferox.compat.{owner} does not support {name!r}", hint=_REASONS[name])


def refuse_options(owner: str, hints: Mapping[str, str], given: Mapping[str, Any]) -> None:
    """Refuses options that have been given and are not supported.

    Args:
        owner: The class or method.
        hints: What to do instead, by option.
        given: The options' values; ``None`` and what is empty asks for nothing.

    Raises:
        UnsupportedError: If there is one; it names it.
    """
    for name, value in given.items():
        if value is not None and value is not False and not (isinstance(value, Mapping) and not value):
            hint = hints.get(name, "leave it out")
            raise UnsupportedError(f"inferox.compat.{owner} does not support the option {name!r}", hint=hint)
