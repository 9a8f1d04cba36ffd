# dmlkit: `make report` and `make test` do everything on a machine with Python 3.11 to 3.13 and make.
#
#   make report     execute the notebooks and render the report   (ARGS="--data DIR --profile demo ...")
#   make test       the tests of a pull request, under 5 minutes  (ARGS="-k fusion")
#   make test-slow  one of each that takes minutes: a full study, a killed report, two workers, a full disk, a browser
#   make test-nightly  the rest of what takes minutes
#   make lab        JupyterLab on the notebooks
#   make bench      measurements, as ratios within one process
#   make venv       only the virtual environment with the locked dependencies
#   make example    the README's picture and page, out of the demo report
#   make docs       the documentation as a site: build/docs/index.html
#   make lint       ruff: format and rules, notebooks too
#   make lock       pin the dependencies of pyproject.toml again

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Whole files of tests in parallel: what the tests of a file share is made once.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
UV_VERSION := 0.13.8

.PHONY: report test test-slow test-nightly lab bench example docs venv lint format lock clean
.DEFAULT_GOAL := report

report: venv
	$(BIN)/dmlkit report $(ARGS)

test: venv
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-slow: venv
	$(BIN)/python -m pytest $(PARALLEL) -m slow --timeout 900 $(ARGS)

test-nightly: venv
	$(BIN)/python -m pytest $(PARALLEL) -m nightly --timeout 1800 $(ARGS)

lab: venv
	$(BIN)/jupyter lab --notebook-dir=. $(ARGS)

bench: venv
	@for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

example: report
	$(BIN)/python reports/example/render.py

docs: venv
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is in build/docs/index.html"

lint: venv
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

format: venv
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

venv: $(INSTALLED)

# The first interpreter that really runs and is of a supported version; a shim that only answers
# "not found" is passed over; of an environment, which may be the one made anew here, its base is taken.
$(INSTALLED): requirements.txt pyproject.toml
	@set -e; python=""; \
	for name in python3 python3.13 python3.12 python3.11 python; do \
	  if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	  then python=$$($$name -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))'); break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "dmlkit needs Python 3.11, 3.12 or 3.13 on the PATH, and none was found." >&2; exit 1; fi; \
	rm -rf $(VENV); \
	$$python -m venv $(VENV) || { echo "$$python cannot make a virtual environment: on Debian and Ubuntu, install python3-venv." >&2; exit 1; }; \
	echo "Installing the locked dependencies into $(VENV) (a few minutes the first time) ..."; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	touch $@

lock: venv
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-annotate \
	  --custom-compile-command "make lock" --group dev pyproject.toml -o requirements.txt

clean:
	rm -rf $(VENV) build dist *.egg-info
