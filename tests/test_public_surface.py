"""What users see first: the names, the README's code, and how light an import is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import inferox
from tests.packing.test_kinds import save_text_model

ROOT = Path(__file__).parent.parent


def loaded_after(code: str) -> set[str]:
    """Lists the top-level modules that a fresh interpreter has loaded after running some code."""
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    return set(done.stdout.splitlines()[-1].split())


def test_the_exported_names() -> None:
    assert sorted(inferox.__all__) == [
        "AsyncClient",
        "Batch",
        "Client",
        "DataType",
        "DeviceId",
        "Engine",
        "EngineConfig",
        "InferenceSession",
        "InferoxError",
        "Model",
        "PackReport",
        "Package",
        "Signature",
        "TaskModel",
        "TensorSpec",
        "TruncationWarning",
        "__version__",
        "load",
        "open_package",
        "pack",
    ]
    assert all(getattr(inferox, name) is not None for name in inferox.__all__)
    assert set(dir(inferox)) == set(inferox.__all__)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = inferox.nope


def test_importing_it_loads_nothing_heavy() -> None:
    assert loaded_after("import inferox") & {"torch", "transformers", "numpy", "rich", "tokenizers"} == set()


def test_help_loads_nothing_heavy() -> None:
    code = "from inferox.cli.main import cli\ncli.main(['--help'], standalone_mode=False)"
    assert loaded_after(code) & {"torch", "transformers", "numpy", "rich", "tokenizers", "safetensors"} == set()


def test_the_core_loads_numpy_alone() -> None:
    heavy = {"torch", "transformers", "tokenizers", "safetensors", "rich", "click", "psutil", "platformdirs", "PIL"}
    assert loaded_after("import inferox.core") & heavy == set()


def test_running_needs_no_torch_until_a_backend_does() -> None:
    code = "import inferox.tasks, inferox.package, inferox.loading, inferox.cli.tables, inferox.cli.results"
    assert loaded_after(code) & {"torch", "transformers"} == set()


def test_packing_a_plain_module_waits_for_no_library_of_text_models(tmp_path: Path) -> None:
    code = f"""
import inferox, numpy, torch
make = lambda: (torch.nn.Linear(3, 2), {{"input": numpy.ones((2, 3), numpy.float32)}})
inferox.pack(make, {str(tmp_path / "p")!r}, backends=("torch", "onnxruntime"))
"""
    assert loaded_after(code) & {"transformers", "sentence_transformers"} == set()
    assert len(inferox.open_package(tmp_path / "p").artifacts) == 2


def test_the_readme_runs(tmp_path: Path, minilm_directory: Path) -> None:
    # A model of its form with one layer stands in for the real one, whose packing e2e/test_minilm.py shows.
    model = tmp_path / "all-MiniLM-L6-v2"
    settings = {"hidden_size": 384, "num_attention_heads": 12}
    save_text_model(model, minilm_directory, "bert", "Model", **settings)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in blocks[0].splitlines() if line.strip()]) < 10
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", "".join(blocks)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, answered = done.stdout.splitlines()
    assert re.fullmatch(r"\(2, 384\) (openvino cpu|torch cuda:0)", first), done.stdout
    assert re.match(r"\(1, 384\) (openvino|torch)/", answered), done.stdout


def test_the_documents_that_the_readme_names_are_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
        assert (ROOT / target).exists(), target


def test_the_page_of_the_command_line_is_what_help_says() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from render_cli import render; print(render(), end='')"],
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), "run 'make docs'"
