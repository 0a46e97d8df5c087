# Everything runs in .venv, which each target makes when it is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

# onnxruntime opens sockets and writes to the home folder unless it is told not to.
export ORT_DISABLE_TELEMETRY := 1
unexport PYTHONPATH PYTHONHOME

.PHONY: demo test validate bench docs clean
.DELETE_ON_ERROR:

demo: $(VENV)/core  ## compile the tumour U-Net, simulate it on three chips, write pictures
	$(BIN)/photonpu demo

test: $(VENV)/dev  ## all checks and all tests but the slow ones
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 -m "not slow"

validate: $(VENV)/dev  ## the tests that take minutes: published numbers and laws, at full size
	$(BIN)/python -m pytest -q -n 2 -m slow

bench: $(VENV)/core  ## the Buda U-Net against onnxruntime, decomposition, and start-up, in ratios
	$(BIN)/python benchmarks/buda_unet.py
	$(BIN)/python benchmarks/buda_unet.py --ports 16 --threads 1
	$(BIN)/python benchmarks/decomposition.py
	$(BIN)/python benchmarks/monte_carlo.py
	$(BIN)/python benchmarks/startup.py

docs: $(VENV)/docs  ## the manual, in docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

clean:  ## remove the environment, the caches and what was built
	rm -rf $(VENV) build dist docs/_build docs/_generated *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "photonpu needs Python 3.11 or later; name one: make PYTHON=/path/to/python3.11"; \
	    exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/core: $(VENV)/made pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/dev: $(VENV)/made pyproject.toml constraints.txt
	$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/core

$(VENV)/docs: $(VENV)/made pyproject.toml constraints.txt
	$(PIP) --editable ".[docs]"
	@touch $@ $(VENV)/core
