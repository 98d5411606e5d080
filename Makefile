# Everything here sets up its own environment in .venv, with uv where it is installed and with
# venv and pip otherwise. PYTHON chooses the interpreter, VENV another folder.
ifndef PYTHON
PYTHON := $(shell for each in python3.13 python3.12 python3.11 python3.10 python3; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$each" && break; done)
endif
VENV ?= .venv
BIN := $(VENV)/bin
# The stamp carries the interpreter's version: asking for another one makes the environment anew.
VERSION := $(shell "$(PYTHON)" -c 'import platform; print(platform.python_version())' 2>/dev/null)
READY := $(VENV)/.ready-$(VERSION)
UV := $(shell uv --version >/dev/null 2>&1 && echo uv)
ifneq ($(UV),)
INSTALL = uv pip install --quiet --python $(BIN)/python
else
INSTALL = $(BIN)/python -m pip install --quiet
endif
ARGS ?=

SOURCES := $(wildcard otel_django tests examples benchmarks docs dashboards)
PYTEST := $(BIN)/python -m pytest --timeout=300
# Several processes, each a file at a time, in the order of their names so that short ones come last;
# ARGS="-n 0" for one, as a debugger needs. Much of their time is waiting: three suit two processors.
BY_FILE := --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-services test-faults test-browser stack-test screenshots soak-health lint format bench dashboards docs clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY)  ## Make or renew the environment in .venv

demo: $(READY)  ## Serve the example shop with its worker, traffic and live traces (PORT, DEMO_SECONDS, DEMO_TRAFFIC, DEMO_DIR)
	@exec $(BIN)/python examples/shop/demo.py

test: $(READY)  ## Run the unit and server tests (ARGS="-k word -x")
	$(PYTEST) -n 3 $(BY_FILE) tests/servers tests/unit $(ARGS)

test-services: $(READY)  ## Run the tests that need databases, brokers and uWSGI, and those of the demo
	$(INSTALL) --editable . --group dev --group services
	$(PYTEST) -n 2 $(BY_FILE) tests/integration $(ARGS)

test-faults: $(READY)  ## Run the tests that kill processes and cut connections
	$(PYTEST) --timeout=900 tests/faults $(ARGS)

test-browser: $(READY)  ## Run the tests of the pages in Chromium (apt-get install chromium-driver)
	$(PYTEST) tests/browser $(ARGS)

stack-test: $(READY)  ## Build the real Collector, Prometheus, Jaeger and Loki (Go), and run the tests on them
	$(INSTALL) --editable . --group dev --group services
	$(BIN)/python -m tests.stack.programs
	$(PYTEST) --timeout=900 -n 2 $(BY_FILE) tests/stack $(ARGS)

screenshots: $(READY)  ## Take pictures of every page into .screenshots, and those of the docs
	$(BIN)/python -m tests.browser.screenshots $(ARGS)

soak-health: $(READY)  ## Ask 100,000 probes through restarts of every service (ARGS="--probes 20000 --rate 100")
	$(BIN)/python -m tests.faults.health_soak $(ARGS)

lint: $(READY)  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES)

format: $(READY)  ## Format the code and apply safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## Measure the cost against bare Django and the upstream packages
	$(BIN)/python -m benchmarks $(ARGS)

dashboards: $(READY)  ## Write the Grafana dashboards again
	$(BIN)/python -m dashboards.generator

docs: $(READY)  ## Write the generated part of the reference again
	$(BIN)/python docs/generate_reference.py

clean:  ## Remove the environment, caches and the demo's data
	rm -rf $(VENV) .demo .otel_django build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Renewed when pyproject.toml changes.
$(READY): pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "Python 3.10 or newer is needed: say which with PYTHON=/path/to/python" >&2; exit 1; }
ifneq ($(UV),)
	uv venv --quiet --clear --python "$(PYTHON)" $(VENV)
else
	"$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
endif
	$(INSTALL) --editable . --group dev
	@touch $@
