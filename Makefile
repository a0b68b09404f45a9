# Everything below needs only Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo sandbox screenshots test lint format bench lock clean

setup: $(READY)

# The lock carries versions and hashes; the project itself is installed without looking for more.
$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

demo: setup
	$(BIN)/ferry demo

# The whole product in a browser: stand-ins of Slack and Omnisend, and the bot.
sandbox: setup
	$(BIN)/ferry sandbox

# Every view in light and dark, to build/screenshots; those of the README to docs/screenshots. Needs Chromium.
screenshots: setup
	$(BIN)/python -m tests.browser.screenshots

# Three workers for two cores: they often wait for the processes that they test. In the order of the folders: the slow
# tests come first, and no core is idle at the end.
test: setup
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m tests.bench

# Needs uv (pipx install uv); only whoever changes a dependency runs it.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --output-file requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
