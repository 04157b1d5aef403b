# make demo   raise the embedded relay on loopback and check it
# make test   lint, types and tests; real-server tests skip what is not installed
# make clean  remove what the two made
#
# No root, and no network once pip is done.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean
.DELETE_ON_ERROR:

demo: .venv/package
	@$(BIN)/smtpcheck demo

test: .venv/package-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

.venv/package: pyproject.toml | .venv/pyvenv.cfg
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/package-test: pyproject.toml | .venv/pyvenv.cfg
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ .venv/package

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	|| { echo "smtpcheck needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
