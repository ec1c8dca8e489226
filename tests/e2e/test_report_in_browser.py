"""The report of a comparison in a real browser, without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from inferox.measuring import comparison
from tests.measuring.comparison.test_comparing import BRIEF

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, image_package: Path) -> Path:
    from inferox.cli.main import main

    path = tmp_path_factory.mktemp("report") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "FULL", BRIEF)  # what is measured does not matter
        with pytest.raises(SystemExit) as ended:
            main(["compare", str(image_package), "--seconds", "15", "--json", "--html", str(path)])
    assert ended.value.code == 0
    return path


def browse(report: Path, profile: Path, *words: str) -> str:
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *words, report.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout  # noqa: S603


def test_it_names_nothing_outside_itself(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!#)[^"'>\s]""", text)
    assert not re.findall(r"url\(\s*(?!#)|@import", text)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine (Debian: apt-get install chromium)")
def test_a_browser_shows_it(report: Path, tmp_path: Path) -> None:
    document = browse(report, tmp_path / "profile", "--dump-dom")
    assert document.count("<svg") >= 3
    assert "<table" in document
    for artifact in ("onnxruntime/onnx/fp32/padded", "openvino/onnx/fp32/padded"):
        assert artifact in document
    for width in (360, 1200):
        picture = tmp_path / f"{width}.png"
        browse(report, tmp_path / "profile", f"--screenshot={picture}", f"--window-size={width},1600")
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert picture.stat().st_size > 10_000
