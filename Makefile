# imagegate. `make` lists what there is. Needs Python 3.11 or newer and the package index, nothing else;
# uv is used where it is installed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
SEED ?= $(shell $(PYTHON) -c "import random; print(random.randrange(2**32))")
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
PROTOS := $(wildcard protos/imagegate/v1/*.proto)
SERVICES := $(shell grep -l '^service ' $(PROTOS))

.DEFAULT_GOAL := help
.PHONY: help install install-dev protos protos-baseline check test e2e nightly audit bench simulate observability image up demo lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

install: $(VENV)/.runtime ## install what the services need into .venv

install-dev: $(VENV)/.dev ## install what the checks and tests need as well

# A stamp per set: `make demo` needs the runtime set only, and the development set contains it.
$(VENV)/.runtime: requirements.lock pyproject.toml
	$(call install_into_venv,requirements.lock)
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml
	$(call install_into_venv,requirements-dev.lock)
	@touch $@ $(VENV)/.runtime

define install_into_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "imagegate needs Python 3.11 or newer; try: make PYTHON=python3.11 …")'
@test -x $(BIN)/python || $(if $(UV),uv venv -q --python $(PYTHON) $(VENV),$(PYTHON) -m venv $(VENV))
@echo "installing $(1) into $(VENV)"
@$(if $(UV),VIRTUAL_ENV=$(VENV) uv pip install -q --require-hashes -r $(1),$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(1))
@$(if $(UV),VIRTUAL_ENV=$(VENV) uv pip install -q --no-deps -e .,$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .)
endef

protos: OUT ?= protos
protos: install-dev ## generate the Python code of protos/ (committed)
	$(BIN)/python -m grpc_tools.protoc -I protos --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	  --python_out=$(OUT) --mypy_out=quiet:$(OUT) $(PROTOS)
	$(BIN)/python -m grpc_tools.protoc -I protos --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --grpc_python_out=$(OUT) --mypy_grpc_out=quiet:$(OUT) $(SERVICES)
	$(BIN)/python -m grpc_tools.protoc -I protos -I $$($(BIN)/python -c 'import google.rpc; print([*google.rpc.__path__][0])')/../.. \
	  --include_imports --descriptor_set_out=$(OUT)/imagegate.protoset $(PROTOS) google/rpc/status.proto google/rpc/error_details.proto

protos-baseline: install-dev ## renew protos/baseline.binpb, which breaking changes are measured against (at a release)
	$(BIN)/buf build protos -o protos/baseline.binpb

check: install-dev ## ruff, mypy, import-linter, no keys in any file, buf, generated code up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PYTHONPATH=tests $(BIN)/python -m secret_scanner
	$(BIN)/buf lint protos
	$(BIN)/buf format -d --exit-code protos
	$(BIN)/buf breaking protos --against protos/baseline.binpb
	@rm -rf build/protos && mkdir -p build/protos && $(MAKE) -s protos OUT=build/protos
	@for f in imagegate.protoset $$(cd build/protos && find . -name '*_pb2*'); do cmp "build/protos/$$f" "protos/$$f" || \
	  { echo "generated code is out of date: run make protos"; exit 1; }; done

test: install-dev ## every test that needs Python only (at most 8 minutes)
	$(BIN)/pytest -n 3 $(PYTEST_ARGS) # they wait as much as they reckon: 3 keep 2 cores busy

e2e: install-dev ## image, manifests, browser, database, Node (tests/e2e/debian.py says what it needs); writes to build/
	@mkdir -p build
	$(BIN)/pytest $(PYTEST_ARGS) tests/e2e

nightly: install-dev ## the same rules on many more random cases; prints the seed
	@seed=$(SEED); echo "seed $$seed (repeat with: make nightly SEED=$$seed)"; \
	$(BIN)/pytest -n 2 --timeout 1800 --hypothesis-profile nightly --hypothesis-seed $$seed $(PYTEST_ARGS)

audit: install-dev ## known vulnerabilities of what the lock files name (asks the internet, and says so where it cannot)
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/python -m pip install -q pip-audit==2.10.1; } || \
	  { echo "the audit could not be done: pip-audit cannot be installed" >&2; exit 2; }
	@PYTHONPATH=tests $(BIN)/python -m dependency_audit build/audit/bin/pip-audit $(wildcard *.lock deploy/*.lock)

bench: install-dev ## what protections cost a call, and one caller's flood another (15 minutes; figures, no assertions)
	$(BIN)/python tests/bench/protections.py
	$(BIN)/python tests/bench/fairness.py

simulate: install-dev ## our routing policy and two others under every fault, as a table; ARGS="--help" for more
	PYTHONPATH=tests $(BIN)/python -m simulation $(ARGS)

observability: install-dev ## write the dashboard, and the alerts as a Kubernetes object, from deploy/observability
	PYTHONPATH=deploy $(BIN)/python -m observability

image: ## build the image with docker, podman or buildah, and say which; NAME= BASE= ENGINE= BUILD_FLAGS=
	BASE=$(BASE) ENGINE=$(ENGINE) BUILD_FLAGS="$(BUILD_FLAGS)" deploy/image.sh $(NAME)

up: install ## start providers, router and edge here; add ARGS="--sandbox" to play without keys
	$(BIN)/imagegate up $(ARGS)

demo: install ## see it work in under a minute: fallback between models and providers, against stand-ins
	$(BIN)/python -m imagegate.sandbox.demo

lock: ## renew the lock files (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url \
	  --upgrade -o requirements.lock pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url \
	  -c requirements.lock --group dev -o requirements-dev.lock pyproject.toml

clean: ## remove everything that was generated outside the repository
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
