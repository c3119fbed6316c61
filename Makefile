# Each target sets up what it needs: a fresh clone, make, and Python 3.11 or newer are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

ARGS ?=
BENCH ?= $(sort $(wildcard bench/[!_]*.py))
GENERATED = $(shell grep -ls '\[\[\[cog' README.md docs/*.md)

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs bench all clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(INSTALLED) ## tune a real model on this machine: 16 trials; the same command resumes it
	$(BIN)/axk8s run examples/digits/sweep.yaml
	$(BIN)/axk8s best digits

test: lint ## everything that CI checks; ARGS="-k name" selects tests
	$(BIN)/pytest $(ARGS)

lint: $(INSTALLED) ## style, types, who may import whom, generated pages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(GENERATED),$(BIN)/cog --check $(GENERATED))

format: $(INSTALLED) ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(INSTALLED) ## write the generated parts of the pages again
	$(if $(GENERATED),$(BIN)/cog -r $(GENERATED))

bench: $(INSTALLED) ## measure; BENCH=bench/<name>.py chooses one
	@set -e; for script in $(BENCH); do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

all: lint test ## lint and test

clean: ## remove what make made; sweeps stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./sweeps -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# pip appears when venv is done: an interrupted one is made again.
$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { echo "axk8s needs Python 3.11 or newer; there is no $(PYTHON) here. Another one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("axk8s needs Python 3.11 or newer; $(PYTHON) is %s (%s). Another one: make PYTHON=/path/to/python" % (sys.version.split()[0], sys.executable))'
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "on Debian and Ubuntu the module venv is a package of its own: apt install python3-venv" >&2; exit 1; }

# The build tools come first: they are pinned as well, so nothing is built in an isolated environment.
$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing axk8s and its tools into $(VENV) (some minutes the first time: Ax brings PyTorch)"
	@$(PIP_INSTALL) pip hatchling editables
	@$(PIP_INSTALL) --no-build-isolation --editable . --group dev
	@touch $@
