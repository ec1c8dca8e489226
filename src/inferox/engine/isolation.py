"""The choice of the host that computes an engine's models: in this process, or in workers."""

from __future__ import annotations

from inferox.core import ConfigError
from inferox.engine.config import EngineConfig
from inferox.engine.host import ModelHost


def open_host(config: EngineConfig) -> ModelHost:
    """Makes the host that the settings of an engine require.

    Args:
        config: The settings of the engine.

    Raises:
        ConfigError: If it needs worker processes, and the library for talking to them is missing.
    """
    # Imported on use: an engine with worker processes imports neither tokenizers nor runtimes.
    if config.isolation == "process":
        try:
            import msgspec  # noqa: F401 - what speaks with workers needs it
        except ImportError as error:
            raise ConfigError("worker processes need msgspec", hint="pip install 'inferox[serve]'") from error
        from inferox.engine.workers.pool import WorkerPool

        return WorkerPool(config)
    from inferox.engine.local import LocalHost

    return LocalHost(config)
