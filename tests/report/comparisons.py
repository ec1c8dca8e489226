"""A comparison with plausible numbers, without measuring."""

from __future__ import annotations

from dataclasses import replace

from inferox.machine.description import Machine
from inferox.measuring.comparison import FULL, ArtifactMeasurement, Comparison, Latency, Start, Throughput
from inferox.parity import TOLERANCES, Agreement, ArtifactEvidence, ParityClass

MACHINE = Machine("Linux x86_64", "A Processor", ("AVX2", "VNNI"), 2, 16_000_000_000, "3.11.7", "0.1.0")

LENGTHS = (3, 6, 18, 37, 76, 143, 256)


def make_measurement(name: str, factor: float = 1.0, *, max_abs: float = 3e-6) -> ArtifactMeasurement:
    """Makes an artifact that takes ``factor`` times as long as another."""
    return ArtifactMeasurement(
        artifact=name,
        device="cpu",
        runtime_version="1.2.3",
        starts=tuple(Start(0.1 * factor + jitter, 0.3 * factor + jitter) for jitter in (0, 0.01, 0.02)),
        latency=tuple(
            Latency(length, tuple((base, base * 1.1, base * 1.2) for base in _jittered(3e-3 * factor + 1e-4 * length)))
            for length in LENGTHS
        ),
        typical=2,
        throughput=Throughput(57, 1812, _jittered(0.2 * factor)),
        peak_memory_bytes=int(2e8 * factor),
        size_bytes=90_929_696,
        shared_bytes=90_864_192,
        evidence=ArtifactEvidence(
            artifact=name,
            agreement=Agreement(max_abs, max_abs / 6, 0.9999999, 0.9999998, None),
            tolerance=TOLERANCES[ParityClass.CLOSE],
            parity_class=ParityClass.EXACT if max_abs < 1e-4 else ParityClass.FAIL,
            versions={},
            machine="Linux",
        ),
    )


def make_comparison(name: str = "minilm") -> Comparison:
    """Makes three artifacts that were measured, and one that could not be run."""
    return Comparison(
        name=name,
        version="1",
        digest="5f3d8ad50ae2" * 5,
        task="embed",
        machine=MACHINE,
        threads=2,
        plan=FULL,
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=116.0,
        artifacts=(
            make_measurement("onnxruntime/onnx/fp32/padded"),
            make_measurement("torch/safetensors/fp32/padded", 1.4),
            make_measurement("torch/safetensors/fp16/padded", 3.1, max_abs=2e-3),
        ),
        not_run={"openvino/openvino-ir/int8/padded": "openvino is not installed; pip install 'inferox[openvino]'"},
    )


def without_lengths(comparison: Comparison) -> Comparison:
    """Makes the same for a model whose rows have no length, and whose package has no samples."""
    return replace(
        comparison,
        task="raw",
        artifacts=tuple(
            replace(
                item,
                latency=(replace(item.latency[0], length=None),),
                typical=0,
                throughput=replace(item.throughput, tokens=None),
                evidence=None,
            )
            for item in comparison.artifacts
        ),
    )


def _jittered(value: float) -> tuple[float, ...]:
    return (value, value * 1.05, value * 1.3)
