# Two commands for a fresh machine: `make demo` and `make test`. Each makes its own environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
EXTRAS ?= dicom,cohort,cluster,review

.PHONY: demo test docs figures wheelhouse coverage lint soak bench clean

$(BIN)/python:
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'Python 3.11 or later is needed'"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --prefer-binary -e .
	touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --prefer-binary -e '.[test]'
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/qsmcmb demo demo-out

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not soak" --doctest-modules qsmcmb tests

# The site, in build/docs. Warnings are errors: a link that leads nowhere, a page that no list holds.
docs: $(VENV)/.test
	$(BIN)/python -m sphinx -W -n --keep-going -q docs build/docs

# Figures and outputs of the tutorials, and figures of the explanation, from their code.
figures: $(VENV)/.test
	$(BIN)/python -m tests.docs.tutorials
	$(BIN)/python -m tests.docs.group_page
	for script in docs/explanation/*/figures.py; do $(BIN)/python $$script || exit 1; done

# Wheels of all that users need, and a fresh environment that is made of them alone.
wheelhouse: $(BIN)/python
	rm -rf wheelhouse build/offline
	$(BIN)/python -m pip wheel --quiet --prefer-binary --wheel-dir wheelhouse '.[$(EXTRAS)]'
	$(PYTHON) -m venv build/offline
	build/offline/bin/python -m pip install --quiet --no-index --find-links wheelhouse 'qsmcmb[$(EXTRAS)]'
	build/offline/bin/python -m pip check
	cd build && offline/bin/qsmcmb --version

# Compiled loops are run as Python, in which lines can be counted, each against its plain NumPy twin.
coverage: $(VENV)/.test
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -m loops --cov --cov-report=term-missing:skip-covered

soak: $(VENV)/.test
	$(BIN)/python -m pytest -m soak

bench: $(VENV)/.test
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/leaderboard.py --phantom S L head dev

clean:
	rm -rf $(VENV) demo-out wheelhouse build/offline
