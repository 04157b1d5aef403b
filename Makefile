# make demo   raise the embedded relay on loopback and check it
# make test   lint, types and tests; real-server tests skip what is not installed
# make soak   fuzz every parser with atheris: make soak RUNS=1000000
# make bench  against swaks, sslyze and Postfix, and behind 100 ms; needs root and these servers
# make clean  remove what they made
#
# No root, and no network once pip is done, unless said otherwise.

PYTHON ?= python3
BIN := .venv/bin
RUNS ?= 1000000

.PHONY: demo test soak bench clean
.DELETE_ON_ERROR:

demo: .venv/package
	@$(BIN)/smtpcheck demo

test: .venv/package-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

soak: .venv/package-soak
	$(BIN)/python -m tests.fuzz.soak --runs $(RUNS)

bench: .venv/package-test
	$(BIN)/python -m benchmarks.host
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.relay.accept

clean:
	rm -rf .venv .soak .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

.venv/package: pyproject.toml | .venv/pyvenv.cfg
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/package-test: pyproject.toml | .venv/pyvenv.cfg
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ .venv/package

.venv/package-soak: .venv/package-test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=3.1'
	@touch $@

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	|| { echo "smtpcheck needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
