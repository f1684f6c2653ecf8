# The single door: everything here makes its own virtual environment and needs nothing else but Python and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q

.DEFAULT_GOAL := help

.PHONY: help
help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "edgequeue needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install -e .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/run.stamp

.PHONY: demo
demo: $(VENV)/run.stamp ## The whole story in a minute: offline, sell, power cut, back online, drain, ask
	@$(BIN)/edgequeue demo

.PHONY: test
test: $(VENV)/dev.stamp ## Every test
	$(BIN)/python -m pytest -q $(ARGS)

.PHONY: simulate
simulate: $(VENV)/dev.stamp ## Worlds in which everything fails: SEEDS=1000000 for a night, SEED=17 for one of them in full
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000)) --disk $(or $(DISK),memory)

.PHONY: torture
torture: $(VENV)/dev.stamp ## Processes killed, power cut, disks full and failing, by the hundred (as root; TIMES=10 for a night)
	EDGEQUEUE_TORTURE=$(or $(TIMES),1) $(BIN)/python -m pytest -q -s -p no:randomly $(or $(ARGS),tests/torture)

.PHONY: lint
lint: $(VENV)/dev.stamp ## Style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: check
check: lint test ## What has to pass before anything lands

.PHONY: format
format: $(VENV)/dev.stamp ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: answers
answers: $(VENV)/dev.stamp ## Write docs/answers.md, what each answer comes to, from the code's own tables
	$(BIN)/python docs/make_answers

$(VENV)/bench.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install -e '.[bench]'
	@touch $@ $(VENV)/run.stamp

.PHONY: bench
bench: $(VENV)/bench.stamp ## Every target beside raw sqlite3 and the durable peers, some 8 minutes, with the pictures of docs/
	$(BIN)/python benchmarks --pictures docs $(ARGS)

.PHONY: bench-quick
bench-quick: $(VENV)/bench.stamp ## The same in under a minute: a look, not a measurement
	$(BIN)/python benchmarks --quick $(ARGS)

.PHONY: profile
profile: $(VENV)/run.stamp ## Where the time goes in an enqueue and in the drain
	$(BIN)/python benchmarks/hotspots.py $(ARGS)

.PHONY: bench-smile
bench-smile: $(VENV)/run.stamp ## Bytes that Smile saves and what it costs, beside orjson in the same run
	$(BIN)/python benchmarks/smile.py $(ARGS)

.PHONY: corrupt
corrupt: $(VENV)/dev.stamp ## Thousands of damaged databases, salvaged and compared (ARGS='--count 3000 --seed 1')
	$(BIN)/python -m tests.torture.corrupt $(ARGS)

.PHONY: wheel
wheel: $(VENV)/dev.stamp ## Build the wheel and the source archive into dist/
	$(BIN)/python -m build

.PHONY: clean
clean: ## Remove what make has made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
