"""Device names and memory."""

from __future__ import annotations

import pytest

from inferox.core import ConfigError, DeviceId, MemoryInfo


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("cpu", DeviceId.cpu()),
        ("CPU", DeviceId.cpu()),
        ("cpu:0", DeviceId.cpu()),
        ("cuda", DeviceId.cuda(0)),
        ("cuda:3", DeviceId.cuda(3)),
        ("mps", DeviceId.metal(0)),
        ("metal:1", DeviceId.metal(1)),
        ("npu", DeviceId("npu")),
        ("npu:2", DeviceId("npu", 2)),
    ],
)
def test_parsing(text: str, device: DeviceId) -> None:
    assert DeviceId.parse(text) == device


@pytest.mark.parametrize("text", ["", "cpu:1", "cuda:", "cuda:-1", "cuda:x", "0", "a b", "cuda:0:1"])
def test_what_is_no_device_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a device"):
        DeviceId.parse(text)


@pytest.mark.parametrize("text", ["cpu", "cuda:0", "metal:0", "npu", "gpu:1"])
def test_a_name_reads_back(text: str) -> None:
    assert str(DeviceId.parse(text)) == text


def test_used_memory_is_what_is_not_free() -> None:
    assert MemoryInfo(total_bytes=10, free_bytes=3).used_bytes == 7
