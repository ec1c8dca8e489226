"""Members and options of sentence-transformers' classes that packages do not support: refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferox.core import ConfigError


class UnsupportedError(ConfigError, AttributeError):
    """A member or option of the replaced library that is not supported.

    It is an ``AttributeError`` too, so that ``hasattr`` returns False.
    """


_TRAINING = "train with sentence-transformers, and pack what it saves"
_MODULE = "a package is not a PyTorch module; load the model with sentence-transformers to change or inspect it"
_SAVING = "the model's own folder is unchanged; the package made of it is at model.package"

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
    """Returns the error for a member that does not exist.

    Args:
        owner: The class.
        name: The member.
    """
    if name not in _REASONS:
        return AttributeError(f"{owner!r} object has no attribute {name!r}")
    return UnsupportedError(f"inferox.compat.{owner} does not support {name!r}", hint=_REASONS[name])


def refuse_options(owner: str, hints: Mapping[str, str], given: Mapping[str, Any]) -> None:
    """Refuses options that are given, but not supported.

    Args:
        owner: The class or method.
        hints: The advice for each option.
        given: The values of the options; ``None``, ``False`` and an empty mapping count as not given.

    Raises:
        UnsupportedError: If there is one; the error names it.
    """
    for name, value in given.items():
        if value is not None and value is not False and not (isinstance(value, Mapping) and not value):
            hint = hints.get(name, "leave it out")
            raise UnsupportedError(f"inferox.compat.{owner} does not support the option {name!r}", hint=hint)
