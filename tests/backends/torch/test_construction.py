"""A config that came with a model reaches neither the network nor other folders, and cannot cause endless work."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from inferox.backends.torch import construction
from inferox.backends.torch.architecture import instantiate
from inferox.backends.torch.construction import bounded, offline
from inferox.core import LoadError
from tests.sources.checkpoints import make_model

REACHING: dict[str, Mapping[str, Any]] = {
    "DPTForDepthEstimation": {"model_type": "dpt", "is_hybrid": False, "backbone": "org/x"},
    "DetrModel": {"model_type": "detr", "d_model": 16, "backbone": "org/x", "use_timm_backbone": False},
    "UperNetForSemanticSegmentation": {"model_type": "upernet", "backbone": "org/x"},
}

ENDLESS: dict[str, tuple[str, dict[str, Any]]] = {
    "layers": ("bert", {"num_hidden_layers": 10**9}),
    "vocabulary": ("bert", {"vocab_size": 5 * 10**7}),
    "positions": ("bert", {"max_position_embeddings": 10**9}),
    "width": ("bert", {"intermediate_size": 10**9}),
    "albert groups": ("albert", {"inner_group_num": 10**6}),
    "funnel blocks": ("funnel", {"block_sizes": [10**6, 10**6]}),
    "switch experts": ("switch_transformers", {"num_experts": 10**6}),
}

CLASSES = {
    "bert": "BertModel",
    "albert": "AlbertModel",
    "funnel": "FunnelModel",
    "switch_transformers": "SwitchTransformersModel",
}


@pytest.fixture
def listener() -> Any:
    """A server on loopback that records whether anybody connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


@pytest.mark.parametrize("architecture", REACHING)
def test_a_config_reaches_no_network(
    architecture: str, listener: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(LoadError, match="outside the model: the network"):
        instantiate(REACHING[architecture], {"weight": torch.zeros(2)}, architecture)
    with pytest.raises(TimeoutError):
        listener.accept()


def test_a_config_names_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # transformers takes a relative folder for a repository first, and for a folder once the hub has one of that name.
    make_model("resnet", "Model").save_pretrained(tmp_path / "org" / "x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    config = {"model_type": "upernet", "backbone": "org/x"}
    with pytest.raises(LoadError, match="outside the model"):
        instantiate(config, {"weight": torch.zeros(2)}, "UperNetForSemanticSegmentation")


def test_other_threads_stay_online(listener: socket.socket) -> None:
    address = listener.getsockname()
    with offline():
        with pytest.raises(LoadError, match="the network"):
            socket.create_connection(address, timeout=1)
        thread = threading.Thread(target=lambda: socket.create_connection(address, timeout=1).close())
        thread.start()
        listener.accept()[0].close()
        thread.join()
    socket.create_connection(address, timeout=1).close()


def test_files_of_models_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    with offline(), pytest.raises(LoadError, match=r"config\.json"):
        path.read_text()
    assert json.loads(path.read_text()) == {}


@pytest.mark.parametrize("detour", ["..", "link", "bytes"])
def test_no_detour_leads_to_files_of_models(detour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed, path = tmp_path / "installed", tmp_path / "model" / "config.json"
    for folder in (installed, path.parent):
        folder.mkdir()
    path.write_text("{}")
    (installed / "own.json").write_text("{}")
    (installed / "link.json").symlink_to(path)
    monkeypatch.setattr(construction, "_INSTALLED", (f"{installed.resolve()}/",))
    names: dict[str, str | bytes] = {
        "..": f"{installed}/../model/config.json",
        "link": str(installed / "link.json"),
        "bytes": os.fsencode(path),
    }
    with offline():
        assert (installed / "own.json").read_text() == "{}"
        with pytest.raises(LoadError, match="the file"):
            open(names[detour]).close()  # noqa: PTH123 - a Path would not keep bytes


def test_tables_that_are_not_in_the_checkpoint_may_outgrow_it() -> None:
    config = transformers.GPTNeoConfig(
        hidden_size=16, num_layers=8, attention_types=[[["global", "local"], 4]], num_heads=2, vocab_size=100
    )
    model = transformers.GPTNeoModel(config)
    tables = sum(table.numel() for table in model.buffers())
    assert tables > 100 * sum(weight.numel() for weight in model.parameters())
    loaded = instantiate({**config.to_dict(), "model_type": "gpt_neo"}, model.state_dict(), "GPTNeoModel")
    ids = torch.arange(6)[None]
    torch.testing.assert_close(
        loaded.module(ids).last_hidden_state, model.eval()(ids).last_hidden_state, rtol=0, atol=0
    )


def test_tables_end_too() -> None:
    with bounded(1, 1), pytest.raises(LoadError, match="numbers in tables"):
        torch.nn.Module().register_buffer("mask", torch.empty(1 << 20, 1 << 20, device="meta"))


@pytest.mark.timeout(60)
def test_modules_without_children_end_too() -> None:
    with bounded(10, 1000), torch.device("meta"), pytest.raises(LoadError, match="parameters"):
        torch.nn.ModuleList([torch.nn.LayerNorm(1) for _ in range(3_000_000)])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_config_cannot_ask_for_endless_work(kind: str) -> None:
    model_type, settings = ENDLESS[kind]
    config = transformers.CONFIG_MAPPING[model_type]().to_dict()
    architecture = CLASSES[model_type]
    weights = make_model("bert", "Model").state_dict()
    with pytest.raises(LoadError, match="the config"):
        instantiate({**config, **settings}, weights, architecture)


def test_counting_ends_with_the_block_and_spares_other_threads() -> None:
    def make() -> None:
        torch.nn.Linear(4096, 4096, device="meta")

    with bounded(1, 1):
        with pytest.raises(LoadError, match="numbers"):
            make()
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
    make()
