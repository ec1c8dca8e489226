"""The check that pyarrow is installed, which Parquet and Arrow need."""

from __future__ import annotations

from inferox.core import ConfigError


def check_arrow() -> None:
    """Checks that pyarrow is installed.

    Raises:
        ConfigError: If it is not.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"Parquet and Arrow need pyarrow: {error}", hint="pip install 'inferox[parquet]', or use jsonl"
        ) from error
