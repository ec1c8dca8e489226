"""A config that came with a model reaches neither the network nor other folders, and cannot ask for endless work."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from inferox.backends.torch.architecture import instantiate
from inferox.backends.torch.construction import bounded, offline
from inferox.core import LoadError
from tests.sources.checkpoints import make_model

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}

REACHING: dict[str, Mapping[str, Any]] = {
    "DPTForDepthEstimation": {"model_type": "dpt", **TINY, "is_hybrid": False, "backbone": "org/x"},
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
    """A server on loopback that notes whether anybody calls."""
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
    with pytest.raises(LoadError):
        instantiate(REACHING[architecture], {"weight": torch.zeros(2)}, architecture)
    with pytest.raises(TimeoutError):
        listener.accept()


def test_a_config_names_no_folder(tmp_path: Path) -> None:
    make_model("resnet", "Model").save_pretrained(tmp_path)
    config = {"model_type": "upernet", "backbone": str(tmp_path)}
    with pytest.raises(LoadError, match="upernet"):
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
