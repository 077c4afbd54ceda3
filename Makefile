# Vigil: every target makes what it needs. `make help` lists them.
PYTHON   ?= python3.11
VENV     := .venv
BIN      := $(VENV)/bin
DURATION ?= 60
HOURS    ?= 24
SPEED    ?= 100
N        ?= 1000000
MINUTES  ?= 5
export VIGIL_CACHE ?= $(CURDIR)/build/cache

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/.done ## make .venv with everything the other targets need

$(VENV)/.done: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not on PATH; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

run: setup ## a virtual wearer, broker and gateway for DURATION seconds (no hardware, no root)
	@$(BIN)/vigil run --duration $(DURATION)

test: setup ## the whole test suite
	$(BIN)/python -m pytest

test32: setup ## the firmware under a MicroPython with 32-bit words, as the chip's (fetched once from Debian)
	VIGIL_MICROPYTHON=$$($(BIN)/python -m host_tools.virtual.micropython32) $(BIN)/python -m pytest \
		tests/test_on_micropython.py tests/replay tests/system/test_run.py

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

gen: setup ## write the generated files (filter coefficients, signing table, diagrams, documents)
	$(BIN)/python -m signal_models.design
	$(BIN)/python -m host_tools.image.comb_table
	$(BIN)/python -m host_tools.documents.session_diagram
	$(BIN)/python -m host_tools.documents

gen-check: setup ## fail if a generated file is not what its command makes
	$(BIN)/python -m signal_models.design --check
	$(BIN)/python -m host_tools.image.comb_table --check
	$(BIN)/python -m host_tools.documents.session_diagram --check
	$(BIN)/python -m host_tools.documents --check

bench: setup ## what each stage costs: time, heap, bytes
	$(BIN)/python -m host_tools.bench

heap: setup ## what a running device takes of a chip's heap, by profile and sensors (32-bit words; writes boards/heap.toml)
	VIGIL_MICROPYTHON=$$($(BIN)/python -m host_tools.virtual.micropython32) $(BIN)/python -m host_tools.bench.heap --write

powercut: setup ## power cuts at every change of the flash, enumerated (minutes)
	$(BIN)/python -m tests.powerloss

soak: setup ## HOURS (24) of a wearer at speed with everything going wrong; exit 1 on any loss
	$(BIN)/python -m host_tools.virtual.soak --hours $(HOURS) --speed $(SPEED) $(SOAK)

fuzz: setup ## N (1000000) inputs that know their structure, against every parser of firmware and host
	$(BIN)/python -m tests.fuzz --n $(N)

property: setup ## MINUTES (5) of random inputs against every kernel's and estimator's oracle
	$(BIN)/python -m tests.property --minutes $(MINUTES)

validate: setup ## figures on all recordings beside open peers, with a report (long the first time: peers are slow)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[validate-peers]'
	$(BIN)/vigil validate --out build/validate

clean: ## remove what the targets made
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis

.PHONY: help setup run test test32 lint gen gen-check bench heap powercut soak fuzz property validate clean
