# Every target sets up what it needs: `make demo` works in a fresh clone that has
# Python (3.11 to 3.14), make, and a package registry in reach.

PYTHON ?= python3
VENV ?= .venv
COVERAGE ?= 94
FIRST ?= 0
JOBS ?= 2
MINUTES ?= 5

# What is in the environment so far, each step on top of the one before.
BIN := $(VENV)/bin
PINNED := $(VENV)/pinned
READY := $(VENV)/ready
TOOLS := $(VENV)/tools
DRIVEN := $(VENV)/browser
FOREIGN := build/foreign
SERVERS := aibrix llmock ogx openapi node
BREAKING := $(VENV)/mutants
VERSION := import platform; print(platform.python_version())
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
UV := build/pins/bin/uv
NPM := npm --silent --ignore-scripts --no-audit --no-fund
# The one Python that all servers of `make foreign` take.
THEIRS := 3.12
COMPILE := $(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-strip-extras \
	--no-header --no-annotate --no-emit-index-url --python-version

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test pinned browser foreign docs picture check layout lint types layers format \
	bench soak fuzz mutants pins clean

help: ## say what each target does
	@echo 'usage: make TARGET [PYTHON=python3.12] [VENV=.venv]'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(TOOLS) ## install runner and the tools of tests and checks into .venv

# As root in a container, the clone may be somebody else's: who runs make trusts it already.
demo: $(READY) ## embed 3,080 questions through a Batch API on this machine; no key, no cost
	@echo 'The Banking77 test set, embedded by the built-in provider `local`:'
	@RUNNER_TRUST=yes $(BIN)/runner reconcile --wait --verbose specs/banking77/embeddings.yaml
	@$(BIN)/python specs/banking77/accuracy.py
	@echo
	@echo 'What the same questions would take at OpenAI (planned only, nothing is sent):'
	@RUNNER_TRUST=yes env -u OPENAI_API_KEY -u OPENAI_BASE_URL $(BIN)/runner plan specs/banking77/intents.yaml

test: $(TOOLS) ## run the tests, JOBS at once, with branch coverage; TESTS=tests/api for some
	@echo "Running the tests in $(VENV), Python $$(cat $(PINNED)), $(JOBS) at once." >&2
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal \
		$(if $(COVERAGE),--cov --cov-report=term --cov-fail-under=$(COVERAGE)) $(TESTS)

pinned: $(TOOLS) $(UV) ## try the pins with each Python here and the oldest pip; needs the registry
	@UV=$(UV) $(BIN)/python -m pytest -m registry tests/setup

# Where nothing is collected pytest exits with 5: without Playwright, or Chromium, this fails.
browser: $(TOOLS) $(DRIVEN) ## drive Chromium through the report: light, dark, phone, paper, keyboard
	@$(BIN)/python -m pytest tests/browser

foreign: $(TOOLS) $(SERVERS:%=$(FOREIGN)/%/ready) ## run runner against servers that others wrote; needs Python 3.12 and npm
	@$(BIN)/python -m pytest -m foreign $(or $(TESTS),tests/foreign)

docs: $(TOOLS) ## write schemas, reference and transcripts again, by running what they show
	@$(BIN)/python docs/schemas.py
	@$(BIN)/python docs/reference.py
	@$(BIN)/python docs/transcripts.py

picture: $(TOOLS) $(DRIVEN) ## make docs/report.png again: the report of what `make demo` runs
	@$(BIN)/python -m tests.browser.picture

check: layout lint types layers ## run everything that reads the code without running it

layout: $(TOOLS)
	$(BIN)/ruff format --check --quiet .

lint: $(TOOLS)
	$(BIN)/ruff check --quiet .

types: $(TOOLS)
	$(BIN)/mypy --no-error-summary

layers: $(TOOLS)
	$(BIN)/lint-imports --no-logo

format: $(TOOLS) ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench: $(TOOLS) ## compare runner with curl and the SDK; BENCH='--case large' for one
	@$(BIN)/python -m benchmarks $(BENCH)

soak: $(TOOLS) ## run the simulated storms for MINUTES, on seeds from FIRST on, JOBS at once
	@$(BIN)/python -m tests.simulation.soak --first $(FIRST) --minutes $(MINUTES) --jobs $(JOBS)

fuzz: $(TOOLS) ## fuzz the four parsers, MINUTES each, and every call with 2,000 hostile servers
	@for target in specs inputs outputs replies; do \
		$(BIN)/python -m tests.fuzz $$target --minutes $(MINUTES) || exit; \
	done
	@$(BIN)/python -m tests.fuzz.hostile --runs 2000 --jobs $(JOBS)

# What is not changed since the last time is not tried again: `rm -r mutants` begins anew.
mutants: $(TOOLS) $(BREAKING) ## break what decides in thousands of small ways, and name what no test notices
	@$(BIN)/python -m mutmut run --max-children $(JOBS) $(MUTANTS)
	@$(BIN)/python -m tests.mutants

# What the demo needs is a part of what the tests need, so it is chosen second.
pins: $(UV) ## choose the newest versions that fit, and write them with their hashes
	@$(COMPILE) 3.11 --output-file requirements/dev.txt pyproject.toml --extra local --group dev
	@$(COMPILE) 3.11 --output-file requirements/demo.txt --constraint requirements/dev.txt pyproject.toml \
		--extra local --group build
	@$(COMPILE) 3.11 --output-file requirements/browser.txt --constraint requirements/dev.txt --group pyproject.toml:browser
	@$(COMPILE) 3.11 --output-file requirements/mutants.txt --constraint requirements/dev.txt --group pyproject.toml:mutants
	@$(COMPILE) 3.11 --output-file requirements/pins.txt --group pyproject.toml:pins
	@for server in $(filter-out node,$(SERVERS)); do \
		$(COMPILE) $(THEIRS) --output-file requirements/foreign/$$server.txt \
			--group pyproject.toml:foreign-$$server || exit; \
	done
	@rm -f requirements/foreign/package-lock.json
	@$(NPM) --prefix requirements/foreign install --package-lock-only --omit-lockfile-registry-resolved

clean: ## remove what make has created; results and ledger stay
	rm -rf $(VENV) build dist mutants .coverage .coverage.* .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# PYTHON=... on the command line makes a new environment, unless it has that version already.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) -c '$(VERSION)' 2>/dev/null),$(shell cat $(PINNED) 2>/dev/null))
.PHONY: $(PINNED)
endif
endif

# Made again for any change of the pins, so that no library stays that is not pinned any more.
$(PINNED): requirements/demo.txt requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { \
		echo 'The pinned set-up is for Python 3.11 to 3.14, and "$(PYTHON)" is none of these.' >&2; \
		echo 'Name another: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.13' >&2; \
		exit 1; }
	@echo "Setting up $(VENV), once: an environment of Python $$($(PYTHON) -c '$(VERSION)') ..." >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@echo '... with what runner and its demo need (requirements/demo.txt) ...' >&2
	@$(PIP) install --require-hashes -r requirements/demo.txt
	@$(BIN)/python -c '$(VERSION)' > $@

# Editable: an edit needs no new set-up, only a change of what is installed does.
$(READY): $(PINNED) pyproject.toml
	@echo '... and runner itself, to be used from here.' >&2
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(TOOLS): $(READY) requirements/dev.txt
	@echo 'Adding what tests and checks need (requirements/dev.txt) to $(VENV) ...' >&2
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(DRIVEN): $(PINNED) requirements/browser.txt
	@echo 'Adding what drives a browser (requirements/browser.txt) to $(VENV) ...' >&2
	@$(PIP) install --require-hashes -r requirements/browser.txt
	@touch $@

$(BREAKING): $(PINNED) requirements/mutants.txt
	@echo 'Adding what breaks the code (requirements/mutants.txt) to $(VENV) ...' >&2
	@$(PIP) install --require-hashes -r requirements/mutants.txt
	@touch $@

# The compiler of the pins is pinned too, and lives apart: nothing else needs it.
$(UV): requirements/pins.txt
	@echo 'Setting up build/pins, once: uv, which chooses and checks the pins ...' >&2
	@$(PYTHON) -m venv --clear build/pins
	@build/pins/bin/python -m pip --disable-pip-version-check -qq install \
		--require-hashes -r requirements/pins.txt
	@touch $@

# Each server has libraries of its own, in versions that do not go together.
$(FOREIGN)/%/ready: requirements/foreign/%.txt | $(TOOLS)
	@echo 'Setting up $(FOREIGN)/$*, once ...' >&2
	@python="$$($(BIN)/python -c \
		'from tests.setup.interpreters import interpreter; print(interpreter("$(THEIRS)") or "")')"; \
		test -n "$$python" || { echo '$* needs Python $(THEIRS), which is not here.' >&2; exit 1; }; \
		"$$python" -m venv --clear $(FOREIGN)/$*
	@$(FOREIGN)/$*/bin/python -m pip --disable-pip-version-check -qq install --require-hashes -r $<
	@touch $@

$(FOREIGN)/node/ready: requirements/foreign/package.json requirements/foreign/package-lock.json
	@echo 'Setting up $(FOREIGN)/node, once ...' >&2
	@mkdir -p $(FOREIGN)/node && cp $^ $(FOREIGN)/node
	@$(NPM) --prefix $(FOREIGN)/node ci
	@touch $@
