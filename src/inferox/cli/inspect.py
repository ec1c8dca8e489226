"""``inferox inspect``: shows the contents of a package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from inferox.cli.evidence_json import shorten_evidence
from inferox.cli.isolation import IsolatableCommand
from inferox.cli.options import debug_option, json_option, rows_option
from inferox.cli.terminal import make_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from inferox.core import Signature, TensorSpec
    from inferox.package import Package


@click.command(
    cls=IsolatableCommand, short_help="Show the contents of a package.", epilog="Example: inferox inspect minilm.mlpkg"
)
@click.argument("package")
@json_option
@rows_option
@debug_option
def inspect(package: str, *, as_json: bool, with_rows: bool) -> None:
    """Show the contents of a package: its task, signature, artifacts, sizes, evidence and trust tier.

    Every file is checked against the manifest. No code that came with the package is run.
    """
    from inferox.package import open_package

    opened = open_package(package)
    if as_json:
        import json

        click.echo(json.dumps(_to_json(opened, with_rows=with_rows)))
    else:
        _print(opened, make_console())


def _to_json(package: Package, *, with_rows: bool) -> dict[str, Any]:
    parity = None if package.parity is None else package.parity.to_json()
    if parity is not None:
        parity["artifacts"] = shorten_evidence(parity["artifacts"], with_rows=with_rows)
    return {
        "metadata": package.metadata.to_json(),
        "model_info": package.info.to_json(),
        "parity": parity,
        "digest": package.digest,
        "size_bytes": package.size_bytes,
        "trust_tier": package.trust_tier.value,
        "embedding_spaces": _spaces(package),
    }


def _spaces(package: Package) -> dict[str, str]:
    """Returns the id of the embedding space of each artifact; empty if the package does not state its task."""
    from inferox.package import embedding_space

    info = package.info
    if not info.task:
        return {}
    return {item.name: embedding_space(package, item, info.task, info.task_options) for item in package.artifacts}


def _print(package: Package, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from inferox.cli.tables import evidence_table, plain_table
    from inferox.core import printable
    from inferox.report.quantities import bytes_text

    metadata, info = package.metadata, package.info
    facts = Table.grid(padding=(0, 2))
    rows = {
        "name": f"{metadata.name}, version {metadata.version}",
        "made": f"{metadata.created_at}, format {metadata.format_version}",
        "from": " @ ".join(part for part in (metadata.repo_id, metadata.revision) if part),
        "license": metadata.license,
        "model": ", ".join(part for part in (info.model_type, info.architecture_family) if part),
        "task": info.task,
        "parameters": f"{info.num_parameters:,}" if info.num_parameters is not None else None,
        "size": bytes_text(package.size_bytes),
        "proof": None if package.parity is None else str(package.parity.from_input or "not recorded"),
        "digest": package.digest,
        "trust": f"{package.trust_tier.value}: {_trust_text(package)}",
    }
    for heading, text in rows.items():
        if text:
            facts.add_row(Text(heading, style="bold"), Text(printable(text)))
    console.print(facts)

    if info.task_options:
        console.print(_settings_table(info.task_options))

    console.print(_signature_table(info.signature))

    artifacts = plain_table("Artifacts")
    # Two names may differ only in their last letters.
    artifacts.add_column("artifact", no_wrap=True)
    artifacts.add_column("space", no_wrap=True)
    artifacts.add_column("files", overflow="fold")
    spaces = _spaces(package)
    for artifact in package.artifacts:
        paths = Text("\n".join(artifact.files.values()))
        artifacts.add_row(Text(artifact.name), spaces.get(artifact.name, ""), paths)
    console.print(artifacts)
    for name, reason in package.unknown.items():
        console.print(Text(printable(f"Not understood: {name}: {reason}")))

    files = plain_table("Files")
    files.add_column("file", overflow="fold")
    files.add_column("size", justify="right")
    files.add_column("SHA-256")
    for entry in metadata.files:
        files.add_row(Text(entry.path), bytes_text(entry.size_bytes), entry.sha256[:16] + "…")
    console.print(files)
    if package.parity is not None:
        console.print(evidence_table(package.parity.artifacts))
        for name, reason in package.parity.unmeasured.items():
            console.print(Text(printable(f"Not measured: {name}: {reason}")))


def _settings_table(options: Mapping[str, Any]) -> Table:
    from rich.text import Text

    from inferox.cli.tables import plain_table
    from inferox.core import printable, shown
    from inferox.core.prompt_names import USUAL_PROMPTS

    table = plain_table("Settings of the task")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    for setting, value in options.items():
        has_prompts = setting == "prompts" and isinstance(value, Mapping)
        usual = [name for name in USUAL_PROMPTS if name not in value] if has_prompts else []
        also = f" and {', '.join(usual)}, which {'is' if len(usual) == 1 else 'are'} empty" if usual else ""
        table.add_row(Text(printable(setting)), Text(shown(value) + also))
    return table


def _signature_table(signature: Signature) -> Table:
    from rich.text import Text

    from inferox.cli.tables import plain_table

    table = plain_table("Signature")
    for heading in ("", "tensor", "type", "dims"):
        table.add_column(heading)
    for side, specs in (("in", signature.inputs), ("out", signature.outputs)):
        for spec in specs:
            table.add_row(side, Text(spec.name), str(spec.dtype), Text(_dims_text(spec, signature.limits)))
    return table


def _dims_text(spec: TensorSpec, limits: Mapping[str, int]) -> str:
    """Formats dims with their limits, such as ``[batch, time (max 64)]``."""
    dims = (f"{dim} (max {limits[dim]})" if isinstance(dim, str) and dim in limits else str(dim) for dim in spec.dims)
    return f"[{', '.join(dims)}]"


def _trust_text(package: Package) -> str:
    from inferox.core import TrustTier

    code = [artifact.name for artifact in package.artifacts if artifact.trust_tier is not TrustTier.DATA]
    if not code:
        return "loading it runs nothing that came with it"
    return f"loading {', '.join(code)} runs code that came with it, and needs --trust-code"
