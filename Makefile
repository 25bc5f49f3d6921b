# make run    the engine on sample orders, at http://127.0.0.1:8080   (Ctrl-C ends it)
# make test   all tests, on all cores
# make trust  kills, races and lost replies at their full counts (hours)
# make check  formatting, lint, types, import directions
# make bench  cost and speed on real orders, where the data is present
# make bench-phases  every phase of a window by itself: ARGS="--benchmark-compare" beside the figures kept before
# make bench-load    a service under load: decisions a second at a p99, cost of an order
# make lock   the lock files, after a change of dependencies in pyproject.toml

export PYTHON
VENV := .venv
BIN  := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
COMPILED := solvers/compiled.py $(wildcard solvers/*kernel*.py)

.PHONY: run test trust check bench bench-phases bench-load setup lock clean

run: $(RUN_STAMP)
	$(BIN)/apportion demo $(ARGS)

test: $(DEV_STAMP)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

trust: $(DEV_STAMP)
	APPORTION_TRUST=full $(BIN)/python -m pytest tests/chaos tests/engine/ledger tests/engine/archive tests/api/test_fuzz.py $(ARGS)

check: $(DEV_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV_STAMP)
	$(BIN)/python -m bench.uci $(ARGS)

bench-phases: $(DEV_STAMP)
	$(BIN)/python -m pytest bench/phases --benchmark-autosave $(ARGS)

bench-load: $(DEV_STAMP)
	$(BIN)/apportion bench load $(ARGS)

setup: $(DEV_STAMP)

# A Debian machine may have python3 without venv; deploy/setup.sh says what is missing or installs it where it may.
$(BIN)/python:
	sh deploy/setup.sh $(VENV)

$(RUN_STAMP): requirements.lock pyproject.toml $(COMPILED) | $(BIN)/python
	$(BIN)/python -m pip install -q --no-deps --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	$(BIN)/python -m solvers
	touch $@

$(DEV_STAMP): requirements-dev.lock pyproject.toml $(COMPILED) | $(BIN)/python
	$(BIN)/python -m pip install -q --no-deps --no-compile --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	$(BIN)/python -m solvers
	touch $@ $(RUN_STAMP)

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  -q pyproject.toml --extra build -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  -q pyproject.toml --extra build --extra dev --extra postgres -o requirements-dev.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
