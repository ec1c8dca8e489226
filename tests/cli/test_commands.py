"""``inferox pack``, ``inspect`` and ``doctor``, and the handling of errors."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.text import Text

from inferox.cli import main as main_module
from inferox.cli.exit_codes import exit_code_of
from inferox.cli.inspect import _settings_table, _signature_table
from inferox.core import (
    ConfigError,
    DataType,
    ExecutionError,
    InferoxError,
    IntegrityError,
    LoadError,
    NoUsableBackendError,
    RequestError,
    Signature,
    TensorSpec,
)
from inferox.package import open_package
from inferox.parity import TOLERANCES, ParityClass
from tests.cli.conftest import Run
from tests.packing.test_kinds import save_text_model


@pytest.mark.parametrize("command", ["pack", "inspect", "verify", "run", "doctor"])
def test_every_command_shows_an_example(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.code == 0
    assert f"inferox {command}" in done.out.rpartition("Example")[2]


@pytest.mark.parametrize(
    ("command", "option", "number"),
    [
        ("compare", "--seconds", "nan"),
        ("compare", "--timeout", "nan"),
        ("compare", "--timeout", "inf"),
        ("verify", "--seconds", "nan"),
        ("verify", "--time-limit", "nan"),
        ("tune", "--seconds", "nan"),
        ("bench", "--seconds", "inf"),
        ("serve", "--timeout", "nan"),
        ("serve", "--drain-delay", "nan"),
        ("serve", "--canary-drift", "nan"),
        ("serve", "--canary-errors", "nan"),
    ],
)
def test_numbers_are_finite(run: Run, command: str, option: str, number: str) -> None:
    done = run(command, "package", option, number)
    assert done.code == 2
    assert f"Invalid value for '{option}': {number} is not a finite number." in done.err


def test_the_version(run: Run) -> None:
    assert run("--version").out.startswith("inferox ")


def test_the_module_is_the_command(run: Run) -> None:
    done = subprocess.run([sys.executable, "-m", "inferox", "--version"], capture_output=True, text=True, check=True)

    assert done.stdout == run("--version").out


def test_an_unknown_command(run: Run) -> None:
    assert run("sing").code == 2


def test_doctor_computes_on_every_device(run: Run) -> None:
    findings = json.loads(run("doctor", "--json").out)
    assert [(item["backend"], item["device"], item["passed"]) for item in findings if item["device"] == "cpu"] == [
        ("candle", "cpu", True),
        ("onnxruntime", "cpu", True),
        ("openvino", "cpu", True),
        ("torch", "cpu", True),
    ]
    assert findings[-1]["memory_total_bytes"] > findings[-1]["memory_free_bytes"] > 0
    assert "pass" in run("doctor", "--table").out


def test_doctor_says_why_a_backend_does_not_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from inferox.backends.registry import backend_names, get_backend

    def multiply(*_: object) -> None:
        raise ExecutionError("the product is wrong", hint="buy another")

    for name in backend_names():
        monkeypatch.setattr(type(get_backend(name)), "_multiply", multiply)
    done = run("doctor", "--json")
    assert done.code == 5
    assert json.loads(done.out)[-1]["reason"] == "the product is wrong"
    table = run("doctor", "--table").out
    assert "fail" in table
    assert "buy another" in table


def test_doctor_without_a_runtime(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("candle", "onnxruntime", "openvino", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    done = run("doctor", "--json")
    assert done.code == 5
    assert [item["hint"] for item in json.loads(done.out)] == [
        "pip install 'inferox[candle]'",
        "pip install 'inferox[onnx]'",
        "pip install 'inferox[openvino]'",
        "pip install 'inferox[torch]'",
    ]
    monkeypatch.setenv("COLUMNS", "60")
    table = run("doctor", "--table").out
    for extra in ("candle", "onnx", "openvino", "torch"):
        assert f": pip install 'inferox[{extra}]'\n" in table, "a command is shown whole, to be copied"


def test_pack_reports(run: Run, tmp_path: Path, minilm_directory: Path) -> None:
    model = save_text_model(tmp_path / "bert", minilm_directory, "bert", "ForMaskedLM")
    assert model is not None
    done = run("pack", tmp_path / "bert", "-o", tmp_path / "p", "--precision", "fp32,bf16", "--name", "n")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["name"], report["task"]) == ("n", "embed")
    assert [item["artifact"] for item in report["artifacts"]] == [
        "torch/safetensors/fp32/packed",
        "torch/safetensors/fp32/padded",
        "torch/safetensors/bf16/packed",
        "torch/safetensors/bf16/padded",
    ]
    table = run("pack", tmp_path / "bert", "-o", tmp_path / "p", "--force", "--table").out
    assert "torch/safetensors/fp32/padded" in table


def test_pack_within_a_tolerance(run: Run, tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    arguments = ("pack", tmp_path / "bert", "-o", tmp_path / "p", "--precision", "bf16")
    done = run(*arguments, "--tolerance", "max_rel=1e-9")
    assert (done.code, "misses its tolerance" in done.err) == (3, True)
    assert not (tmp_path / "p").exists()
    done = run(*arguments, "--tolerance", "max_rel=0.1,cosine_min=0.5")
    assert done.code == 0, done.err
    parity = json.loads((tmp_path / "p" / "parity.json").read_text())
    own = TOLERANCES[ParityClass.QUANTIZED]
    assert parity["artifacts"][0]["tolerance"] == asdict(replace(own, max_rel=0.1, cosine_min=0.5))


def test_pack_strictly(run: Run, tmp_path: Path) -> None:
    arguments = ("pack", "python:tests.packing.modules:make_cnn", "-o", tmp_path / "p")
    done = run(*arguments, "--precision", "fp32", "--precision", "bf16", "--strict")
    assert (done.code, "torch/bf16/padded: a python program" in done.err) == (3, True)
    assert not (tmp_path / "p").exists()
    done = run(*arguments, "--strict")
    assert done.code == 0, done.err


def test_calibration_files_that_hold_no_texts(run: Run, tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    (tmp_path / "blank.txt").write_text("\n \n")
    settings = ("-o", tmp_path / "p", "--backends", "onnxruntime", "--precision", "int8", "--calibration")
    done = run("pack", tmp_path / "bert", *settings, tmp_path / "nope.txt")
    assert (done.code, "nope.txt cannot be read" in done.err) == (3, True)
    done = run("pack", tmp_path / "bert", *settings, tmp_path / "blank.txt")
    assert (done.code, "blank.txt holds no text" in done.err) == (3, True)
    done = run("pack", "python:tests.packing.modules:make_cnn", *settings, tmp_path / "blank.txt")
    assert (done.code, "the task raw is not calibrated on a file of texts" in done.err) == (2, True)
    assert not (tmp_path / "p").exists()


def test_a_package_in_nothing_but_int8_calibrated_on_texts_of_ones_own(
    run: Run, tmp_path: Path, minilm_directory: Path
) -> None:
    model = save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight.mul_(20)  # so that int8 shows in its outputs
    model.save_pretrained(tmp_path / "bert")
    (tmp_path / "texts.txt").write_text("one text\n\nanother one\n")
    settings = ("--backends", "openvino", "--precision", "int8", "--tolerance", "cosine_mean=0,cosine_min=-1,max_rel=9")
    done = run("pack", tmp_path / "bert", "-o", tmp_path / "p", *settings, "--calibration", tmp_path / "texts.txt")
    assert done.code == 0, done.err
    first, second = json.loads(done.out)["notes"]
    assert first == "the calibration had only 2 texts: give 64 or more different texts"
    assert second.endswith("run it with --quality quantized or --precision int8")
    assert f"inferox: note: {second}" in done.err
    parity = open_package(tmp_path / "p").parity
    assert parity is not None
    (evidence,) = parity.artifacts
    assert (evidence.artifact, evidence.tolerance.cosine_min) == ("openvino/openvino-ir/int8/packed", -1.0)
    files = {path.relative_to(tmp_path / "p").as_posix() for path in (tmp_path / "p").rglob("*") if path.is_file()}
    assert {name for name in files if Path(name).suffix in {".bin", ".xml", ".onnx", ".safetensors"}} == {
        "backends/openvino/int8-packed.bin",
        "backends/openvino/int8-packed.xml",
        "proof.safetensors",
        "samples.safetensors",
    }
    assert not (tmp_path / "p" / "weights").exists()
    refused = run("run", tmp_path / "p", "a text")
    assert (refused.code, "--quality quantized" in refused.err) == (5, True)
    for choice in (("--quality", "quantized"), ("--precision", "int8")):
        done = run("run", tmp_path / "p", "a text", *choice, "--json")
        assert len(json.loads(done.out)["embedding"]) == 16


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("", "-o", "p"), "no source is named"),
        (("m.pt", "-o", "p", "--backends", " ,"), "no backend is named"),
        (("m.pt", "-o", "p", "--precision", "int4"), "there is no precision 'int4'"),
    ],
)
def test_names_that_are_none(run: Run, words: tuple[str, ...], message: str) -> None:
    done = run("pack", *words)
    assert (done.code, message in done.err) == (2, True), done.err


def test_calibration_of_nothing(run: Run, tmp_path: Path) -> None:
    model, texts = "python:tests.packing.modules:make_cnn", tmp_path / "texts"
    done = run("pack", model, "-o", tmp_path / "p", "--calibration", texts)
    assert (done.code, "only int8 and the ranges of vectors" in done.err) == (2, True)


@pytest.mark.parametrize("text", ["x", "x=", "=batch", "x=batch,,3"])
def test_dims_that_cannot_be_read(run: Run, tmp_path: Path, text: str) -> None:
    done = run("pack", "m.pt", "-o", tmp_path / "p", "--dims", text)
    assert (done.code, "NAME=DIM" in done.err) == (2, True)


@pytest.mark.parametrize("text", ["", ",", "8,x", "-8", "8.0"])
def test_lengths_that_cannot_be_read(run: Run, tmp_path: Path, text: str) -> None:
    done = run("pack", "m.pt", "-o", tmp_path / "p", "--matryoshka-dims", text)
    assert (done.code, "N,N,…" in done.err) == (2, True)


def test_dims_on_the_command_line(run: Run, tmp_path: Path) -> None:
    done = run("pack", "python:tests.packing.modules:make_lstm", "-o", tmp_path / "p", "--dims", "steps=batch,7,4")
    assert done.code == 0, done.err


def test_missing_weights_are_named(run: Run, tmp_path: Path, minilm_directory: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    weights = load_file(tmp_path / "bert" / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, tmp_path / "bert" / "model.safetensors", metadata={"format": "pt"})
    done = run("pack", tmp_path / "bert", "-o", tmp_path / "p")
    assert done.code == 3
    assert "encoder.layer.0.output.dense.weight" in done.err
    assert not (tmp_path / "p").exists()


def test_weights_that_are_not_numbers(run: Run, tmp_path: Path, minilm_directory: Path) -> None:
    model = save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[2000:] = float("nan")
    model.save_pretrained(tmp_path / "bert")
    done = run("pack", tmp_path / "bert", "-o", tmp_path / "p")
    assert (done.code, "NaN" in done.err) == (3, True)


def test_inspect_names_every_artifact_and_file_in_full_on_a_narrow_terminal(
    run: Run, packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [artifact.name for artifact in open_package(packages["embed"]).artifacts]
    table = run("inspect", packages["embed"], "--table").out.partition("Artifacts")[2].partition("Files")[0]
    assert len(names) > 1
    assert all(f"\n{name} " in table for name in names)
    assert table.count("weights/model.safetensors") == len(names), "files are named in full as well"


def test_inspect_shows_the_settings_of_the_task(run: Run, packages: dict[str, Path]) -> None:
    settings = open_package(packages["embed"]).info.task_options
    table = run("inspect", packages["embed"], "--table").out.partition("Settings of the task")[2].partition("Sig")[0]
    shown = dict(line.split(maxsplit=1) for line in table.splitlines()[3:])
    assert list(shown) == list(settings)
    assert shown["max_length"].strip() == str(settings["max_length"])
    assert shown["pooling"].strip() == "['mean']"
    assert "{} and query, document, which are empty" in " ".join(table.split())


@pytest.mark.parametrize("prompts", [5, None, True, ["query"], {"query": "q: "}])
def test_inspect_shows_settings_of_any_kind(prompts: object) -> None:
    (cell,) = _settings_table({"prompts": prompts}).columns[1].cells
    empty = " and document, which is empty" if isinstance(prompts, dict) else ""
    assert str(cell) == f"{prompts!r}{empty}"


def test_inspect_shows_limits_with_their_dims() -> None:
    signature = Signature(
        (TensorSpec("ids", DataType.I64, ("batch", "time", 3)),),
        (TensorSpec("output", DataType.F32, ("batch", 64)),),
        {"time": 64},
    )
    assert list(_signature_table(signature).columns[3].cells) == [
        Text("[batch, time (max 64), 3]"),
        Text("[batch, 64]"),
    ]


def test_inspect_runs_no_code(run: Run, packages: dict[str, Path]) -> None:
    described = json.loads(run("inspect", packages["raw"], "--json").out)
    assert described["trust_tier"] == "code"
    shown = " ".join(run("inspect", packages["raw"], "--table").out.split())
    coded = [item.name for item in open_package(packages["raw"]).artifacts if item.trust_tier.value == "code"]
    assert coded
    assert f"code: loading {', '.join(coded)} runs code that came with it, and needs --trust-code" in shown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (IntegrityError("x"), 3),
        (LoadError("x"), 3),
        (RequestError("x"), 4),
        (NoUsableBackendError("p", {}), 5),
        (ExecutionError("x"), 1),
        (InferoxError("x"), 1),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert exit_code_of(error) == code


def test_an_unexpected_error_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(main_module.cli, "main", explode)
    done = run("doctor")
    assert done.code == 1
    assert done.err.splitlines()[0] == "inferox: unexpected ZeroDivisionError: oh"
    done = run("doctor", "--debug")
    assert (done.code, done.err.splitlines()[-1]) == (1, "ZeroDivisionError: oh")


@pytest.mark.parametrize("text", ["x=²", "x=-1", "x=3.5"])
def test_invalid_dims(run: Run, tmp_path: Path, text: str) -> None:
    done = run("pack", "m.pt", "-o", tmp_path / "p", "--dims", text)
    assert (done.code, "is not a dim" in done.err) == (2, True)


def test_packing_prints_its_steps_if_there_is_no_terminal(run: Run, tmp_path: Path) -> None:
    done = run("pack", "python:tests.packing.modules:make_cnn", "-o", tmp_path / "p", "--backends", "onnxruntime")

    assert [line for line in done.err.splitlines() if line.endswith("s: loading the model")]
    assert [line for line in done.err.splitlines() if "measuring onnxruntime/onnx/fp32/padded" in line]
    assert "Traceback" not in done.err


def test_the_evidence_of_rows_is_shown_on_request(run: Run, tmp_path: Path) -> None:
    def read(*words: str | Path) -> list[list[dict[str, Any]]]:
        """The evidence of the artifacts, without ``--rows`` and with it."""
        found = [json.loads(run(*words, "--json", *more).out) for more in ([], ["--rows"])]
        return [data.get("parity", data)["artifacts"] for data in found]

    target = tmp_path / "p"
    pack = ("pack", "python:tests.packing.modules:make_cnn", "-o", target, "--backends", "onnxruntime", "--force")
    for words in (pack, ("inspect", target), ("verify", target)):
        short, whole = read(*words)
        differences = [sorted(set(more) - set(less)) for less, more in zip(short, whole, strict=True)]
        assert differences == [["rows"]], words[0]
        assert len(whole[0]["rows"]) > 0
