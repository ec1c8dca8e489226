"""Graphs that call operators of a library, which is only loaded for trusted graphs that call it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

import inferox
from inferox.backends.onnx.domains import list_foreign_domains
from inferox.backends.onnxruntime import OnnxRuntimeBackend
from inferox.backends.onnxruntime.operators import ENTRY_POINT_GROUP, find_plug_ins
from inferox.core import LoadError, LoadOptions, PackageError, UntrustedCodeError
from inferox.loading import explain
from inferox.parity import ParityClass
from inferox.sources import open_source
from tests.sources.graphs import BIAS, WEIGHT, make_affine

EXAMPLE = Path(__file__).parents[3] / "examples" / "onnxruntime_operators"
DOMAIN = "ai.onnx.contrib"
MODULE = "inferox_contrib"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, **plug_ins: str) -> None:
    """Registers plug-ins, as installing their distribution does."""
    information = folder / "plug_ins-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-ins\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"[{ENTRY_POINT_GROUP}]", *(f"{name} = {value}" for name, value in plug_ins.items())]
    (information / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


def call_contrib(*, name: str = "NegPos", domain: str = DOMAIN) -> NodeProto:
    """A node that splits numbers into those below and those above 0."""
    return helper.make_node(name, ["sum"], ["below", "y"], domain=domain)


def declaring(graph: ModelProto, domain: str = DOMAIN) -> ModelProto:
    """The same model, which also declares a domain of operators."""
    graph.opset_import.append(helper.make_opsetid(domain, 1))
    return graph


def save(path: Path, node: NodeProto) -> Path:
    onnx.save(declaring(make_affine(node)), path)
    return path


def test_a_graph_whose_operators_a_plug_in_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, package = save(tmp_path / "contrib.onnx", call_contrib()), tmp_path / "package"
    with pytest.raises(PackageError, match=rf"{DOMAIN}.NegPos \(install .* as {ENTRY_POINT_GROUP}"):
        open_source(graph, trust_code=True)
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install(tmp_path / "site", monkeypatch, **project["entry-points"][ENTRY_POINT_GROUP])
    monkeypatch.syspath_prepend(str(EXAMPLE))
    with pytest.raises(UntrustedCodeError, match=rf"computing contrib.onnx runs .*'{DOMAIN}'"):
        inferox.pack(graph, package)
    assert MODULE not in sys.modules
    report = inferox.pack(graph, package, trust_code=True)
    assert [(item.artifact, item.parity_class) for item in report.evidence] == [
        ("onnxruntime/onnx/fp32/padded", ParityClass.EXACT)
    ]
    monkeypatch.delitem(sys.modules, MODULE)
    with pytest.raises(UntrustedCodeError):
        inferox.load(package)
    (artifact,) = inferox.open_package(package).artifacts
    with pytest.raises(UntrustedCodeError, match=DOMAIN):
        OnnxRuntimeBackend().load(artifact, None, LoadOptions("contrib"))
    (refused,) = explain(package).verdicts
    assert not refused.taken
    assert refused.reason.startswith(f"loading it runs the library of operators for '{DOMAIN}'")
    assert "--trust-code" in refused.reason
    (taken,) = explain(package, trust_code=True).verdicts
    assert taken.taken
    assert taken.reason.endswith(
        f"loading it runs the library of operators for '{DOMAIN}' that {MODULE}:locate_library returns"
    )
    assert MODULE not in sys.modules  # explaining loads nothing
    x = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)
    with inferox.load(package, trust_code=True) as model:
        found = model.forward(x)["y"].numpy()
    np.testing.assert_allclose(found, np.maximum(x @ WEIGHT + BIAS, 0), atol=1e-5)
    assert (found == 0).any()


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import nothing_of_this_name", "failed: ModuleNotFoundError"),
        ("def locate(): raise OSError('gone')", "failed: OSError: gone"),
        ("def locate(): return 7", "failed: TypeError"),
        ("def locate(): return __file__ + '.so'", r"the path of their library according to .*, is not a file"),
        ("def locate(): return __file__", "Failed to load library"),
    ],
    ids=["import", "call", "kind", "missing", "no-library"],
)
def test_a_plug_in_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, what: str) -> None:
    graph = save(tmp_path / "contrib.onnx", call_contrib())
    install(tmp_path / "site", monkeypatch, **{DOMAIN: "failing_plug_in:locate"})
    (tmp_path / "site" / "failing_plug_in.py").write_text(code, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "failing_plug_in", raising=False)
    with pytest.raises(LoadError, match=what) as caught:
        open_source(graph, trust_code=True)
    assert "failing_plug_in" in str(caught.value)


def test_an_operator_that_the_library_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = save(tmp_path / "contrib.onnx", call_contrib(name="NoSuchOperator"))
    install(tmp_path / "site", monkeypatch, **{DOMAIN: "onnxruntime_extensions:get_library_path"})
    with pytest.raises(LoadError, match="NoSuchOperator"):
        open_source(graph, trust_code=True)


def in_a_branch() -> ModelProto:
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    inner = helper.make_node("NegPos", ["sum"], ["below", "inner"], domain=DOMAIN)
    branch = helper.make_graph([inner], "branch", [], [value])
    other = helper.make_graph([helper.make_node("Identity", ["sum"], ["inner"])], "other", [], [value])
    always = helper.make_node("Constant", [], ["always"], value=helper.make_tensor("", TensorProto.BOOL, [], [True]))
    chosen = helper.make_node("If", ["always"], ["y"], then_branch=branch, else_branch=other)
    return declaring(make_affine(always, chosen))


def in_a_function() -> ModelProto:
    function = helper.make_function(
        "mine", "Divide", ["x"], ["y"], [helper.make_node("NegPos", ["x"], ["below", "y"], domain=DOMAIN)],
        [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)],
    )  # fmt: skip
    graph = declaring(make_affine(helper.make_node("Divide", ["sum"], ["y"], domain="mine")), "mine")
    graph.functions.append(function)
    return graph


def defined_by_the_graph() -> ModelProto:
    graph = in_a_function()
    graph.functions[0].node[0].op_type, graph.functions[0].node[0].domain = "Relu", ""
    del graph.functions[0].node[0].output[0]
    return graph


@pytest.mark.parametrize(
    ("graph", "domains"),
    [
        (make_affine(), set()),
        (declaring(make_affine()), set()),  # no operator of which it calls
        (declaring(make_affine(call_contrib())), {DOMAIN}),
        (in_a_branch(), {DOMAIN}),
        (in_a_function(), {DOMAIN}),
        (defined_by_the_graph(), set()),
    ],
    ids=["none", "declared", "called", "branch", "function", "defined"],
)
def test_the_domains_that_a_graph_calls_are_found_wherever_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: ModelProto, domains: set[str]
) -> None:
    assert list_foreign_domains(memoryview(graph.SerializeToString())) == domains
    install(tmp_path / "site", monkeypatch, **{DOMAIN: "nothing_of_this_name:one", "": "other:one"})
    onnx.save(graph, tmp_path / "graph.onnx")
    assert [plug_in.name for plug_in in find_plug_ins(tmp_path / "graph.onnx")] == sorted(domains)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x08"])
def test_a_file_that_is_not_a_graph_calls_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "graph.onnx").write_bytes(content)
    assert find_plug_ins(tmp_path / "graph.onnx") == []
    assert find_plug_ins(tmp_path / "missing.onnx") == []
