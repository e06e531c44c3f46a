# make quickstart   install into .venv, then train and score a real network on street scenes
# make test         install with the test tools, then run all tests
# make lint         ruff and mypy
# make bench        measured ratios, printed
# make coverage     which operations TensorRT would take, shown without TensorRT
# make coverage-all the same for every network at every size: half an hour
# make clean        remove .venv and caches
#
# PYTHON=python3.12       which Python makes the environment
# VENV=.venv              where it goes
# TORCH_INDEX=URL         take torch and torchvision from this index first, e.g. for a machine without an NVIDIA GPU:
#                         make quickstart TORCH_INDEX=https://download.pytorch.org/whl/cpu
# ARGS="..."              further arguments of `edgeseg quickstart` or pytest
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: quickstart test lint bench coverage coverage-all clean

quickstart: $(VENV)/.installed
	$(BIN)/edgeseg quickstart $(ARGS)

# two processes of one thread each: torch jobs that share cores with several threads each slow one another down
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	for name in metrics augment import_time streets; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$name.py || exit 1; done

coverage: $(VENV)/.installed-dev
	$(PIP) install --no-deps torch-tensorrt==2.14.0
	$(PIP) install dllist psutil filelock packaging
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_coverage.py tests/test_trt.py

coverage-all: coverage
	OMP_NUM_THREADS=1 $(BIN)/python tests/test_coverage.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# the stamps: an environment is made once, and again only when pyproject.toml changes
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 10) else 'Python 3.10 or newer is needed, this is ' + sys.version.split()[0] + '. Name another: make PYTHON=python3.12 ...')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	if test -n "$(TORCH_INDEX)"; then $(PIP) install --index-url "$(TORCH_INDEX)" torch torchvision; fi
	$(PIP) install -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -e ".[dev,course,export,video]"
	touch $@
