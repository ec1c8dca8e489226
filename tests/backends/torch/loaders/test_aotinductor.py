from __future__ import annotations

import json
import platform
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._inductor import aoti_compile_and_package
from torch.export import Dim

from inferox.core import Artifact, LoadError, Precision
from tests.backends.torch.artifacts import affine_inputs, affine_output, load, make_affine, make_artifact, run

pytestmark = pytest.mark.skipif(
    not any(shutil.which(compiler) for compiler in ("c++", "g++", "clang++", "cl")),
    reason="AOTInductor needs a C++ compiler, and there is none",
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    examples = {name: torch.from_numpy(value) for name, value in affine_inputs().items()}
    dynamic = {"x": {0: Dim.AUTO}, "scale": {0: Dim.AUTO}}
    # One input by position and one by name: the package must remember which is which.
    program = torch.export.export(make_affine(), (examples["x"],), {"scale": examples["scale"]}, dynamic_shapes=dynamic)
    folder = tmp_path_factory.mktemp("compiled")
    # Compiled quickly: without optimising, and without testing which vector instructions the compiler supports.
    quick = {"aot_inductor.compile_wrapper_opt_level": "O0", "cpp.vec_isa_ok": False}
    return Path(aoti_compile_and_package(program, package_path=str(folder / "model.pt2"), inductor_configs=quick))


@pytest.fixture
def artifact(package: Path) -> Artifact:
    return make_artifact(package.parent, "aotinductor", {"program": package.name})


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_it_computes_what_the_module_does(artifact: Artifact, rows: int) -> None:
    np.testing.assert_allclose(run(load(artifact), affine_inputs(rows))["y"], affine_output(rows), atol=1e-6)


def test_threads_share_it(artifact: Artifact) -> None:
    model = load(artifact)
    expected = {rows: affine_output(rows) for rows in range(1, 6)}

    def work(rows: int) -> bool:
        return np.allclose(run(model, affine_inputs(rows))["y"], expected[rows], atol=1e-6)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, [1 + index % 5 for index in range(80)]))


def test_its_memory_is_that_of_the_package(artifact: Artifact, package: Path) -> None:
    assert load(artifact).memory_requirements().weights_bytes == package.stat().st_size


def test_it_computes_as_it_was_compiled(artifact: Artifact) -> None:
    with pytest.raises(LoadError, match="compiled already"):
        load(artifact, compile=True)
    with pytest.raises(LoadError, match="computes as it was compiled, not in bf16"):
        load(replace(artifact, precision=Precision.BF16))


def recompiled_for(package: Path, target: Path, **facts: str) -> Artifact:
    """A copy of a package that claims to be compiled for another machine."""
    with zipfile.ZipFile(package) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("_metadata.json"):
                content = json.dumps({**json.loads(content), **facts}).encode()
            new.writestr(name, content)
    return make_artifact(target.parent, "aotinductor", {"program": target.name})


@pytest.mark.parametrize(
    ("fact", "value", "here"),
    [
        ("AOTI_DEVICE_KEY", "cuda", "cpu"),
        ("AOTI_PLATFORM", "plan9", sys.platform),
        ("AOTI_MACHINE", "m68k", platform.machine()),
    ],
)
def test_a_package_for_another_machine(package: Path, tmp_path: Path, fact: str, value: str, here: str) -> None:
    foreign = recompiled_for(package, tmp_path / "model.pt2", **{fact: value})
    with pytest.raises(LoadError, match=f"was compiled for {value}, and cannot run on {here}"):
        load(foreign)


def test_a_package_for_a_processor_with_wider_vectors(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = recompiled_for(package, tmp_path / "wide.pt2", AOTI_CPU_ISA="AVX512 AMX_TILE")
    narrow = recompiled_for(package, tmp_path / "narrow.pt2", AOTI_CPU_ISA="AVX2")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with pytest.raises(LoadError, match="compiled for AVX512, and cannot run on AVX2"):
        load(wide)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    np.testing.assert_allclose(run(load(narrow), affine_inputs())["y"], affine_output(), atol=1e-6)


def test_a_package_of_another_pytorch(package: Path, tmp_path: Path) -> None:
    """Code that lacks a symbol of this version fails to load, rather than in a later call."""
    with zipfile.ZipFile(package) as old, zipfile.ZipFile(tmp_path / "model.pt2", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"\x7fELF of another kind" if name.endswith(".so") else old.read(name))
    with pytest.raises(LoadError, match="loading small"):
        load(make_artifact(tmp_path, "aotinductor", {"program": "model.pt2"}))
