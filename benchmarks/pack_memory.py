"""The memory that packing takes, as a multiple of the weights, phase by phase, and its seconds.

It makes a random model of the shape of XLM-R, most of whose weights are its token embeddings, packs it in a process of
its own, and samples the memory of that process and its children. Run it on Linux:

    python benchmarks/pack_memory.py --tokens 100000 --layers 2
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

_FIELDS = {"VmRSS": "all", "RssAnon": "anonymous", "RssFile": "files"}
_PERIOD_S = 0.02
_STEADY_S = 2
_BASE = "import torch, transformers, onnxruntime, openvino, inferox, sys; sys.stdin.read()"


def make_model(folder: Path, *, tokens: int, hidden: int, layers: int) -> int:
    """Writes the directory of a random model.

    Args:
        folder: The directory.
        tokens: The number of its token embeddings.
        hidden: The width of each of them.
        layers: The number of its layers.

    Returns:
        The size of its weights in bytes.
    """
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=tokens,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
    )
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    return (folder / "model.safetensors").stat().st_size


def read_memory(process: int) -> dict[str, int]:
    """Reads the memory of a process and its children, in bytes: total, anonymous, and of mapped files.

    Args:
        process: The id of the process.
    """
    sums = dict.fromkeys(_FIELDS.values(), 0)
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        children = [
            child for path in Path(f"/proc/{process}/task").glob("*/children") for child in path.read_text().split()
        ]
    except OSError:  # it has ended
        return sums
    for line in status.splitlines():
        field, _, value = line.partition(":")
        if field in _FIELDS:
            sums[_FIELDS[field]] += int(value.split()[0]) * 1024
    for child in children:
        for name, size_bytes in read_memory(int(child)).items():
            sums[name] += size_bytes
    return sums


def measure_base() -> dict[str, int]:
    """Measures the memory of a process that has imported the libraries and does nothing."""
    with subprocess.Popen([sys.executable, "-c", _BASE], stdin=subprocess.PIPE) as child:  # noqa: S603
        peak = dict.fromkeys(_FIELDS.values(), 0)
        steady_since = time.monotonic()
        while time.monotonic() - steady_since < _STEADY_S:
            held = read_memory(child.pid)
            if held["all"] > peak["all"]:
                steady_since = time.monotonic()
            peak = {name: max(peak[name], held[name]) for name in peak}
            time.sleep(_PERIOD_S)
    return peak


def measure_pack(model: Path, package: Path, backends: str) -> dict[str, dict[str, int]]:
    """Packs a model, and returns the peaks of each phase, named by the progress messages of ``inferox pack``.

    Args:
        model: The model directory.
        package: The package to write.
        backends: The backends, with commas between them.
    """
    code = "import sys; from inferox.packing import pack; pack(sys.argv[1], sys.argv[2], task='raw', "
    code += "backends=sys.argv[3].split(','), progress=lambda phrase: print(phrase, flush=True))"
    peaks: dict[str, dict[str, int]] = {}
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, model, package, backends], stdout=subprocess.PIPE, text=True
    ) as child:
        phases = ["starting"]

        def sample() -> None:
            while child.poll() is None:
                peak = peaks.setdefault(phases[-1], dict.fromkeys(_FIELDS.values(), 0))
                for name, size_bytes in read_memory(child.pid).items():
                    peak[name] = max(peak[name], size_bytes)
                time.sleep(_PERIOD_S)

        sampler = threading.Thread(target=sample)
        sampler.start()
        phases += (line.strip() for line in child.stdout or ())
        sampler.join()
    if child.returncode:
        raise SystemExit(f"packing failed with exit code {child.returncode}")
    return peaks


def main() -> None:
    """Measures and prints one row per phase."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=250002, help="the number of token embeddings (default: XLM-R's)")
    parser.add_argument("--hidden", type=int, default=768, help="width of the model, a multiple of 64")
    parser.add_argument("--layers", type=int, default=12, help="layers of the model")
    parser.add_argument("--backends", default="torch,onnxruntime,openvino", help="the backends, separated by commas")
    chosen = parser.parse_args()
    base = measure_base()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        weights_bytes = make_model(folder / "model", tokens=chosen.tokens, hidden=chosen.hidden, layers=chosen.layers)
        began_s = time.monotonic()
        peaks = measure_pack(folder / "model", folder / "package", chosen.backends)
        seconds = time.monotonic() - began_s
    print(f"weights: {weights_bytes / 1e6:.0f} MB; libraries alone: {base['all'] / 1e6:.0f} MB; {seconds:.0f} s")
    print(f"{'phase':48} {'all':>7} {'anonymous':>10} {'files':>7} {'all without libraries':>22}")
    whole = {name: max(peak[name] for peak in peaks.values()) for name in base}
    for phase, peak in [*peaks.items(), ("the whole", whole)]:
        shares = {name: peak[name] / weights_bytes for name in peak}
        beyond = (peak["all"] - base["all"]) / weights_bytes
        print(f"{phase:48} {shares['all']:7.2f} {shares['anonymous']:10.2f} {shares['files']:7.2f} {beyond:22.2f}")


if __name__ == "__main__":
    main()
