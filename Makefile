# make quickstart   install into .venv, then train and score a real network on street scenes
# make test         install with the test tools, then run the fast tests and every lesson as it is
# make test-slow    the tests that take longer: whole networks, real compilers, trainings
# make lessons      write the course's notebooks from course/src, run them, store what they show
# make course-strict  run the solved lessons, where an exercise that is not right is an error
# make lab          install what the course needs, open its first lesson in JupyterLab
# make browser      seven lessons in a real JupyterLab and a real browser, and the book; needs Chromium or Chrome
# make book         lessons, guides and reference as web pages in docs/_build/html
# make book-page    the same with the page of docs/web.md in it; fetches ONNX Runtime Web from npm once
# make house        the package as a picture: docs/images/house.png
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

# one thread and small sizes; whoever works on the lessons keeps their own progress
NOTEBOOKS = EDGESEG_PROGRESS="$$(mktemp -d)" EDGESEG_FAST=1 EDGESEG_THREADS=1 OMP_NUM_THREADS=1 \
  $(BIN)/python -m pytest -c tests/nbval.ini --rootdir .

PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

.PHONY: quickstart test test-slow lessons course-strict lab browser book book-page house lint bench coverage coverage-all clean

quickstart: $(VENV)/.installed
	$(BIN)/edgeseg quickstart $(ARGS)

# two processes of one thread each: torch jobs that share cores with several threads each slow one another down. ARGS choose among all tests; without any, the lessons run too
test: $(VENV)/.installed-dev
	$(PYTEST) $(if $(ARGS),$(ARGS),-m "not slow")
	$(if $(ARGS),,$(NOTEBOOKS) course)

test-slow: $(VENV)/.installed-dev
	$(PYTEST) -m slow --ignore tests/browser

lessons: $(VENV)/.installed-dev
	$(BIN)/python course/build.py --run $(ARGS)

# and the proof that strict mode is strict: with exercises open it must fail, and for that reason
course-strict: $(VENV)/.installed-dev
	EDGESEG_COURSE_STRICT=1 $(NOTEBOOKS) course/solutions
	log=$$(mktemp); ! EDGESEG_COURSE_STRICT=1 $(NOTEBOOKS) $(firstword $(shell grep -l '"exercise"' course/*.ipynb)) >$$log \
	  && grep -q "AssertionError.*not written yet" $$log || { cat $$log; echo "strict mode lets open exercises pass"; exit 1; }

# the whole clone is JupyterLab's root: lessons show pictures of docs/ and lead to its guides. The address that it prints,
# too, leads to the first lesson (ssh, no browser here)
lab: $(VENV)/.installed-course
	$(BIN)/python -m jupyterlab --LabApp.default_url=/lab/tree/course/00_first_segmentation.ipynb $(ARGS)

browser: $(VENV)/.installed-browser
	$(PYTEST) --dist loadfile tests/browser $(ARGS)

book: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -c docs -d docs/_build/doctrees . docs/_build/html $(ARGS)
	@echo "open docs/_build/html/index.html"

book-page: $(VENV)/.installed-dev
	rm -rf docs/_build/page
	$(BIN)/edgeseg export cross_cbam_s.streets --runtime web --size 288x384 --graphs labels --out docs/_build/page/try
	$(MAKE) book ARGS=-E

house: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/house.py docs/images/house.png

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	for name in metrics augment import_time streets; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$name.py || exit 1; done

coverage: $(VENV)/.installed-dev
	$(PIP) install --no-deps torch-tensorrt==2.14.0
	$(PIP) install dllist psutil filelock packaging
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_tensorrt_coverage.py tests/test_runtime_tensorrt.py

coverage-all: coverage
	OMP_NUM_THREADS=1 $(BIN)/python tests/test_tensorrt_coverage.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache build dist docs/_build docs/api
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# the stamps: an environment is made once, and again only when pyproject.toml changes
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 10) else 'Python 3.10 or newer is needed, this is ' + sys.version.split()[0] + '. Name another: make PYTHON=python3.12 ...')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	if test -n "$(TORCH_INDEX)"; then $(PIP) install --index-url "$(TORCH_INDEX)" torch torchvision; fi
	$(PIP) install -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -e ".[dev,course,export,video,ncnn]"
	touch $@

$(VENV)/.installed-course: $(VENV)/.installed
	$(PIP) install -e ".[course]"
	touch $@

$(VENV)/.installed-browser: $(VENV)/.installed-dev
	$(PIP) install -e ".[browser,docs]"
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) install -e ".[docs]"
	touch $@
