from __future__ import annotations

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from inferox.core import Artifact, DataType, LoadError, Precision, TensorSpec
from tests.backends.torch.artifacts import (
    AFFINE_SIGNATURE,
    affine_inputs,
    affine_output,
    assert_own,
    load,
    make_affine,
    make_artifact,
    run,
)

MODEL = """
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass
class Sizes:
    inputs: int
    outputs: "int"


class Affine(torch.nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.linear = torch.nn.Linear(sizes.inputs, sizes.outputs)
        self.register_buffer("offset", torch.tensor([1.0, 2.0, 3.0]), persistent=False)

    def forward(self, x, scale):
        return {"y": self.linear(x) * scale[:, None] + self.offset}


def create_model(package_dir, backend):
    assert isinstance(package_dir, Path) and (package_dir / "model.py").is_file()
    assert backend.name == "torch" and str(backend.default_device()) == "cpu"
    return Affine(Sizes(4, 3))
"""


def make(root: Path, weights: str = "model.pt", code: str = MODEL) -> Artifact:
    (root / "model.py").write_text(code)
    return make_artifact(root, "state-dict", {"factory": "model.py", "weights": weights})


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    torch.save(make_affine().state_dict(), tmp_path / "model.pt")
    return make(tmp_path)


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "pytorch_model.bin", "model.safetensors", "old.pt"])
def test_it_computes_what_the_module_does(tmp_path: Path, name: str) -> None:
    weights = dict(make_affine().state_dict())
    if name.endswith(".safetensors"):
        save_file(weights, tmp_path / name)
    else:
        torch.save(weights, tmp_path / name, _use_new_zipfile_serialization=name != "old.pt")
    model = load(make(tmp_path, name))
    for rows in (1, 5):
        np.testing.assert_array_equal(run(model, affine_inputs(rows))["y"], affine_output(rows))


def test_it_computes_in_evaluation_mode(tmp_path: Path) -> None:
    dropping = MODEL.replace("self.linear(x)", "torch.nn.functional.dropout(self.linear(x), training=self.training)")
    torch.save(make_affine().state_dict(), tmp_path / "model.pt")
    np.testing.assert_array_equal(run(load(make(tmp_path, code=dropping)), affine_inputs())["y"], affine_output())


def test_a_lower_precision(artifact: Artifact) -> None:
    narrow = load(replace(artifact, precision=Precision.BF16))
    found = run(narrow, affine_inputs())["y"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, affine_output(), atol=0.05)
    assert narrow.memory_requirements().weights_bytes == (4 * 3 + 3 + 3) * 2


def test_half_precision_on_disk_is_widened_exactly(tmp_path: Path) -> None:
    narrow = {name: value.to(torch.bfloat16) for name, value in make_affine().state_dict().items()}
    torch.save(narrow, tmp_path / "model.pt")
    expected = make_affine()
    expected.load_state_dict({name: value.float() for name, value in narrow.items()})
    inputs = affine_inputs()
    with torch.inference_mode():
        output = expected(**{name: torch.from_numpy(value) for name, value in inputs.items()}).numpy()
    np.testing.assert_array_equal(run(load(make(tmp_path)), inputs)["y"], output)


def test_the_packages_folder_stays_as_it_was(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = sorted(artifact.root.rglob("*"))
    load(artifact)
    assert sorted(artifact.root.rglob("*")) == before


def test_each_package_finds_its_own_module(tmp_path: Path) -> None:
    code = MODEL.replace("self.linear(x)", "sys.modules[__name__].FACTOR * self.linear(x)") + "\nimport sys\nFACTOR = "
    models = []
    for factor in (1, 2):
        folder = tmp_path / str(factor)
        folder.mkdir()
        torch.save(make_affine().state_dict(), folder / "model.pt")
        models.append(load(make(folder, code=code + str(factor))))
    single, doubled = (run(model, affine_inputs())["y"] - np.array([1, 2, 3], np.float32) for model in models)
    np.testing.assert_allclose(doubled, 2 * single, atol=1e-5)


def test_threads_load_at_once(artifact: Artifact) -> None:
    expected = affine_output()
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(lambda _: load(artifact), range(16)))
    assert all(np.array_equal(run(model, affine_inputs())["y"], expected) for model in models)


def package_modules() -> set[str]:
    return {name for name in sys.modules if name.startswith("inferox_package")}


KEPT = """
import torch


class Tensors(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x, scale):
        return self.linear(x)


MODEL = Tensors()


def create_model(package_dir, backend):
    return MODEL
"""


@pytest.mark.parametrize("code", [MODEL, KEPT], ids=["made", "kept in a global"])
def test_closed_models_leave_no_module_behind(tmp_path: Path, code: str) -> None:
    torch.save(make_affine().state_dict(), tmp_path / "model.pt")
    before = package_modules()
    models = [load(make(tmp_path, code=code)) for _ in range(3)]
    assert len(package_modules() - before) == 3
    for model in models:
        model.close()
    assert package_modules() == before


def test_a_module_stays_until_the_last_call_has_ended(tmp_path: Path) -> None:
    code = MODEL.replace("self.linear(x)", "wait(self.linear(x))") + WAIT
    torch.save(make_affine().state_dict(), tmp_path / "model.pt")
    before = package_modules()
    model = load(make(tmp_path, code=code))
    (name,) = package_modules() - before
    package = sys.modules[name]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, model, affine_inputs())
        assert package.entered.wait(60)
        model.close()
        package.go_on.set()
        np.testing.assert_array_equal(running.result()["y"], affine_output())
    assert package_modules() == before


WAIT = """
import sys
import threading

entered, go_on = threading.Event(), threading.Event()


def wait(found):
    entered.set()
    assert go_on.wait(60)
    assert sys.modules[__name__].wait is wait
    return found
"""


def test_weights_that_do_not_fit_leave_no_module_behind(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "model.pt")
    before = package_modules()
    with pytest.raises(LoadError, match="2 missing"):
        load(make(tmp_path))
    assert package_modules() == before


def test_an_output_that_is_a_weight_is_the_callers_own(tmp_path: Path) -> None:
    code = MODEL.replace("self.linear(x) * scale[:, None] + self.offset", "self.linear.weight[:, 1:]")
    torch.save(make_affine().state_dict(), tmp_path / "model.pt")
    signature = replace(AFFINE_SIGNATURE, outputs=(TensorSpec("y", DataType.F32, (3, 3)),))
    model = load(replace(make(tmp_path, code=code), signature=signature))
    assert_own(model)


class Malicious:
    """Writes a file if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "owned"))


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("hidden", [True, False])
def test_a_pickle_is_never_run(tmp_path: Path, as_zip: bool, hidden: bool) -> None:
    owned = tmp_path / "owned"
    harmful = Malicious(owned)
    content = {**make_affine().state_dict(), "extra": harmful} if hidden else harmful
    torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=as_zip)
    with pytest.raises(LoadError, match=r"model\.pt holds more than tensors") as caught:
        load(make(tmp_path))
    assert "weights_only" not in str(caught.value)
    assert not owned.exists()
    # This shows that the trap works: unpickling it writes the file.
    pickle.loads(pickle.dumps(harmful))  # noqa: S301 - our own bytes
    assert owned.exists()


@pytest.mark.parametrize(
    "content",
    [torch.zeros(2), [torch.zeros(2)], {"linear.weight": 3}, {"state_dict": {"linear.weight": torch.zeros(2)}}],
)
def test_something_else_than_tensors_by_name(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(LoadError, match="must hold tensors by name"):
        load(make(tmp_path))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", b"garbage" * 100])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_damaged_weights(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LoadError) as caught:
        load(make(tmp_path, name))
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


def test_truncated_weights(tmp_path: Path, artifact: Artifact) -> None:
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LoadError):
        load(artifact)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"linear.bias": None}, r"1 missing: linear\.bias$"),
        ({"extra": torch.zeros(2)}, r"1 left over: extra$"),
        (
            {"linear.weight": torch.zeros(3, 5)},
            r"type: linear\.weight \(float32 \[3, 5\] instead of float32 \[3, 4\]\)",
        ),
        ({"linear.bias": torch.zeros(3).double()}, r"linear\.bias \(float64 \[3\] instead of float32 \[3\]\)"),
        ({"linear.bias": torch.zeros(3).long()}, r"int64 \[3\] instead of float32"),
        ({"linear.bias": None, "b": torch.zeros(1), "a": torch.zeros(1)}, r"missing: linear\.bias; 2 left over: a, b$"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    weights = {**make_affine().state_dict(), **change}
    torch.save({name: value for name, value in weights.items() if value is not None}, tmp_path / "model.pt")
    with pytest.raises(LoadError, match=r"model\.pt does not fit the module: .*" + text):
        load(make(tmp_path))


@pytest.mark.parametrize(
    ("code", "text", "cause"),
    [
        ("raise ValueError('at import')", "model.py failed: ValueError: at import", ValueError),
        ("def create_model(:", "model.py failed: SyntaxError", SyntaxError),
        ("import no_such_module_here", "model.py failed: ModuleNotFoundError", ModuleNotFoundError),
        ("x = 1", r"must export a function create_model\(package_dir, backend\)", None),
        ("create_model = 3", "must export a function create_model", None),
        ("def create_model(): pass", "create_model of model.py failed: TypeError", TypeError),
        ("def create_model(a, b): 1 / 0", "create_model of model.py failed: ZeroDivisionError", ZeroDivisionError),
        ("def create_model(a, b): return 3", "must return a torch.nn.Module, but returned a int", None),
    ],
)
def test_code_that_makes_no_module(
    tmp_path: Path, artifact: Artifact, code: str, text: str, cause: type[Exception] | None
) -> None:
    (tmp_path / "model.py").write_text(code)
    before = package_modules()
    with pytest.raises(LoadError, match=text) as caught:
        load(artifact)
    assert (caught.value.__cause__ is None) if cause is None else isinstance(caught.value.__cause__, cause)
    assert package_modules() == before


def test_ctrl_c_in_a_packages_code_is_no_load_error(tmp_path: Path, artifact: Artifact) -> None:
    (tmp_path / "model.py").write_text("raise KeyboardInterrupt")
    before = package_modules()
    with pytest.raises(KeyboardInterrupt):
        load(artifact)
    assert package_modules() == before


@pytest.mark.slow
def test_it_can_be_compiled(artifact: Artifact) -> None:
    model = load(artifact, compile=True)
    for rows in (1, 2, 5):
        np.testing.assert_allclose(run(model, affine_inputs(rows))["y"], affine_output(rows), rtol=1e-5)
