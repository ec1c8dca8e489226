"""Every message on the page on troubleshooting is provoked, and compared with its heading."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import inferox
from inferox.core import InferoxError
from tests.docs.pages import DOCS
from tests.engine.models import DoublingModel, load_doubling

HEADINGS = re.findall(r"^### `(.*)`$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)

Case = Callable[[pytest.MonkeyPatch], object]

CASES: dict[str, Case] = {}
"""The functions that provoke the messages, by heading. They are called in a folder with the packages that the pages
name."""


def provoking(heading: str) -> Callable[[Case], Case]:
    """Registers a function that provokes a message."""

    def note(case: Case) -> Case:
        CASES[heading] = case
        return case

    return note


def on_minilm(ask: Callable[[inferox.TaskModel], object]) -> Case:
    """Calls a model that makes vectors."""

    def case(_: pytest.MonkeyPatch) -> object:
        with inferox.load("minilm.mlpkg", backend="onnxruntime") as model:
            return ask(model)

    return case


def make_linear(output: str = "linear", **options: Any) -> object:
    """Packs a module that takes ``x``, float32 of shape [batch, 4]."""
    options = {"example_inputs": {"x": torch.randn(2, 4)}, **options}
    return inferox.pack(Linear(), output, **options)


class Linear(torch.nn.Module):
    """A layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(x)
        return found


def on_linear(ask: Callable[[inferox.TaskModel], object]) -> Case:
    """Calls that module's model."""

    def case(_: pytest.MonkeyPatch) -> object:
        make_linear()
        with inferox.load("linear", trust_code=True) as model:
            return ask(model)

    return case


def on_changed(change: Callable[[Path], object]) -> Case:
    """Loads a package in which something was changed."""

    def case(_: pytest.MonkeyPatch) -> object:
        make_linear()
        change(Path("linear"))
        return inferox.load("linear", trust_code=True)

    return case


def in_engine(ask: Callable[[inferox.Engine], object], **settings: Any) -> Case:
    """Calls an engine."""

    def case(_: pytest.MonkeyPatch) -> object:
        with inferox.Engine(inferox.EngineConfig(**settings)) as engine:
            return ask(engine)

    return case


def load_twice(engine: inferox.Engine) -> None:
    for _ in range(2):
        engine.load("minilm.mlpkg", name="minilm", version="1", backend="onnxruntime")


def ask_late(engine: inferox.Engine) -> object:
    model = DoublingModel()
    model.may_go.clear()
    engine.register(load_doubling(model), name="slow")
    try:
        return engine.infer("slow", [[1]], deadline_s=0.05)
    finally:
        model.may_go.set()


def ask_closed(engine: inferox.Engine) -> object:
    engine.close()
    return engine.infer("minilm", ["a text"])


def damage(package: Path) -> None:
    file = package / "weights" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


@provoking("the backend … cannot run here: … is not installed")
def without_openvino(patch: pytest.MonkeyPatch) -> object:
    patch.setitem(sys.modules, "openvino", None)
    return inferox.pack("all-MiniLM-L6-v2", "new.mlpkg", backends=["openvino"])


@provoking("… is a model directory, not a package")
def load_a_folder(_: pytest.MonkeyPatch) -> object:
    return inferox.load("all-MiniLM-L6-v2")


@provoking("… is not a package, or is damaged: it does not begin like an archive")
def load_a_pointer(_: pytest.MonkeyPatch) -> object:
    Path("pointer.mlpkg").write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    return inferox.load("pointer.mlpkg")


@provoking("'…' can only be run by code that comes with it")
def load_code(_: pytest.MonkeyPatch) -> object:
    make_linear()
    return inferox.load("linear")


@provoking("… belongs to another user, or its group or any user can write to it")
def load_from_an_open_store(patch: pytest.MonkeyPatch) -> object:
    store = Path("store").absolute()
    store.mkdir()
    store.chmod(0o777)
    patch.setenv("INFEROX_STORE", str(store))
    return inferox.load("minilm.mlpkg")


@provoking("… is not in the cache …, and HF_HUB_OFFLINE forbids fetching it: …")
def pack_from_the_hub_offline(patch: pytest.MonkeyPatch) -> object:
    patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable was read when it was imported
    return inferox.pack("hf://nobody/nothing", "new.mlpkg")


CASES |= {
    "no backend can run '…' here: …": lambda _: inferox.load("minilm.mlpkg", backend="candle"),
    "there is no backend named '…'; registered: …": lambda _: inferox.load("minilm.mlpkg", backend="tensorrt"),
    "… has no device cuda:0 here; it has cpu": lambda _: inferox.load("minilm.mlpkg", "onnxruntime", "cuda:0"),
    "the precision int8 was requested": lambda _: inferox.load("minilm.mlpkg", precision="int8"),
    "there is no package at …": lambda _: inferox.load("elsewhere.mlpkg"),
    "'…' differs from what the manifest says": on_changed(damage),
    "the package lacks files that it lists: …": on_changed(lambda path: (path / "samples.safetensors").unlink()),
    "the package has files that it does not list: …": on_changed(lambda path: (path / "notes.txt").touch()),
    "there is no …": lambda _: inferox.pack("all-MiniLM", "new.mlpkg"),
    "… already exists": lambda _: inferox.pack("all-MiniLM-L6-v2", "minilm.mlpkg"),
    "the module … gives no example inputs, which show what the module takes": (
        lambda _: make_linear(example_inputs=None)
    ),
    "dims are given for y, but the model takes x": lambda _: make_linear(dims={"y": ("batch", 4)}),
    "the dims of x are [...], but its example has the shape [2, 4]": lambda _: make_linear(dims={"x": ("batch",)}),
    "'…' is packed for the task embed, but rerank was requested": on_minilm(lambda model: model.rerank("a", ["b"])),
    "text 0 has … tokens, but the model takes … at most": on_minilm(
        lambda model: model.embed(["word " * 600], truncate="error")
    ),
    "text … has a lone surrogate at character …: …": on_minilm(lambda model: model.embed(["a", "b \ud800"])),
    "text … must be a string, but is of the type …": on_minilm(
        lambda model: model.embed([float("nan")])  # type: ignore[list-item]
    ),
    "the model takes the inputs …: missing …": on_linear(
        lambda model: model.forward({"y": np.ones((1, 4), np.float32)})
    ),
    "input '…' must have the shape […], but has […]": on_linear(
        lambda model: model.forward({"x": np.ones((1, 5), np.float32)})
    ),
    "input '…' must have the data type f32, but has f64": on_linear(
        lambda model: model.forward({"x": np.ones((1, 4))})
    ),
    "no model '…' is loaded": in_engine(lambda engine: engine.infer("minilm", ["a text"])),
    "'…' already has the version '…'": in_engine(load_twice),
    "the answer was not ready within … s": in_engine(ask_late),
    "the model needs about … bytes, but memory_limit_bytes is …": in_engine(
        lambda engine: engine.load("minilm.mlpkg"), memory_limit_bytes=1000
    ),
    "the engine is closed": in_engine(ask_closed),
}


def test_every_heading_has_a_case() -> None:
    assert sorted(HEADINGS) == sorted(CASES)
    assert len(set(HEADINGS)) == len(HEADINGS)


@pytest.mark.parametrize("heading", HEADINGS)
@pytest.mark.usefixtures("folder")
def test_the_heading_is_the_message(heading: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InferoxError) as raised:
        CASES[heading](monkeypatch)
    parts = re.split(r"…|\.\.\.", heading)
    assert re.search(".+".join(map(re.escape, parts)), raised.value.message), raised.value.message
