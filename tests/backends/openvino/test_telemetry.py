"""OpenVINO reports its use to nobody."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distributions

import pytest

pytestmark = pytest.mark.skipif(not any(distributions(name="openvino-telemetry")), reason="it is not installed")


@pytest.mark.parametrize(
    ("first", "is_there"), [("import inferox", False), ("import openvino_telemetry, inferox", True)]
)
def test_openvino_does_not_report_its_use(first: str, is_there: bool) -> None:
    script = f"{first}\nimport sys, openvino\nprint(sys.modules.get('openvino_telemetry') is not None)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == str(is_there)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers")
def test_workers_can_be_forked_from_a_process_that_has_imported_openvino() -> None:
    script = (
        "import sys\nfrom inferox.engine.workers.fork_server import find_obstacle, import_fit\n"
        "import_fit(['numpy', 'openvino'])\nprint(find_obstacle(), 'openvino' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "None True"
