"""The libraries that define a model's answers, behind one interface."""

from inferox.packing.defining.choice import INSTALL_HINT, NoDefinition, open_defining_library
from inferox.packing.defining.library import DefiningLibrary, Definition

__all__ = ["INSTALL_HINT", "DefiningLibrary", "Definition", "NoDefinition", "open_defining_library"]
