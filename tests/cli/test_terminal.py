"""Text of a foreign package reaches a terminal as text: it never moves the cursor, colours it or forges a line."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from inferox.cli.main import main
from inferox.cli.terminal import LineFormatter, make_console, say
from inferox.package.writer import hash_file
from tests.package.packages import write_package

ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x9b2J\u202e\ninferox: all is well\r"


def run(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


def is_harmless(output: str) -> bool:
    return all(line.isprintable() for line in output.split("\n")) and "\ninferox: all is well" not in output


def rewrite(package: Path, name: str, change: dict[str, Any]) -> None:
    data = {**json.loads((package / name).read_text(encoding="utf-8")), **change}
    (package / name).write_text(json.dumps(data), encoding="utf-8")
    manifest = json.loads((package / "metadata.json").read_text(encoding="utf-8"))
    for entry in manifest["files"]:
        if entry["path"] == name:
            entry.update(size=(package / name).stat().st_size, sha256=hash_file(package / name))
    (package / "metadata.json").write_text(json.dumps(manifest), encoding="utf-8")


EVIDENCE = {
    "artifact": ESCAPES,
    "class": "exact",
    "agreement": {"max_abs": 0, "max_rel": 0, "cosine_mean": 1, "cosine_min": 1},
    "tolerance": {"max_rel": 1, "cosine_mean": 1, "cosine_min": 1},
    "versions": {ESCAPES: ESCAPES},
    "machine": ESCAPES,
    "weak": ESCAPES,
}
FOREIGN: dict[str, tuple[str, dict[str, Any]]] = {
    "the manifest": ("metadata.json", {"name": ESCAPES, "version": ESCAPES, "license": ESCAPES, "created_at": ESCAPES}),
    "the description": ("model_info.json", {"model_type": ESCAPES, "task": ESCAPES, "architecture_family": ESCAPES}),
    "the evidence": ("parity.json", {"artifacts": [EVIDENCE]}),
    "the proof": ("parity.json", {"from_input": {"status": "not proven", "source": ESCAPES, "reason": ESCAPES}}),
}


@pytest.mark.parametrize(("name", "change"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("command", ["inspect", "verify", "explain"])
def test_what_a_package_says_is_only_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, change: dict[str, Any], command: str
) -> None:
    package = write_package(tmp_path / "p")
    rewrite(package, name, change)
    run(command, str(package), "--table")
    output = capfd.readouterr()
    assert output.out + output.err
    assert is_harmless(output.out)
    assert is_harmless(output.err)
    if command == "inspect":
        assert r"\x1b]0;owned" in output.out


def test_lines_and_tables_and_logs(capfd: pytest.CaptureFixture[str]) -> None:
    say(ESCAPES)
    table = Table("heading")
    table.add_row(Text(ESCAPES))
    make_console().print(table)
    make_console(stderr=True).print(Text("two\nlines"))
    output = capfd.readouterr()
    assert is_harmless(output.out)
    assert output.err == "two\nlines\n"
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s", (ESCAPES,), None)
    assert LineFormatter("inferox: %(message)s").format(record).isprintable()


def test_a_log_goes_to_standard_error_as_it_is_then(capfd: pytest.CaptureFixture[str]) -> None:
    """A command that a program calls may leave threads behind, such as those of workers, which log afterwards."""
    with contextlib.redirect_stderr(io.StringIO()) as closed:
        run("doctor", "--debug", "--nothing")
        closed.close()
    logging.getLogger("inferox").warning("a worker ended")
    assert capfd.readouterr().err == "inferox: a worker ended\n"
