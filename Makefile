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
.PHONY: help install install-dev protos protos-baseline check test e2e nightly audit bench bench-peers soak fairness simulate observability image up demo lock lock-peers clean

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

e2e: install-dev ## image, manifests, browser, database, Node, the short benchmark (tests/e2e/debian.py says what it needs); writes to build/
	@mkdir -p build
	$(BIN)/pytest $(PYTEST_ARGS) tests/e2e

nightly: install-dev ## the same rules on many more random cases; prints the seed
	@seed=$(SEED); echo "seed $$seed (repeat with: make nightly SEED=$$seed)"; \
	$(BIN)/pytest -n 2 --timeout 1800 --hypothesis-profile nightly --hypothesis-seed $$seed $(PYTEST_ARGS)

audit: install-dev ## known vulnerabilities of what the lock files name (asks the internet, and says so where it cannot)
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/python -m pip install -q pip-audit==2.10.1; } || \
	  { echo "the audit could not be done: pip-audit cannot be installed" >&2; exit 2; }
	@PYTHONPATH=tests $(BIN)/python -m dependency_audit build/audit/bin/pip-audit $(wildcard *.lock deploy/*.lock)

bench: install-dev ## imagegate beside a bare pass-through and, after `make bench-peers`, LiteLLM and Portkey; 20 minutes; ARGS="--help"
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

bench-peers: install-dev ## install what `make bench` compares us with into build/peers: LiteLLM's proxy, Portkey's gateway (needs npm)
	@$(MAKE) -sk build/peers/litellm/.installed build/peers/portkey/.installed; code=$$?; \
	PYTHONPATH=tests $(BIN)/python -m bench.peers; exit $$code

# The stamp is written last: what is only half installed counts as absent.
build/peers/litellm/.installed: tests/bench/peers/litellm.lock
	@echo "LiteLLM's proxy: installing what $< names into $(@D) (600 MB)"
	@rm -rf $(@D)
	@{ $(if $(UV),uv venv -q --python $(PYTHON) $(@D) && VIRTUAL_ENV=$(@D) uv pip install -q --compile-bytecode --require-hashes -r $<,$(PYTHON) -m venv $(@D) && $(@D)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $<); } || \
	  { echo "LiteLLM's proxy could not be installed; make bench will tell it as absent" >&2; exit 1; }
	@touch $@

build/peers/portkey/.installed: tests/bench/peers/package-lock.json tests/bench/peers/package.json
	@echo "Portkey's gateway: installing what $< names into $(@D) (25 MB)"
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@{ node --version && npm ci --prefix $(@D) --loglevel=error --ignore-scripts --no-audit --no-fund; } >/dev/null || \
	  { echo "Portkey's gateway could not be installed; make bench will tell it as absent" >&2; exit 1; }
	@touch $@

soak: install-dev ## 30,000 pictures, many given up or out of time, and what is left of them: memory, files, tasks; five rounds in 10 minutes
	PYTHONPATH=tests $(BIN)/python -m bench.soak $(ARGS)

fairness: install-dev ## what one caller's flood costs the others; 10 minutes
	PYTHONPATH=tests $(BIN)/python -m bench.fairness

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

lock-peers: ## renew what `make bench-peers` installs (needs uv and npm); new versions make new figures
	echo 'litellm[proxy]' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --upgrade -o tests/bench/peers/litellm.lock -
	rm -f tests/bench/peers/package-lock.json
	npm install --prefix tests/bench/peers --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved \
	  --save-exact --no-audit --no-fund @portkey-ai/gateway@latest

clean: ## remove everything that was generated outside the repository
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
