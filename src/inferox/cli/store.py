"""``inferox store``: lists and prunes the local store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from inferox.cli.options import debug_option, json_option
from inferox.cli.terminal import make_console, say

if TYPE_CHECKING:
    from inferox.package import Pruning, StoredPackage


@click.group(short_help="Show and prune the local store.", epilog="Example: inferox store list")
def store() -> None:
    """Show and prune the local store of unpacked packages.

    An .mlpkg file is unpacked into the store when it is first opened. When the packages there exceed the limit
    (INFEROX_STORE_LIMIT, such as 20GB or none; by default 50 GB), the least recently used ones are removed, except
    those in use. They are unpacked again when they are next opened. Results of 'inferox tune' are small, and are kept.
    """


@store.command("list", short_help="List the unpacked packages.", epilog="Example: inferox store list --json")
@json_option
@debug_option
def list_packages(*, as_json: bool) -> None:
    """List the unpacked packages with their sizes, when they were last used, and whether they are in use now.

    The least recently used comes first.
    """
    from inferox.package import Store
    from inferox.report.quantities import bytes_text

    kept = Store()
    packages, limit_bytes = kept.packages(), kept.limit_bytes
    size_bytes = sum(package.size_bytes for package in packages)
    if as_json:
        import json

        facts = {"root": str(kept.root), "limit_bytes": limit_bytes, "size_bytes": size_bytes}
        click.echo(json.dumps({**facts, "packages": [package.to_json() for package in packages]}))
        return
    if packages:
        _print(packages)
    limit = "without a limit" if limit_bytes is None else f"of {bytes_text(limit_bytes)}"
    say(f"{_count(packages)}, {bytes_text(size_bytes)} {limit}, in {kept.root}")


@store.command(
    short_help="Remove the least recently used packages.",
    epilog="Example: inferox store prune --limit 5GB --dry-run",
)
@click.option("--limit", metavar="SIZE", help="The most to keep, such as 5GB or 500MiB. By default the store's limit.")
@click.option("--all", "everything", is_flag=True, help="Remove every package that is not in use.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@json_option
@debug_option
def prune(*, limit: str | None, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove the least recently used packages, until the rest is within a limit.

    A package that a process has open is never removed.
    """
    from inferox.package import Store, parse_size

    if everything and limit is not None:
        raise click.UsageError("--limit and --all cannot be combined")
    kept = Store()
    limit_bytes = 0 if everything else kept.limit_bytes if limit is None else parse_size(limit, "--limit")
    if limit_bytes is None:
        raise click.UsageError("the store has no limit (INFEROX_STORE_LIMIT): give one with --limit, or use --all")
    done = kept.prune(limit_bytes, dry_run=dry_run)
    if as_json:
        import json

        facts = {"root": str(kept.root), "limit_bytes": limit_bytes, "dry_run": dry_run}
        sizes = {"freed_bytes": done.freed_bytes, "size_bytes": done.size_bytes}
        lists = {name: [each.to_json() for each in getattr(done, name)] for name in ("removed", "kept")}
        click.echo(json.dumps({**facts, **sizes, **lists}))
    else:
        _say(done, limit_bytes, dry_run=dry_run)


def _say(done: Pruning, limit_bytes: int, *, dry_run: bool) -> None:
    from inferox.report.quantities import bytes_text

    if done.removed:
        _print(done.removed)
    action = "would remove" if dry_run else "removed"
    say(f"{action} {_count(done.removed)}, {bytes_text(done.freed_bytes)}")
    in_use = [package for package in done.kept if package.in_use]
    say(f"kept {_count(done.kept)}, {bytes_text(done.size_bytes)}{f'; {len(in_use)} in use' if in_use else ''}")
    if done.size_bytes > limit_bytes and len(in_use) < len(done.kept):
        say(f"{_count(done.kept[len(in_use) :])} beyond the limit could not be removed")


def _print(packages: Sequence[StoredPackage]) -> None:
    from rich.text import Text

    from inferox.cli.tables import plain_table
    from inferox.core import printable
    from inferox.report.quantities import bytes_text

    table = plain_table()
    for heading in ("package", "version", "archive"):
        table.add_column(heading, overflow="fold")
    table.add_column("size", justify="right")
    for heading in ("last used", "in use"):
        table.add_column(heading)
    for package in packages:
        table.add_row(
            Text(printable(package.name or "damaged")),
            Text(printable(package.version or "")),
            package.digest[:12],
            bytes_text(package.size_bytes),
            package.used_at.astimezone().strftime("%Y-%m-%d %H:%M"),
            "yes" if package.in_use else "no",
        )
    make_console().print(table)


def _count(packages: Sequence[StoredPackage]) -> str:
    return f"{len(packages)} package{'' if len(packages) == 1 else 's'}"
