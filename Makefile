# Every target sets up what it needs by itself: Python 3.11 or newer, make and a network are enough.
#   make demo         train on Fashion-MNIST, print the scores, write demo/
#   make test         formatter, linter, types, core tests
#   make test-peers   the tests whose second oracle is torch, keras, jax or scikit-learn
#   make test-bridges  the models of other libraries, in and out: every layer and optimizer, thousands of damaged files
#   make test-engines  every row of primitives, layers and networks on JAX, PyTorch and TensorFlow; faults of processes
#   make tables       PyTorch's own tables and Keras's own tests, whole; one line for each fault, then the counts
#   make test-processors   train on an emulated AArch64 and for older x86-64, and compare every bit; fetches QEMU with
#                          apt-get, without root
#   make test-page    the page of `ranvier page` in a real browser; fetches Chromium with apt-get, without root
#   make docs         build the manual, build/manual/html, without network
#   make dist         build wheel and source archive, install both on every Python that is found, run the README there
#   make lint | format | bench | clean

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?= -n auto --dist worksteal
DEMO_ARGS ?=

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
SOURCES := src tests examples docs/site $(wildcard benchmarks)

# Tests run beside each other, a process for each processor: threads of one would wait for those of the others. They start
# further processes, which read the byte code that earlier ones have written.
test test-peers test-bridges test-engines test-processors test-page tables: export OMP_NUM_THREADS := 1
test test-peers test-bridges test-engines test-processors test-page: export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-peers test-bridges test-engines tables test-processors test-page docs dist lint format bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/ranvier demo --out demo $(DEMO_ARGS)

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS) --ignore=tests/peers --ignore=tests/processors --ignore=tests/cli/browser

test-peers: $(VENV)/.peers
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/peers

# All of it; `make test` and `make test-peers` run a sample.
test-bridges: $(VENV)/.bridges
	RANVIER_BRIDGES=2000 $(BIN)/python -m pytest $(PYTEST_ARGS) tests/interop tests/peers/bridges

# All of it; `make test-peers` runs a sample.
test-engines: $(VENV)/.peers
	RANVIER_ROWS=all $(BIN)/python -m pytest $(PYTEST_ARGS) tests/peers/test_engines.py tests/peers/test_distribution.py

tables: $(VENV)/.peers
	$(BIN)/python -m tests.peers.torch_tables
	$(BIN)/python -m tests.peers.keras_tests

test-processors: $(VENV)/.dev $(VENV)/processors
	RANVIER_PROCESSORS=$(VENV)/processors $(BIN)/python -m pytest $(PYTEST_ARGS) -rs tests/processors

$(VENV)/processors: $(VENV)/.dev
	$(BIN)/python -m tests.processors.tools $@

# One process: browsers beside each other wait for each other.
test-page: $(VENV)/.browser $(VENV)/browser
	RANVIER_BROWSER=$(VENV)/browser $(BIN)/python -m pytest -rs tests/cli/browser

$(VENV)/browser: $(VENV)/.browser
	$(BIN)/python -m tests.cli.browser.tools $@

lint: $(VENV)/.dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/python -m tests.stubs --write
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

docs: $(VENV)/.docs
	$(BIN)/python docs/site/build.py build/manual

dist: $(VENV)/.dist
	$(BIN)/python -m tests.dist

# Run it with both cores free: it times every library against every other.
bench: $(VENV)/.peers
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# One stamp a set of packages; each is renewed when pyproject.toml changes.
$(VENV)/.venv:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed, this is ' + sys.version.split()[0] + '. Write: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.venv pyproject.toml
	$(PIP) --editable ".[plot]"
	@touch $@

$(VENV)/.dev: $(VENV)/.venv pyproject.toml
	$(PIP) --editable ".[dev]"
	@touch $@

$(VENV)/.peers: $(VENV)/.dev
	$(PIP) --editable ".[dev,peers]"
	@touch $@

$(VENV)/.browser: $(VENV)/.dev
	$(PIP) --editable ".[dev,browser]"
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(PIP) --editable ".[docs]"
	@touch $@

$(VENV)/.dist: $(VENV)/.dev
	$(PIP) --editable ".[dev,dist]"
	@touch $@

$(VENV)/.bridges: $(VENV)/.dev
	$(PIP) --editable ".[dev,bridges]"
	@touch $@
