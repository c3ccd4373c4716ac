# Everything runs from .venv, made on first use; after that no target needs the network.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Three processes, since tests also wait for servers and timers, with one thread each. A file's tests stay in one process, which
# starts Ray once for them; the longest files come first. Bytecode is kept, since many tests start Python.
TEST_PROCESSES ?= 3
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install search docs test test-all lint format bench bench-science chaos release-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with spikefront and the tools of development

search: $(STAMP) ## search a small space on the digits data, then print the front
	$(BIN)/spikefront run --task digits --trials 24 --set backbone=mlp,convnet
	$(BIN)/spikefront pareto

docs: $(STAMP) .venv/.docs ## build the documentation as a site, in build/docs/site; open its index.html
	$(BIN)/python docs/site/stage.py build/docs
	cd build/docs && NO_MKDOCS_2_WARNING=1 $(CURDIR)/$(BIN)/properdocs build --strict --quiet

test: $(STAMP) ## run the quick tests
	$(PYTEST) -m 'not slow'

test-all: $(STAMP) .venv/.events .venv/.readers .venv/.docs ## run all tests
	$(PYTEST)

lint: $(STAMP) .venv/.docs ## check style, format, types and import arrows
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## mend style and format where a tool can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(STAMP) ## run all benchmarks
	$(BIN)/python benchmarks/run_all.py

bench-science: $(STAMP) ## compare the codings on Fashion-MNIST, into docs/science.md
	$(BIN)/python benchmarks/science.py

chaos: $(STAMP) ## kill drivers, workers, nodes and servers of real searches, and fill up the disk
	SPIKEFRONT_KILLS=20 SPIKEFRONT_CHAOS=1 $(BIN)/pytest tests/chaos

release-check: $(STAMP) ## check changelog, tag, tree and package of a release; publish nothing
	.ci/release-check

clean: ## remove .venv, builds and caches; searches and their results stay
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Some 200 MB that only the readers of two event data sets need; without them the quick tests skip those.
.venv/.events: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[events]'
	touch $@

# What builds the site; without it the test of the built site is skipped.
.venv/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	touch $@

# Readers of NIR files, that exports are tested with; each asks for packages that reading a file does not need.
.venv/.readers: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps norse sinabs pbr rockpool
	touch $@

# SpikingJelly asks for packages that nobody needs here, so it comes without its dependencies. pip is first: dependency
# groups need pip 25.1.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps spikingjelly
	touch $@
