"""The imports and files that a worker needed for its models: those that replace it need the same."""

from __future__ import annotations

from msgspec import Struct, field


class Prerequisites(Struct, frozen=True):
    """The modules and files that are needed to compute models, besides their runtimes.

    Attributes:
        modules: The installed modules, in the order in which they were imported.
        tokenizers: The files of tokenizers, as absolute paths, one per use.
        loaded: The result of ``Backend.list_loaded`` of each backend, by the backend's name.
    """

    modules: tuple[str, ...] = ()
    tokenizers: tuple[str, ...] = ()
    loaded: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def updated(self, later: Prerequisites) -> Prerequisites:
        """Merges later prerequisites: modules stay imported, whereas tokenizers may no longer be needed.

        Args:
            later: The later prerequisites.
        """
        return Prerequisites(tuple(dict.fromkeys((*self.modules, *later.modules))), later.tokenizers, later.loaded)
