# Everything a newcomer needs: make lab, make test. Python 3.11+ with pip and venv, and make; nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
LAB_ARGS ?=
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help lab demo test lint coverage docs clean

help:
	@echo "make lab    set up and open JupyterLab on the first notebook (LAB_ARGS=--no-browser on a server)"
	@echo "make demo   the same climb without a browser: replay, paper, testnet, live on the local sandbox"
	@echo "make test   set up and run every check and test"
	@echo "make docs   build the documentation into docs/_build/html"

$(VENV)/.lab: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("AutoTrader Lab needs Python 3.11 or newer; this is %s. Say which: make PYTHON=python3.11 ..." % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (about two minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --editable '.[lab,crypto]'
	@touch $@

$(VENV)/.dev: $(VENV)/.lab
	@$(PIP) --editable '.[lab,crypto,oanda,ibkr,fxcm,postgres,dev]'
	@touch $@

lab: $(VENV)/.lab
	$(BIN)/autotrader-lab lab $(LAB_ARGS)

demo: $(VENV)/.lab
	$(BIN)/autotrader-lab demo

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.dev lint
	$(BIN)/python -m pytest $(WORKERS) tests
	$(BIN)/python -m pytest --nbval-lax --nbval-cell-timeout=120 -W default notebooks

coverage: $(VENV)/.dev
	$(BIN)/python -m pytest $(WORKERS) --cov --cov-report=term:skip-covered tests

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

$(VENV)/.docs: $(VENV)/.dev
	@$(PIP) --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache docs/_build
