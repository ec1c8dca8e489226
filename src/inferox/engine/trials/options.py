"""The options of artifacts that are offered or tried beside the serving one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeGuard

from inferox.core import ConfigError

_TARGET = r"([A-Za-z][A-Za-z0-9_.-]*)(?::([A-Za-z0-9]+))?"
_OFFER = re.compile(_TARGET, re.ASCII)
_FORM = re.compile(_TARGET + r"=([0-9]+(?:\.[0-9]+)?|\.[0-9]+)", re.ASCII)

ERROR_LIMIT = 0.05
"""The default share of a canary's requests that may fail."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Another artifact of a package, which requests may select.

    Attributes:
        backend: Its backend, such as ``onnxruntime``.
        precision: Its precision, such as ``int8``; ``None`` for the best that the backend has.

    Raises:
        ConfigError: If it names no backend.
    """

    backend: str
    precision: str | None = None

    def __post_init__(self) -> None:
        if self.backend == "auto":
            raise ConfigError(
                "an artifact that is offered or tried needs the name of its backend",
                hint="name one, such as onnxruntime",
            )

    @property
    def target(self) -> str:
        """Its name on the command line and in requests: ``BACKEND`` or ``BACKEND:PRECISION``."""
        return self.backend if self.precision is None else f"{self.backend}:{self.precision}"


@dataclass(frozen=True, kw_only=True)
class Trial(Offer):
    """Another artifact of a package, and the share of the requests that it gets.

    Attributes:
        share: The share of the requests, more than 0 and up to 1.

    Raises:
        ConfigError: If a value is out of range.
    """

    share: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("share", self.share)
        if not self.share:
            raise ConfigError("share must be more than 0", hint="leave the shadow or the canary out")


@dataclass(frozen=True, kw_only=True)
class Shadow(Trial):
    """An artifact that recomputes a share of the requests after they are answered.

    Its answers are not returned to anyone: they are only compared with the ones that were.
    """


@dataclass(frozen=True, kw_only=True)
class Canary(Trial):
    """An artifact that answers a share of the requests, until it fails or drifts too far.

    Attributes:
        drift_limit: The largest mean distance of its answers from the serving artifact's over the last 256 compared
            requests; see ``Drift``. ``None`` for what its parity class allows.
        error_limit: The share of its last 256 requests that may fail. Their callers get answers from the serving
            artifact.
        any_space: Whether its answers may have another embedding space than the serving artifact's. Sessions and
            streams, whose answers belong together, get none of those.

    Raises:
        ConfigError: If a value is out of range.
    """

    drift_limit: float | None = None
    error_limit: float = ERROR_LIMIT
    any_space: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drift_limit is not None and not (_is_number(self.drift_limit) and 0 <= self.drift_limit < math.inf):
            raise ConfigError(f"drift_limit must be a number of 0 or more, but is {self.drift_limit!r}")
        _check_share("error_limit", self.error_limit)


def parse_trial(text: str, option: str) -> tuple[str, str | None, float]:
    """Parses a trial from the command line.

    Args:
        text: ``BACKEND=SHARE`` or ``BACKEND:PRECISION=SHARE``.
        option: The name of the option, for the error.

    Returns:
        The backend, the precision, and the share.

    Raises:
        ConfigError: If it is something else.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{option} must be BACKEND=SHARE or BACKEND:PRECISION=SHARE, but is {text!r}",
            hint=f"{option} onnxruntime=0.1 takes a tenth of the requests",
        )
    return found[1], found[2], float(found[3])


def parse_offers(text: str, option: str) -> tuple[Offer, ...]:
    """Parses offered artifacts from the command line.

    Args:
        text: ``BACKEND`` or ``BACKEND:PRECISION``, several separated by commas.
        option: The name of the option, for the error.

    Raises:
        ConfigError: If it is something else.
    """
    offers = []
    for part in text.split(","):
        found = _OFFER.fullmatch(part.strip())
        if found is None:
            raise ConfigError(
                f"{option} must be BACKEND or BACKEND:PRECISION, several divided by commas, but is {text!r}",
                hint=f"{option} openvino:int8,onnxruntime offers two",
            )
        offers.append(Offer(backend=found[1], precision=found[2]))
    return tuple(offers)


def _check_share(name: str, value: object) -> None:
    if not (_is_number(value) and 0 <= value <= 1):
        raise ConfigError(f"{name} must be a number from 0 to 1, but is {value!r}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
