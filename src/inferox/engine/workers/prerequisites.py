"""The imports and files that a worker needed for its models: those that replace it need the same."""

from __future__ import annotations

from msgspec import Struct, field


class Prerequisites(Struct, frozen=True):
    """The modules and files that it takes to compute models, beside their runtimes.

    Attributes:
        modules: The installed modules, in the order in which they were imported.
        tokenizers: The files of tokenizers, as absolute paths, one for each use.
        loaded: What each backend has loaded, as ``Backend.list_loaded`` gives it, by the backend's name.
    """

    modules: tuple[str, ...] = ()
    tokenizers: tuple[str, ...] = ()
    loaded: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def updated(self, later: Prerequisites) -> Prerequisites:
        """These with what was found later: a module stays imported, and a tokenizer may not be needed any more.

        Args:
            later: What was found.
        """
        return Prerequisites(tuple(dict.fromkeys((*self.modules, *later.modules))), later.tokenizers, later.loaded)
