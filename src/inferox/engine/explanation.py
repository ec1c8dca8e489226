"""Why a package runs on what it runs on, as facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inferox.core import DeviceId, LoadOptions, NoUsableBackendError
from inferox.engine.loading import Loader, Opened
from inferox.engine.profile import FoundProfile, find_profile
from inferox.engine.routing import plan_routes
from inferox.engine.selection import AUTO, Wish, select
from inferox.package import ParityClass, Store, open_package


@dataclass(frozen=True)
class Verdict:
    """What became of one artifact.

    Attributes:
        artifact: Its name.
        parity_class: How well it agreed when it was packed; ``None`` where that was not recorded.
        taken: Whether it is loaded.
        reason: Why it is loaded, or was passed over.
    """

    artifact: str
    parity_class: ParityClass | None
    taken: bool
    reason: str


@dataclass(frozen=True)
class Explanation:
    """Why a package runs on what it runs on.

    Attributes:
        name: The package's name.
        verdicts: Every artifact, in the order in which they were considered.
        found: What was measured on this machine.
    """

    name: str
    verdicts: tuple[Verdict, ...]
    found: FoundProfile


def explain(
    path: str | Path,
    backend: str = AUTO,
    device: str | DeviceId | None = None,
    precision: str | None = None,
    *,
    quality: str | None = None,
    threads: int | None = None,
    trust_code: bool = False,
) -> Explanation:
    """Loads a package as ``load`` does, and says of every artifact why it was taken or passed over.

    Takes and raises the same as ``load``, but for ``NoUsableBackendError``: where nothing can be loaded, no verdict
    says that it is taken.
    """
    wish = Wish.parse(backend, precision, quality, trust_code=trust_code)
    store = Store()
    opened = Opened(open_package(path, store=store))
    found = find_profile(opened.package.digest, store)
    options = LoadOptions(opened.package.metadata.name, threads=threads, trust_code=trust_code)
    loader = Loader(opened, DeviceId.parse(device) if isinstance(device, str) else device, options)
    candidates = select(opened.package, wish)
    routes = plan_routes([item.artifact for item in candidates if item.passed_over is None], found.profile, threads)
    try:
        loader.load(wish, found).close()
    except NoUsableBackendError as error:
        loader.reasons.update(error.reasons)
    refused = [item.artifact for item in candidates if item.passed_over is not None]
    verdicts = []
    for artifact in (*routes.order, *refused):
        evidence = opened.evidence.get(artifact.name)
        reason = loader.reasons.get(artifact.name)
        verdicts.append(
            Verdict(
                artifact.name,
                evidence.parity_class if evidence else None,
                taken=reason is None,
                reason=routes.why_taken(artifact) if reason is None else reason,
            )
        )
    return Explanation(opened.package.metadata.name, tuple(verdicts), found)
