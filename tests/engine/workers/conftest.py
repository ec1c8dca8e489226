"""Parts of workers that several modules test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from inferox.engine.workers.flight_record import FlightRecord, make_record_file


@pytest.fixture
def record() -> Iterator[FlightRecord]:
    """A record of what is in flight, with room for two computing threads."""
    file = make_record_file(2)
    record = FlightRecord(file)
    os.close(file)
    yield record
    record.close()
