# Each target sets up what it needs: a fresh clone, make, and Python 3.11 or newer are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

ARGS ?=
BENCH ?= $(sort $(wildcard bench/[!_]*.py))
GENERATED = $(shell grep -ls '\[\[\[cog' README.md docs/*.md)
KIND_CLUSTER := axk8s
KIND_KUBECONFIG := .kind/kubeconfig
KIND_POD_IMAGE := python:3.11-slim

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs bench kind-up kind-down all clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

demo: $(INSTALLED) ## tune a real model on this machine: 16 trials; the same command resumes it
	$(BIN)/axk8s run examples/digits/sweep.yaml
	$(BIN)/axk8s best digits

# More processes than cores: one waits for nodes to fail and come back, another for connections, and those with less to
# wait for keep the cores busy meanwhile.
test: lint ## everything that CI checks; ARGS="-k name" selects tests
ifeq ($(strip $(ARGS)),)
	$(BIN)/pytest --numprocesses=5 --dist=loadscope --no-loadscope-reorder
else
	$(BIN)/pytest $(ARGS)
endif

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

kind-up: ## a Kubernetes cluster on this machine, to try axk8s on; needs docker and kind
	@command -v docker >/dev/null || { echo "a cluster on this machine runs in Docker, and there is no docker here: https://docs.docker.com/engine/install" >&2; exit 1; }
	@docker ps --quiet >/dev/null || { echo "docker is here, and does not work: is it running, and may you use it?" >&2; exit 1; }
	@command -v kind >/dev/null || { echo "kind makes the cluster, and there is no kind here: https://kind.sigs.k8s.io" >&2; exit 1; }
	@mkdir -p .kind
	@if kind get clusters 2>/dev/null | grep -qx $(KIND_CLUSTER); then \
		echo "the cluster $(KIND_CLUSTER) is there already"; \
		kind export kubeconfig --quiet --name $(KIND_CLUSTER) --kubeconfig $(KIND_KUBECONFIG); \
	else \
		kind create cluster --name $(KIND_CLUSTER) --config kind-config.yaml --kubeconfig $(KIND_KUBECONFIG) --wait 120s $(if $(KIND_NODE_IMAGE),--image $(KIND_NODE_IMAGE)); \
	fi
	@docker image inspect $(KIND_POD_IMAGE) >/dev/null 2>&1 || docker pull --quiet $(KIND_POD_IMAGE)
	@kind load docker-image --name $(KIND_CLUSTER) $(KIND_POD_IMAGE) || echo "the cluster pulls $(KIND_POD_IMAGE) by itself, when the first pod needs it"
	@echo
	@echo "its kubeconfig: $(CURDIR)/$(KIND_KUBECONFIG)"
	@echo "next:"
	@echo "  export KUBECONFIG='$(CURDIR)/$(KIND_KUBECONFIG)'"
	@echo "  axk8s doctor examples/quadratic/sweep.yaml -s kubernetes_job"
	@echo "  axk8s run examples/quadratic/sweep.yaml -s kubernetes_job"
	@echo "  make kind-down"

kind-down: ## delete the cluster of make kind-up
	@command -v kind >/dev/null || { echo "kind made the cluster, and there is no kind here any more" >&2; exit 1; }
	@kind delete cluster --name $(KIND_CLUSTER) --kubeconfig $(KIND_KUBECONFIG)
	@rm -rf .kind

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

# The build tools come first: they are pinned as well, so nothing is built in an isolated environment. All modules are
# compiled at last, by all cores, where pip would use one; some files are for other Pythons and cannot be.
$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing axk8s and its tools into $(VENV) (some minutes the first time: Ax brings PyTorch)"
	@$(PIP_INSTALL) pip hatchling editables
	@$(PIP_INSTALL) --no-build-isolation --editable . --group dev
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@
