"""Programs that call operators of a plug-in, which is only imported for trusted programs that name it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inferox
from inferox.backends.torch.operators import load_operators
from inferox.core import LoadError, UntrustedCodeError

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:.*torch.jit.load")

EXAMPLE = Path(__file__).parents[3] / "examples" / "torch_operators"

MAKE = """
import sys, warnings
import numpy as np, torch
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from inferox_shrink import Shrink
torch.manual_seed(0)
module, x = Shrink().eval(), torch.randn(3, 8)
with torch.inference_mode():
    np.savez("out.npz", y=module(x).numpy())
np.savez("in.npz", x=x.numpy())
torch.export.save(torch.export.export(module, (x,)), "exported.pt2")
torch.jit.save(torch.jit.trace(module, (x,)), "scripted.pt")
"""

LOAD_AT_ONCE = """
import sys, warnings
from concurrent.futures import ThreadPoolExecutor
import numpy as np, inferox
warnings.simplefilter("ignore")
(x,) = np.load("in.npz").values()
def compute(package):
    with inferox.load(package, trust_code=True) as model:
        return model.forward({"x": x})
with ThreadPoolExecutor(6) as threads:
    list(threads.map(compute, 3 * sys.argv[1:]))
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *plug_ins: str) -> None:
    """Registers plug-ins, as installing their distribution does."""
    information = folder / "plug_ins-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-ins\nVersion: 1.0\n", encoding="utf-8")
    lines = ["[inferox.torch_operators]", *plug_ins]
    (information / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


def write_program(path: Path, text: str, member: str = "program/code/__torch__/part.py") -> Path:
    """An archive that names operators as programs do."""
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr(member, text)
    return path


def test_a_program_whose_operator_a_plug_in_registers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-c", MAKE, EXAMPLE], cwd=tmp_path, check=True, timeout=120)  # noqa: S603
    (x,), (y,) = np.load(tmp_path / "in.npz").values(), np.load(tmp_path / "out.npz").values()
    given: dict[str, Any] = {"samples": tmp_path / "in.npz", "trust_code": True}
    programs = [tmp_path / "exported.pt2", tmp_path / "scripted.pt"]
    for program in programs:
        with pytest.raises(LoadError, match="shrink::soft"):
            inferox.pack(program, tmp_path / "unknown", **given)
    names = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    install(
        tmp_path / "site",
        monkeypatch,
        *(f"{name} = {value}" for name, value in names["inferox.torch_operators"].items()),
    )
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for program in programs:
        with pytest.raises(UntrustedCodeError):
            inferox.pack(program, tmp_path / "untrusted", samples=tmp_path / "in.npz")
        assert "inferox_shrink" not in sys.modules
    for program in programs:
        packed = tmp_path / program.stem
        inferox.pack(program, packed, **given)
        with pytest.raises(UntrustedCodeError):
            inferox.load(packed)
        with inferox.load(packed, trust_code=True) as model:
            (found,) = model.forward({"x": x}).values()
        np.testing.assert_allclose(found.numpy(), y, atol=1e-6)
        assert (y == 0).any()
    # As a worker process does that replaces another: nothing of PyTorch's compiler is imported yet.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    packages = ["scripted", "exported"]
    subprocess.run([sys.executable, "-c", LOAD_AT_ONCE, *packages], cwd=tmp_path, check=True, timeout=120)  # noqa: S603


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("program/code/__torch__/part.py", "return ops.prim.NumToTensor(absent.one)"),
        ("program/code/__torch__/part.py", "return (self.ops.absent.one)(x)"),
        (
            "program/models/model.json",
            '{"target": "torch.ops.aten.add.Tensor", "stack_trace": "torch.ops.absent.one(x)"}',
        ),
        ("program/data/notes.txt", "ops.absent.one(x)"),
    ],
)
def test_a_plug_in_that_is_not_called_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str, text: str
) -> None:
    install(tmp_path, monkeypatch, "absent = nothing_of_this_name", "json = nothing_of_this_name")
    load_operators(write_program(tmp_path / "program.pt", text, member))


def test_a_file_that_is_no_archive_calls_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "absent = nothing_of_this_name")
    (tmp_path / "program.pt").write_bytes(b"ops.absent.one(x)")
    load_operators(tmp_path / "program.pt")


GRAPH = '{"target": "torch.ops.absent.one.default"}'


@pytest.mark.parametrize(
    ("member", "text"),
    [("program/code/__torch__/part.py", "return ops.absent.one(x)"), ("program/models/model.json", GRAPH)],
)
def test_a_plug_in_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str, text: str) -> None:
    install(tmp_path, monkeypatch, "absent = nothing_of_this_name")
    program = write_program(tmp_path / "program.pt", text, member)
    with pytest.raises(LoadError, match=r"program.pt calls operators of 'absent', but 'nothing_of_this_name'.*failed"):
        load_operators(program)


def test_an_operator_that_nobody_registers_is_named(tmp_path: Path) -> None:
    program = write_program(tmp_path / "program.pt2", GRAPH, "program/models/model.json")
    with pytest.raises(LoadError, match=r"not registered: absent::one \(install .* inferox.torch_operators"):
        load_operators(program)
