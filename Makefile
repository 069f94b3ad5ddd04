# make demo   a virtual environment, then before/after pictures from examples/ into demo/
# make test   the same with the development tools and every extra, then the whole test suite
# make lint   ruff, mypy and the floors (import-linter)
# make docs   the guides and the reference as web pages in docs/_build/html; warnings are errors
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo

# The constraints keep every install at the tested versions (and torch from growing by a CUDA build).
# Python compiles a module when it first imports it: of most packages that is a small part. It has to
# keep what it compiled, whatever the environment says: the tests start hundreds of processes.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
export PYTHONDONTWRITEBYTECODE :=

# One process of pytest for each core, each with one thread; plain `pytest` runs in one process, with
# torch's own number of threads. `worksteal` leaves neighbors together: they share what they load.
TESTS ?= -n logical --maxprocesses 8 --dist worksteal -p no:benchmark

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs clean

help:
	@sed -n 's/^# make/make/p' Makefile

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[dev,train,evaluate,face-alignment,heif,onnx,parquet,ray,serve]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[docs]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/facecycle frontalize examples/faces -o $(DEMO)/frontal/ --overwrite
	$(BIN)/facecycle neutralize examples/faces -o $(DEMO)/neutral/ --overwrite
	$(BIN)/facecycle translate examples/talker.mpg examples/faces/person1_neutral.jpg \
		-o $(DEMO)/talking.mp4 --overwrite
	@echo
	@echo 'Faces turned to the front: $(DEMO)/frontal/    neutral faces: $(DEMO)/neutral/'
	@echo 'A portrait that performs the clip examples/talker.mpg: $(DEMO)/talking.mp4'

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) $(DEMO) build dist docs/_build docs/reference .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
