# `make study` runs the main job, `make test` passes the tests; each builds .venv first when it is missing or stale.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: study test lint types bench clean
.DELETE_ON_ERROR:

study: $(READY)
	$(BIN)/latentry study --force

test: lint types
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/recovery_cost.py

# torch is installed by itself first: resolved along with the rest, a range could draw another build of it.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "latentry needs Python 3.11 or newer; make PYTHON=...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv build dist src/*.egg-info
