"""Why a package runs on what it runs on, as facts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inferox.core import DeviceId, LoadOptions, NoUsableBackendError, UntrustedCodeError, resolve_threads
from inferox.engine.loading import Loader, Opened
from inferox.engine.profile import FoundProfile, find_profile
from inferox.engine.selection import AUTO, Wish
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

    Takes and raises the same as ``load``, but for ``NoUsableBackendError`` and ``UntrustedCodeError``: where nothing
    can be loaded, no verdict says that it is taken.
    """
    wish = Wish.parse(backend, precision, quality, trust_code=trust_code)
    wanted = DeviceId.of(device)
    store, budget = Store(), resolve_threads(threads)
    opened = Opened(open_package(path, store=store))
    found = find_profile(opened.package.digest, store, budget, wanted)
    loader = Loader(opened, wanted, LoadOptions(opened.package.metadata.name, threads=threads, trust_code=trust_code))
    with suppress(NoUsableBackendError, UntrustedCodeError):
        loader.load(wish, found).close()
    refused = [item.artifact for item in loader.candidates if item.passed_over is not None]
    verdicts = []
    for artifact in (*loader.ranking.order, *refused):
        evidence, taken = opened.evidence.get(artifact.name), artifact == loader.taken
        verdicts.append(
            Verdict(
                artifact.name,
                evidence.parity_class if evidence else None,
                taken,
                loader.ranking.why_taken(artifact) if taken else loader.reasons[artifact.name],
            )
        )
    return Explanation(opened.package.metadata.name, tuple(verdicts), found)
