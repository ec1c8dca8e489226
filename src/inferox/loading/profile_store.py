"""The profiles that the local store keeps: saved, and found again where they apply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from inferox.core import ConfigError, DeviceId, ManifestError
from inferox.loading.conditions import machine_name, runtime_version
from inferox.loading.profile import DEFAULT_DEVICE, Profile, is_of_backend
from inferox.package import Store, read_json, write_json


@dataclass(frozen=True)
class FoundProfile:
    """The measurements that the store has for a package.

    Attributes:
        profile: The measurements that apply here; ``None`` if there are none.
        ignored: Why other measurements are not used; ``None`` if there are none.
    """

    profile: Profile | None
    ignored: str | None = None


def save_profile(profile: Profile, store: Store) -> Path:
    """Writes a profile, replacing an older one of the same package, machine, thread budget and device.

    Args:
        profile: The profile.
        store: The store that keeps profiles.

    Returns:
        The file.

    Raises:
        ConfigError: If it cannot be written.
    """
    path = profile_path(profile, store)
    try:
        store.make_profiles(path.parent.name)
        write_json(path, profile.to_json())
    except OSError as error:
        raise ConfigError(f"the profile cannot be written to {path.parent}: {error.strerror or error}") from error
    return path


def profile_path(profile: Profile, store: Store) -> Path:
    """Returns the file in which a store keeps a profile.

    Args:
        profile: The profile.
        store: The store.
    """
    return _path(store, profile.digest, profile.machine, profile.threads, profile.device)


def find_profile(digest: str, store: Store, threads: int, device: DeviceId | None = None) -> FoundProfile:
    """Looks for the measurements of a package on this machine.

    A profile that cannot be read, or was measured under other conditions, is ignored, as it could mislead the choice.
    So are the times of a runtime that was upgraded since. If there are only measurements under other conditions, the
    result says how those of the nearest differ (``Profile.distance``). A measurement on a backend's default device also
    applies if that device is requested by name, and vice versa. If several apply, the one with times for the most
    artifacts is taken; among equals, that of the requested name.

    Args:
        digest: The package's digest.
        store: The store that keeps profiles.
        threads: The thread budget.
        device: The requested device; ``None`` for each backend's default device.
    """
    machine, wanted = machine_name(), device_text(device)
    own = _path(store, digest, machine, threads, wanted)
    conditions = digest, machine, threads, wanted
    profiles: dict[Path, Profile] = {}
    unreadable: dict[Path, str] = {}
    for path in sorted(own.parent.glob("*.json"), key=lambda path: (path != own, path)):
        try:
            whole = Profile.from_json(read_json(path))
        except ManifestError as error:
            unreadable[path] = f"{path} cannot be read: {error}"
            continue
        here = whole.on(wanted)
        profiles[path] = here if here.cells else whole
    if not profiles:
        return FoundProfile(None, next(iter(unreadable.values()), None))
    damaged = unreadable.get(own)
    nearest = sorted(profiles, key=lambda path: (path != own, *profiles[path].distance(*conditions)))
    applicable = [profiles[path] for path in nearest if not profiles[path].differences(*conditions)]
    if not applicable:
        other = min(profiles.values(), key=lambda profile: profile.distance(*conditions))
        return FoundProfile(None, damaged or f"it was measured {' and '.join(other.differences(*conditions))}")
    fresh = [_leave_out_stale(profile) for profile in applicable]
    best = max(fresh, key=lambda found: 0 if found.profile is None else len(found.profile.cells))
    return replace(best, ignored=best.ignored or damaged)


def device_text(device: DeviceId | None) -> str:
    """Formats a device as a profile names it: ``default`` for each backend's default device."""
    return DEFAULT_DEVICE if device is None else str(device)


def _leave_out_stale(profile: Profile) -> FoundProfile:
    stale = {name: measured for name, measured in profile.versions.items() if measured != runtime_version(name)}
    if not stale:
        return FoundProfile(profile)
    fresh = profile.only(name for name in profile.cells if not any(is_of_backend(item, name) for item in stale))
    changes = [f"{name} {measured}, and now {runtime_version(name)} is installed" for name, measured in stale.items()]
    return FoundProfile(
        fresh if fresh.cells else None,
        f"it was measured with {'; with '.join(changes)}",
    )


def _path(store: Store, digest: str, machine: str, threads: int, device: str) -> Path:
    name = sha256(f"{machine}\n{threads}\n{device}".encode()).hexdigest()[:16]
    return store.profiles / digest[:32] / f"{name}.json"
