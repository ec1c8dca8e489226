"""The forms of the store's limit."""

from __future__ import annotations

import pytest

from inferox.core import ConfigError
from inferox.package import Store, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("1000", 1000),
        ("7B", 7),
        ("20GB", 20_000_000_000),
        ("20 gb", 20_000_000_000),
        (" 1.5 MiB ", 1_572_864),
        ("2kB", 2000),
        ("2KiB", 2048),
        ("0.5TB", 500_000_000_000),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text, "--limit") == size_bytes


@pytest.mark.parametrize(
    "text", ["", "-1", "GB", "5x", "5 G", "1e9", "5iB", "nan", "inf", "1,000", "٣GB", "5GB5", "\x1b5"]
)
def test_what_is_not_a_size(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--limit must be a size, but is"):
        parse_size(text, "--limit")
    monkeypatch.setenv("INFEROX_STORE_LIMIT", text)
    if text:
        with pytest.raises(ConfigError, match="INFEROX_STORE_LIMIT must be a size, but is"):
            Store()


@pytest.mark.parametrize(
    ("text", "limit_bytes"), [("", 50_000_000_000), ("none", None), (" None ", None), ("5kB", 5000)]
)
def test_the_environment_states_the_limit(text: str, limit_bytes: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFEROX_STORE_LIMIT", text)
    assert Store().limit_bytes == limit_bytes
    monkeypatch.delenv("INFEROX_STORE_LIMIT")
    assert Store().limit_bytes == 50_000_000_000
