# Needs Python 3.11 or newer and make, nothing else. `make` lists the targets.
PYTHON ?= python3
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
BROWSER := chromium-headless-shell fonts-dejavu-core
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

nightly: .venv/.dev ## play 200,000 generated worlds full of faults, fold 1,000,000 random processes, undo 110,000
	@.venv/bin/onstage sim --seeds 200000 --workers $$(nproc) --strict
	@.venv/bin/python -m tests.processes --count 1000000 --workers $$(nproc)
	@.venv/bin/python -m tests.processes --undone --count 100000 --workers $$(nproc)
	@.venv/bin/python -m tests.processes --undone --engine --count 10000 --workers $$(nproc)

planted: .venv/.dev ## plant each bug of the corpus and find it
	@.venv/bin/python -m tests.planted --workers $$(nproc)

format: .venv/.dev ## format the code and apply safe fixes
	@.venv/bin/ruff check --quiet --fix-only .
	@.venv/bin/ruff format --quiet .

clean: ## remove .venv, caches and build results
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The demo needs only the few runtime dependencies and the web UI; the tools are added when a target asks for them.
.venv/.runtime: pyproject.toml constraints.txt
	@echo "Installing Onstage into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) --editable '.[web]'
	@touch $@

.venv/.dev: .venv/.runtime
	@echo "Installing the tools into .venv ..."
	@$(PIP) --editable '.[dev]'
	@.venv/bin/python -c 'from onstage.testing.postgres_server import find_postgres; find_postgres()' \
		|| echo 'Tests of embedding need PostgreSQL: apt-get install postgresql-15, or ONSTAGE_TEST_POSTGRES=URL.'
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || test -n "$$ONSTAGE_TEST_CHROMIUM" \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo 'Installing chromium ...' && apt-get update -qq \
			&& DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(BROWSER) >/dev/null; } \
		|| echo 'Tests in a browser need Chromium: apt-get install chromium-headless-shell, or ONSTAGE_TEST_CHROMIUM=PATH.'
	@touch $@
