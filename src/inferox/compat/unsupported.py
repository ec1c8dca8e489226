"""Members and options of sentence-transformers' classes that packages do not support: refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from inferox.core import ConfigError


class UnsupportedError(ConfigError, AttributeError):
    """A member or option of the replaced library that is not supported.

    It is an ``AttributeError`` too, so that ``hasattr`` returns False.
    """


_TRAINING = "train with sentence-transformers, and pack what it saves"
_MODULE = "a package is not a PyTorch module; load the model with sentence-transformers to change or inspect it"
_PRECISION = "choose the precision when the model is loaded, with precision='bf16' for instance"
_ACTIVATION = "with activation_fn=None, the activation in the model's own files is used"
_SAVING = "the model's own folder is unchanged; the package made of it is at model.package"

_REASONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("fit", "old_fit", "train", "smart_batching_collate", "smart_batching_collate_text_only", "zero_grad"),
        _TRAINING,
    ),
    **dict.fromkeys(("save", "save_pretrained", "push_to_hub", "save_to_hub"), _SAVING),
    **dict.fromkeys(
        (
            *("compile", "parameters", "named_parameters", "modules", "children"),
            *("state_dict", "load_state_dict", "forward", "requires_grad_", "transformers_model", "model", "config"),
            *("add_adapter", "load_adapter", "merge", "set_pooling_include_prompt", "auto_model", "processor"),
            *("share_memory", "append", "extend", "insert", "pop", "buffers", "named_buffers", "named_children"),
            *("named_modules", "add_module", "apply"),
            *("get_buffer", "get_parameter", "get_submodule", "set_submodule", "register_buffer", "register_module"),
            *("register_parameter", "register_backward_hook", "register_forward_hook", "register_forward_pre_hook"),
            *("register_full_backward_hook", "register_full_backward_pre_hook", "register_state_dict_post_hook"),
            *("register_state_dict_pre_hook", "register_load_state_dict_post_hook", "get_extra_state"),
            *("register_load_state_dict_pre_hook", "set_extra_state", "extra_repr", "dump_patches"),
            *("call_super_init", "T_destination", "to_empty", "ipu", "xpu", "mtia", "training"),
            *("active_adapter", "active_adapters", "set_adapter", "delete_adapter", "enable_adapters"),
            *("disable_adapters", "get_adapter_state_dict", "check_peft_compatible_model"),
            *("has_peft_compatible_model", "gradient_checkpointing_enable", "set_keep_in_fp32_modules"),
            *("is_singular_input", "model_card_data_class", "model_card_data", "model_type"),
            *("get_model_kwargs", "clear_placement_cache", "default_huggingface_organization"),
            *("SUPPORTED_SIMILARITY_FN_NAMES", "_first_module", "_last_module", "_modules", "_target_device"),
        ),
        _MODULE,
    ),
    **dict.fromkeys(("half", "bfloat16", "float", "double", "type"), _PRECISION),
    **dict.fromkeys(("default_activation_function", "get_default_activation_fn"), _ACTIVATION),
    "dtype": "model.loaded.metadata.precision is the precision in which the model computes",
    "evaluate": "evaluators take models of sentence-transformers; load the model with it to evaluate it",
    "get_sentence_features": "model.preprocess(texts) gives tokens",
    "load": "pass the path to the class itself",
    "tokenizer": "model.preprocess(texts) gives tokens; transformers.AutoTokenizer.from_pretrained gives the tokenizer",
}


class RefusedOperators:
    """The operators of a PyTorch module and of its list of modules, which are refused by name."""

    def __call__(self, *_: Any, **__: Any) -> NoReturn:  # noqa: D102 - the class says it
        raise self._refuse("model(…)", "encode and predict take texts; inferox.load(…)(…) takes tensors")

    def __getitem__(self, index: Any) -> NoReturn:
        raise self._refuse(f"model[{index!r}]", _MODULE)

    def __setitem__(self, index: Any, _: Any) -> NoReturn:
        raise self._refuse(f"model[{index!r}] = …", _MODULE)

    def __delitem__(self, index: Any) -> NoReturn:
        raise self._refuse(f"del model[{index!r}]", _MODULE)

    def __len__(self) -> NoReturn:
        raise self._refuse("len(model)", _MODULE)

    def __iter__(self) -> NoReturn:
        raise self._refuse("iteration over its modules", _MODULE)

    def __bool__(self) -> bool:
        """Returns True, as for a list of modules."""
        return True

    def _refuse(self, operator: str, hint: str) -> UnsupportedError:
        return UnsupportedError(f"inferox.compat.{type(self).__name__} does not support {operator}", hint=hint)


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
        owner: The class or argument in an error.
        hints: The advice for each option.
        given: The values of the options; ``None``, ``False`` and an empty mapping count as not given.

    Raises:
        UnsupportedError: If there is one; the error names it.
    """
    for name, value in given.items():
        if value is not None and value is not False and not (isinstance(value, Mapping) and not value):
            hint = hints.get(name, "leave it out")
            raise UnsupportedError(f"{owner} does not support the option {name!r}", hint=hint)
