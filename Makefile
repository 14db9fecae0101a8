# Needs Python 3.11 or newer and make, nothing else. `make` lists the targets.
PYTHON ?= python3
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SUITES := .venv/bin/python tests/suites.py

.DEFAULT_GOAL := help
.PHONY: help demo demo-nats test lint bench nightly planted format clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \2/p' Makefile | awk '{ printf "  make %-9s", $$2; $$1 = $$2 = ""; print }'

demo: .venv/.runtime ## run the shop example
	@.venv/bin/python examples/shop/demo.py

demo-nats: .venv/.dev ## run it again with every service on its own, over a NATS server
	@.venv/bin/python examples/shop/demo_nats.py

test: .venv/.dev ## run every suite
	@$(SUITES)

lint: .venv/.dev ## check style, imports and types
	@$(SUITES) lint imports types examples

bench: .venv/.dev ## run the benchmarks
	@.venv/bin/python -m benchmarks

nightly: .venv/.dev ## play 200,000 generated worlds full of faults
	@.venv/bin/onstage sim --seeds 200000 --workers $$(nproc) --strict

planted: .venv/.dev ## plant each bug of the corpus and find it
	@.venv/bin/python -m tests.planted --workers $$(nproc)

format: .venv/.dev ## format the code and apply safe fixes
	@.venv/bin/ruff check --quiet --fix-only .
	@.venv/bin/ruff format --quiet .

clean: ## remove .venv, caches and build results
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The demo needs only the few runtime dependencies; the tools are added when a target asks for them.
.venv/.runtime: pyproject.toml constraints.txt
	@echo "Installing Onstage into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) --editable .
	@touch $@

.venv/.dev: .venv/.runtime
	@echo "Installing the tools into .venv ..."
	@$(PIP) --editable '.[dev]'
	@.venv/bin/python -c 'from onstage.testing.postgres_server import find_postgres; find_postgres()' \
		|| echo 'Tests of embedding need PostgreSQL: apt-get install postgresql-15, or ONSTAGE_TEST_POSTGRES=URL.'
	@touch $@
