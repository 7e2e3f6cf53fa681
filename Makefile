# `make study` runs the main job, `make test` passes the tests; each builds .venv first when it is missing or stale.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: study test lint types docs bench clean
.DELETE_ON_ERROR:

study: $(READY)
	$(BIN)/latentry study --force

# one process for each core and one thread in each: small tensors do not gain from more
test: lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# the site, in build/site; warnings are errors
docs: $(READY)
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet --fresh-env docs build/site
	@echo 'build/site/index.html'

bench: $(READY)
	$(BIN)/python benchmarks/recovery_cost.py
	$(BIN)/python benchmarks/recovery_success.py
	$(BIN)/python benchmarks/goodness_of_fit_cost.py

# torch is installed by itself first: resolved along with the rest, a range could draw another build of it.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "latentry needs Python 3.11 or newer; make PYTHON=...")'
	@echo 'Setting up .venv, once; this downloads torch and takes a few minutes.'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv build dist src/*.egg-info
