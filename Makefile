# Every target sets up what it needs: `make demo` works in a fresh clone that has
# Python (3.11 to 3.13), make, and a package registry in reach.

PYTHON ?= python3
COVERAGE ?= 94
FIRST ?= 0
JOBS ?= 2
MINUTES ?= 5

VENV := .venv
BIN := $(VENV)/bin
PINNED := $(VENV)/pinned
READY := $(VENV)/ready
DRIVEN := $(VENV)/browser
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
PINS := build/pins
COMPILE := $(PINS)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --no-header --no-annotate --no-emit-index-url --output-file

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test browser docs picture check layout lint types layers format bench soak fuzz pins clean

help: ## say what each target does
	@echo 'usage: make TARGET [PYTHON=python3.12]'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## install the pinned requirements and runner itself into .venv

demo: $(READY) ## embed 3,080 questions through a Batch API on this machine; no key, no cost
	@echo 'The Banking77 test set, embedded by the built-in provider `local`:'
	@$(BIN)/runner reconcile --wait --verbose specs/banking77/embeddings.yaml
	@$(BIN)/python specs/banking77/accuracy.py
	@echo
	@echo 'What the same questions would take at OpenAI (planned only, nothing is sent):'
	@env -u OPENAI_API_KEY -u OPENAI_BASE_URL $(BIN)/runner plan specs/banking77/intents.yaml

test: $(READY) ## run the tests, JOBS at once, with branch coverage
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal --cov --cov-report=term \
		--cov-fail-under=$(COVERAGE)

# Where nothing is collected pytest exits with 5: without Playwright, or Chromium, this fails.
browser: $(READY) $(DRIVEN) ## drive Chromium through the report: light, dark, phone, paper, keyboard
	@$(BIN)/python -m pytest tests/browser

docs: $(READY) ## write schemas, reference and transcripts anew, by running what they show
	@$(BIN)/python docs/schemas.py
	@$(BIN)/python docs/reference.py
	@$(BIN)/python docs/transcripts.py

picture: $(READY) $(DRIVEN) ## make docs/report.png anew: the report of what `make demo` runs
	@$(BIN)/python -m tests.browser.picture

check: layout lint types layers ## run everything that reads the code without running it

layout: $(READY)
	$(BIN)/ruff format --check --quiet .

lint: $(READY)
	$(BIN)/ruff check --quiet .

types: $(READY)
	$(BIN)/mypy --no-error-summary

layers: $(READY)
	$(BIN)/lint-imports --no-logo

format: $(READY) ## lay the code out and mend what can be mended
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench: $(READY) ## measure runner beside curl and the SDK; BENCH='--case large' for one
	@$(BIN)/python -m benchmarks $(BENCH)

soak: $(READY) ## run the simulated storms for MINUTES, on seeds from FIRST on, JOBS at once
	@$(BIN)/python -m tests.simulation.soak --first $(FIRST) --minutes $(MINUTES) --jobs $(JOBS)

fuzz: $(READY) ## feed nonsense to the four parsers, MINUTES each
	@for target in specs inputs outputs replies; do \
		$(BIN)/python -m tests.fuzz $$target --minutes $(MINUTES) || exit; \
	done

# The compiler of the pins is pinned too, and lives apart: nobody else needs it.
pins: ## choose the newest versions that fit, and write them with their hashes
	@$(PYTHON) -m venv --clear $(PINS)
	@$(PINS)/bin/python -m pip --disable-pip-version-check -qq install \
		--require-hashes -r requirements/pins.txt
	@$(COMPILE) requirements/dev.txt pyproject.toml --extra local --group dev
	@$(COMPILE) requirements/browser.txt --constraint requirements/dev.txt --group pyproject.toml:browser
	@$(COMPILE) requirements/pins.txt --group pyproject.toml:pins

clean: ## remove all that make made; results and ledger stay
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Python 3.14 waits for the local provider's model: wordllama has no wheel for it yet.
$(PINNED): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo 'The pinned set-up is for Python 3.11 to 3.13, and "$(PYTHON)" is none of these.' >&2; \
		echo 'Name another: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.13' >&2; \
		exit 1; }
	@echo 'Setting up $(VENV), once; this can take a minute.' >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(DRIVEN): $(PINNED) requirements/browser.txt
	@$(PIP) install --require-hashes -r requirements/browser.txt
	@touch $@

# Editable: an edit needs no new set-up, only a change of what is installed does.
$(READY): $(PINNED) pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
