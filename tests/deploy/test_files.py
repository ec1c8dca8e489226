"""The commands in ``deploy/`` exist, and wait as long as the server takes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]

from inferox.cli.serve import serve
from tests.server.running import running

DEPLOY = Path(__file__).parents[2] / "deploy"
ROUTES = {"/health/live", "/health/ready"}


def read(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def parse(arguments: list[str]) -> dict[str, Any]:
    """Parses arguments as the command does; unknown ones fail the test."""
    values, _, _ = serve.make_parser(click.Context(serve)).parse_args(list(arguments))
    return values


def container_of(document: Any) -> Any:
    spec = document["spec"]
    spec = spec["template"]["spec"] if "template" in spec else spec
    (container,) = spec["containers"]
    return container


@pytest.mark.parametrize("name", ["kubernetes.yaml", "kserve.yaml"])
def test_a_container_is_probed_where_it_answers_and_may_do_little(name: str) -> None:
    container = container_of(read(name)[0])
    found = parse(container["args"])
    (port,) = container["ports"]
    assert port["containerPort"] == int(found.get("port", 8000))
    for probe, values in container.items():
        if probe.endswith("Probe"):
            assert values["httpGet"]["path"] in ROUTES
            assert values["httpGet"]["port"] in {port["containerPort"], port["name"]}
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", ["kubernetes.yaml", "kserve.yaml"])
def test_the_store_of_a_container_lies_where_others_cannot_replace_it(name: str) -> None:
    """Kubernetes makes an ``emptyDir`` with the mode 0777, which the store refuses; in memory it has the sticky bit."""
    home = re.search(r"HOME=(\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    assert home is not None
    document = read(name)[0]
    (volume,) = [item["name"] for item in container_of(document)["volumeMounts"] if item["mountPath"] == home[1]]
    spec = document["spec"]
    volumes = spec["template"]["spec"]["volumes"] if "template" in spec else spec["volumes"]
    (found,) = [item["emptyDir"] for item in volumes if item["name"] == volume]
    assert found["medium"] == "Memory"


def test_a_container_that_names_its_package_starts_beside_an_empty_repository(
    tmp_path: Path, minilm_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image sets ``--repository`` for all of its containers; KServe's name a package instead."""
    assert "RUN mkdir /packages" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    (tmp_path / "packages").mkdir()
    monkeypatch.setenv("INFEROX_SERVE_REPOSITORY", str(tmp_path / "packages"))
    with running(f"named={minilm_package}", "--threads", "1") as server:
        server.wait_until_ready()
        assert [model["id"] for model in server.http.get("/v1/models").json()["data"]] == ["named"]


def test_kubernetes_waits_for_the_drain_and_mounts_what_is_named() -> None:
    deployment, service = read("kubernetes.yaml")
    spec = deployment["spec"]["template"]["spec"]
    found = parse(container_of(deployment)["args"])
    assert spec["terminationGracePeriodSeconds"] > float(found["drain_delay"]) + 60 + 5
    mounted = {mount["mountPath"] for mount in container_of(deployment)["volumeMounts"]}
    assert {found["repository"], str(Path(found["api_key_file"]).parent)} <= mounted
    assert {mount["name"] for mount in container_of(deployment)["volumeMounts"]} == {
        volume["name"] for volume in spec["volumes"]
    }
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert not spec["enableServiceLinks"]


def test_the_unit_of_systemd_starts_the_command() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "inferox.service", encoding="utf-8")
    program, command, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert (Path(program).name, command) == ("inferox", "serve")
    assert parse(arguments)["models"] == "/etc/inferox/inferox.toml"
    assert int(unit["Service"]["TimeoutStopSec"]) > 60 + 5


def test_the_image_starts_the_command_as_no_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert 'ENTRYPOINT ["inferox", "serve"]' in lines
    assert "USER 10001:10001" in lines
    text = "\n".join(lines)
    variables = {parameter.envvar for parameter in serve.params}
    for variable in ("INFEROX_SERVE_HOST", "INFEROX_SERVE_REPOSITORY"):
        assert variable in text
        assert variable in variables
    copied = [word for line in lines if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]]
    assert all((DEPLOY.parent / name).exists() for name in copied)


def run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)  # noqa: S603 - our command


def check_strictly(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_kubernetes_knows_every_field() -> None:
    documents = read("kubernetes.yaml")
    for document in documents:
        check_strictly(document)
    container_of(documents[0])["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        check_strictly(documents[0])


def test_kserve_knows_every_field() -> None:
    """A serving runtime is a description of pods, plus five fields of KServe's own."""
    (document,) = read("kserve.yaml")
    assert (document["apiVersion"], document["kind"]) == ("serving.kserve.io/v1alpha1", "ServingRuntime")
    spec = document["spec"]
    for model_format in spec.pop("supportedModelFormats"):
        assert set(model_format) <= {"name", "version", "autoSelect", "priority"}
    assert spec.pop("protocolVersions") == ["v2"]
    assert spec.pop("multiModel") is False
    port = container_of(document)["ports"][0]["containerPort"]
    assert spec.pop("annotations") == {"prometheus.kserve.io/port": f"{port}", "prometheus.kserve.io/path": "/metrics"}
    mounts = container_of(document)["volumeMounts"]
    assert {mount["name"] for mount in mounts} == {volume["name"] for volume in spec["volumes"]}
    check_strictly({"apiVersion": "v1", "kind": "Pod", "metadata": document["metadata"], "spec": spec})


def test_systemd_knows_every_line(tmp_path: Path) -> None:
    if (program := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd is not installed")
    text = (DEPLOY / "inferox.service").read_text(encoding="utf-8")
    unit = tmp_path / "inferox.service"
    unit.write_text(text.replace("ExecStart=/opt/inferox/bin/inferox", f"ExecStart={sys.executable}"), encoding="utf-8")
    found = run([program, "verify", unit])
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    unit.write_text(unit.read_text(encoding="utf-8").replace("PrivateTmp=", "PrivateTemp="), encoding="utf-8")
    found = run([program, "verify", unit])
    assert "PrivateTemp" in found.stderr


def test_the_image_is_built_as_it_should_be() -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        pytest.skip("hadolint is installed on Linux alone")
    found = run([program, DEPLOY / "Dockerfile"])
    assert (found.returncode, found.stdout) == (0, "")
