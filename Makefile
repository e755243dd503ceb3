# `make repro` and `make test` work on a bare machine with Python 3.11 or newer: they fetch uv if it is missing, make the
# environment from uv.lock, and do their job.
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTHON ?= $(shell command -v python3)
BOOT := .venv-uv
UV := $(shell command -v uv 2>/dev/null || echo $(BOOT)/bin/uv)
LOCKED := $(shell cksum uv.lock pyproject.toml | cksum | cut -d' ' -f1)
RUNS := .venv/.genera-$(LOCKED)
TESTS := .venv/.genera-tests-$(LOCKED)

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: $(RUNS) ## rebuild everything that is out of date: data, searches, models, report, registry
	@genera plan
	@genera run
	@dvc repro

test: $(TESTS) ## run every test, in as many processes as there are CPUs, at most 4
	@python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 25

test-cluster: $(TESTS) ## run the tests on clusters of several nodes, which take a quarter of an hour
	@python -m pytest -m cluster tests/cluster tests/docs --durations 25

lint: $(TESTS) ## check style, types and the layers
	@ruff check
	@ruff format --check
	@mypy
	@lint-imports

experiments: $(RUNS) ## compare DVC's experiments: the parameters and headline numbers in which they differ
	@dvc exp show --only-changed --drop '(artifacts|data)/[^:]*$$|models$$|pipelines$$|Created$$'

ui: $(RUNS) ## show MLflow's page on the project's runs and models, and hand models to clients
	@genera ui

picture: $(RUNS) ## draw docs/report.png, the top of report/index.html; needs Chromium or Chrome
	@python -m pipelines.report.screenshot report/index.html docs/report.png

docs: $(TESTS) ## build the documentation, and serve it on this machine
	@python -m sphinx -q -W docs docs/_build/html
	@python -m docs.making.site_server

release: $(TESTS) ## build wheels and documentation of a tagged version into dist/; nothing is published
	@UV=$(UV) .ci/release

bench: $(TESTS) ## time the project against its peers; results go to benchmarks/results
	@$(UV) sync --quiet --frozen --group bench
	@for file in benchmarks/[a-z]*.py; do .venv/bin/python -m benchmarks.$$(basename $$file .py); done

clean: ## remove everything that the workflow made, checkpoints and the registry included
	git clean -fdXq artifacts
	rm -rf .genera .dvc/cache .dvc/tmp data/prepared report mlflow.db mlartifacts

# The environment, made again when the lock changes: what running needs, and for tests what they need, too.
$(RUNS): OPTIONS := --no-dev --inexact
$(RUNS) $(TESTS): uv.lock pyproject.toml
	@command -v $(UV) >/dev/null || $(PYTHON) -m pip install --quiet --target $(BOOT) uv
	@$(UV) sync --frozen --compile-bytecode $(OPTIONS)
	@rm -f $(@:$(LOCKED)=)[0-9]* && touch $@

.PHONY: help repro test test-cluster lint experiments ui picture docs release bench clean
