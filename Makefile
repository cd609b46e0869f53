# Every target sets up what it needs in .venv, from Python 3.11 or newer, pip, git and make.
.DEFAULT_GOAL := help
.PHONY: help demo test quick lint fmt bench docs build clean

PYTHON ?= python3
UV := $(PYTHON) scripts/uv.py
BIN := .venv/bin
READY := .venv/.ready

# What the demo's database needs beside it.
DRIVER ?= sqlite
BESIDE_sqlite :=
BESIDE_postgres := $(BIN)/python scripts/postgres_server.py .demo-postgres
ifeq ($(filter $(DRIVER),sqlite postgres),)
$(error DRIVER is sqlite or postgres, not $(DRIVER))
endif

PYTEST := pytest -n auto --maxprocesses 4 --dist loadgroup
# The tests whose coverage is measured, which takes them half as long again. All others, such as the
# contract suites, run the same code once more.
MEASURED := tests/core tests/cli tests/drivers tests/transfer

# Where the documentation goes.
SITE ?= docs/site

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(READY) ## Run a workflow, kill it half-way, resume it; INPUT=folder, DRIVER=postgres
	@$(BESIDE_$(DRIVER)) $(BIN)/python examples/quickstart $(if $(INPUT),--input "$(INPUT)")

test: $(READY) ## Run all tests; print the coverage, at least 90 % of lines and branches
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST) $(MEASURED)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/python -m $(PYTEST) $(filter-out $(MEASURED) tests/conftest.py,$(wildcard tests/[a-z]*))

quick: $(READY) ## Lint, and test core, the SQL kit and SQLite, in two minutes: for the loop of work
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m $(PYTEST) -q tests/core tests/drivers/sql_kit tests/contract/test_sqlite_file.py

lint: $(READY) ## Check style, format, types, generated code and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python scripts/async_protocols.py --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

fmt: $(READY) ## Format the code, apply safe fixes, write what is generated
	$(BIN)/python scripts/async_protocols.py
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) ## Measure everything; INTO=folder, else a new one in benchmarks/results
	@$(BIN)/python -m benchmarks $(if $(INTO),--into "$(INTO)")

docs: $(READY) ## Build the documentation into docs/site, without network
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env --jobs auto \
		--doctree-dir $(SITE)/.doctrees docs $(SITE)
	@echo "Open $(SITE)/index.html"

build: ## Build the wheel and the source distribution of every package into dist
	$(UV) build --all-packages

clean: ## Remove everything made here: environments, caches, wheels, the demo's store
	rm -rf .venv .uv uv.lock dist .demo .demo-postgres comparison .coverage* .hypothesis .*_cache benchmarks/results docs/site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml core/pyproject.toml contracts/pyproject.toml $(wildcard drivers/*/pyproject.toml examples/*/pyproject.toml) scripts/uv.py
	$(UV) sync
	@touch $@
