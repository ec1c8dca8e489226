"""The options of ``inferox serve`` from a file and from the environment."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import inferox.server
from inferox.cli.main import main
from inferox.server import ModelRepository, ModelSource, ServerConfig
from tests.docs.pages import DOCS, read_blocks

DIGEST = sha256(b"secret").hexdigest()


class Served:
    """The settings with which a server would have been started."""

    config: ServerConfig
    sources: Sequence[ModelSource]

    def __call__(self, config: ServerConfig, repository: ModelRepository, announce: Any) -> None:  # noqa: ARG002
        self.config, self.sources = config, [*repository.named, *repository.list_folder()]

    def run(self, *arguments: str | Path) -> int:
        with pytest.raises(SystemExit) as stopped:
            main(["serve", *map(str, arguments)])
        assert isinstance(stopped.value.code, int)
        return stopped.value.code


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    found = Served()
    monkeypatch.setattr(inferox.server, "serve", found)
    return found


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        file = tmp_path / "inferox.toml"
        file.write_text(text)
        return file

    return write


def test_a_file_says_what_the_command_line_does_not(served: Served, write: Any, tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text(f"[keys.alice]\nsha256 = '{DIGEST}'\n")
    file = write(
        "port = 9000\ntimeout = 5\ndrain-delay = 0.5\nbackend = 'openvino'\ntrust-code = true\nbody-limit = '1MiB'\n"
        "memory-limit = '2GiB'\ncache = '64MiB'\n"
        f"api-key-file = 'keys.toml'\napi-key = ['bob={'0' * 64}']\n"
        "[models]\nsmall = 'small.mlpkg'\n'me/large' = '/l'\n"
    )
    assert served.run("one.mlpkg", "--config", file, "--timeout", "7") == 0
    config = served.config
    assert (config.port, config.timeout_s, config.drain_delay_s, config.body_limit_bytes) == (9000, 7, 0.5, 2**20)
    assert (config.memory_limit_bytes, config.cache_bytes) == (2 * 2**30, 64 * 2**20)
    assert [key.name for key in config.api_keys] == ["alice", "bob"]
    found = [(source.path, source.name) for source in served.sources]
    assert found == [(str(tmp_path / "small.mlpkg"), "small"), ("/l", "me/large"), ("one.mlpkg", None)]
    assert {source.options["backend"] for source in served.sources} == {"openvino"}
    assert {source.options["trust_code"] for source in served.sources} == {True}


def test_the_files_of_the_page_are_taken(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = []
    for block in read_blocks(DOCS / "serving.md"):
        if block.language == "toml":
            # The first line says which command the file is for, and digests are left out.
            words = shlex.split(block.text.splitlines()[0].removeprefix("#"))
            digests = (f'"{sha256(bytes([number])).hexdigest()}"' for number in range(256))
            text = re.sub('"…[^"]*"', lambda _, digests=digests: next(digests), block.text)  # type: ignore[misc]
            Path(words[-1]).write_text(text, encoding="utf-8")
            commands.append(words)
    assert len(commands) > 1
    for inferox_, serve, *arguments in commands:
        assert (inferox_, serve) == ("inferox", "serve")
        assert served.run(*arguments) == 0
        assert [key.name for key in served.config.api_keys] == ["search", "nightly-index"]
        assert served.sources


def test_the_environment_says_what_the_command_line_does_not(
    served: Served, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("port = 9000\nworkers = 3\nthreads = 5")
    variables = {
        "PORT": "9001",
        "THREADS": "4",
        "COMPILE": "1",
        "MEMORY_LIMIT": "1.5 GB",
        "PACKAGES": "a b=c",
        "API_KEY": f"bob={DIGEST}",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"INFEROX_SERVE_{name}", value)
    monkeypatch.setenv("INFEROX_SERVE_CONFIG", str(file))
    assert served.run("--threads", "2") == 0
    assert (served.config.port, served.config.workers, served.config.threads) == (9001, 3, 2)
    assert served.config.memory_limit_bytes == 1_500_000_000
    assert served.config.api_keys[0].name == "bob"
    assert [(source.path, source.name) for source in served.sources] == [("a", None), ("c", "b")]
    assert served.sources[0].options["compile"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("prot = 9000", "there is no option 'prot'"),
        ("drain_delay = 3", "there is no option 'drain_delay'"),
        ("config = 'x'", "there is no option 'config'"),
        ("[server]\nport = 1", "there is no option 'server'"),
        ("port = '9000'", "port must be an integer, but is '9000'"),
        ("port = true", "port must be an integer"),
        ("port = 70000", "70000"),
        ("trust-code = 1", "trust-code must be true or false"),
        ("api-key = 'a=b'", "api-key must be a list of one or more strings"),
        ("api-key = []", "api-key must be a list of one or more strings"),
        ("api-key-file = ''", "cannot be read"),
        ("timeout = 'long'", "timeout must be a number"),
        ("quality = 'best'", "best"),
        ("models = ['a']", "models must be a table"),
        ("[models]\na = 3", "models.a must be the path of a package"),
        ("[models]\n'a b' = 'x'", "'a b' is not a valid name"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_file_that_is_wrong_is_refused(
    text: str, what: str, served: Served, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert served.run("x", "--config", write(text)) == 2
    assert what in capsys.readouterr().err
    assert not hasattr(served, "config")


def test_a_variable_of_no_option_is_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INFEROX_SERVE_PROT", "9000")
    assert served.run("x") == 2
    assert "INFEROX_SERVE_PROT" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["API_KEY", "API_KEY_FILE", "ADMIN_KEY", "REQUIRE_SIGNATURE", "TLS_CERT", "PORT"])
@pytest.mark.parametrize("value", ["", " \n"], ids=["nothing", "white space"])
def test_an_empty_variable_is_refused(
    name: str, value: str, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"INFEROX_SERVE_{name}", value)
    assert served.run("x") == 2
    assert f"the variable INFEROX_SERVE_{name} is empty" in capsys.readouterr().err
    assert not hasattr(served, "config")


def test_a_repository_is_every_package_in_a_folder(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert served.run("--repository", tmp_path) == 2
    assert "there are no packages in the repository" in capsys.readouterr().err
    assert served.run("x", "--repository", tmp_path) == 0  # one may be loaded from it later
    (tmp_path / "b.mlpkg").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "._b.mlpkg").touch()  # as macOS leaves it on other file systems
    for name in ("a", ".old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.json").touch()
    assert served.run("--repository", tmp_path) == 0
    found = [(source.path, source.name) for source in served.sources]
    assert found == [(str(tmp_path / "a"), "a"), (str(tmp_path / "b.mlpkg"), "b")]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "there is nothing to serve"),
        (("x", "--tls-cert", "cert.pem"), "TLS needs both"),
        (("x", "--body-limit", "much"), "--body-limit must be a size"),
        (("x", "--memory-limit", "much"), "--memory-limit must be a size, but is 'much'"),
        (("x", "--cache", "much"), "--cache must be a size, but is 'much'"),
        (("x", "--memory-limit", "0"), "memory_limit_bytes must be a positive integer, but is 0"),
        (("x", "--api-key", "secret"), "NAME=SHA256"),
        (("x", "--config", "missing.toml"), "missing.toml cannot be read"),
        (("x", "--api-key-file", "missing.toml"), "missing.toml cannot be read"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], what: str, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert served.run(*arguments) == 2
    assert what in capsys.readouterr().err


@pytest.mark.parametrize("absent", ["msgspec", "prometheus_client", "httptools", "uvloop"])
def test_a_server_whose_libraries_are_not_installed_says_what_to_install(absent: str) -> None:
    program = f"import sys; sys.modules[{absent!r}] = None; from inferox.cli.main import main; main(['serve', 'x'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603

    assert (done.returncode, done.stdout) == (2, "")
    assert f"serving needs {absent}" in done.stderr
    assert "pip install 'inferox[serve]'" in done.stderr
