# revlake's commands. Needed: Python 3.11+, make, and a package index that pip can reach; everything else lands in .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ARGS   ?=
comma  := ,

# uv does not read pip's settings; pip's are what a machine with its own index or wheels has.
ifneq ($(strip $(PIP_FIND_LINKS)),)
space := $(subst ,, )
export UV_FIND_LINKS ?= $(subst $(space),$(comma),$(strip $(PIP_FIND_LINKS)))
endif
ifneq ($(strip $(PIP_INDEX_URL)),)
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifneq ($(strip $(PIP_EXTRA_INDEX_URL)),)
export UV_INDEX ?= $(PIP_EXTRA_INDEX_URL)
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

# $(call install,EXTRAS): what pip's own configuration file knows, uv does not, so pip is the second attempt.
install = $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[$(1)]" \
	|| { echo "uv could not install; trying pip, which takes about a minute." >&2; \
	     $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[$(1)]"; }

.DEFAULT_GOAL := help
.PHONY: help setup run demo test lint format bench torture ui lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Install everything into .venv (the other commands do it when needed)

run: $(READY) ## Start everything: demo sources, Postgres, first load, Dagster UI on :3000; Ctrl-C stops it
	@$(BIN)/lake up $(ARGS)

demo: $(READY) ## The same load without staying: prints a summary and exits
	@$(BIN)/lake demo $(ARGS)

test: lint ## Linter, type checker and tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(READY) ## Linter, formatter's check and type checker
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

format: $(READY) ## Put the code into the one format and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.ready-bench ## Measure speed and memory; writes bench/results.json
	@$(BIN)/python -m bench $(ARGS)

torture: $(READY) ## The long fault tests: 200 kills instead of 10
	@$(BIN)/python -m pytest -m torture $(ARGS)

ui: $(READY) ## The tests that drive a browser (needs Chromium)
	@$(BIN)/python -m pytest -m ui $(ARGS)

lock: $(READY) ## Write constraints.txt anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links -o constraints.txt pyproject.toml

clean: ## Remove the virtual environment, caches and build output; the lake's data stays
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null 2>&1 && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "revlake needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -1)." \
		       "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || \
		$(PYTHON) -m venv --clear $(VENV) || \
		{ echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet -c constraints.txt uv
	@$(call install,dev)
	@touch $@

$(VENV)/.ready-bench: $(READY)
	@$(call install,dev$(comma)bench)
	@touch $@
