"""A contract of import-linter: no import cycles."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output


class NoImportCyclesContract(Contract):
    """Refuses import cycles of modules, in whichever folders they lie.

    import-linter's own ``acyclic_siblings`` also refuses two folders that import each other without such a cycle.
    """

    type_name = "no_import_cycles"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - the tool passes it
        imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
        try:
            TopologicalSorter(imports).prepare()
        except CycleError as error:
            return ContractCheck(kept=False, metadata={"cycle": error.args[1][::-1]})
        return ContractCheck(kept=True)

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Prints one cycle."""
        output.print_error(" imports ".join(check.metadata["cycle"]))
